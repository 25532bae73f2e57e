"""A database on a full disk, and the namespace over it."""

import contextlib
import os

import pytest

from lading.errors import DatabaseFull
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

HELLO = b"hello, world"
RIGHT = Digest.of(HELLO)


class FillingStore(LocalStore):
    """A store after whose first commit the disk under the database is full."""

    def __init__(self, root, filler) -> None:
        super().__init__(root)
        self._fillers = [filler]

    def add(self, data, *, labels=None):
        blob = super().add(data, labels=labels)
        self._fill()
        return blob

    def _fill(self):
        while self._fillers:
            fill(self._fillers.pop())

    def writer(self, ref, **options):
        writer = super().writer(ref, **options)
        commit = writer.commit

        def commit_and_fill(**options):
            blob = commit(**options)
            self._fill()
            return blob

        writer.commit = commit_and_fill
        return writer


def fill(path):
    """Take all the room that the disk has."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    disk = os.statvfs(path)
    assert disk.f_bavail == 0


@pytest.fixture
def filler(small_disk):
    return small_disk.folder / "filler"


@pytest.fixture
def metadata(small_disk, filler, tmp_path):
    content = FillingStore(tmp_path / "root", filler)
    with Metadata(f"sqlite:///{small_disk.folder}/metadata.db", content=content) as metadata:
        yield metadata


def test_an_add_without_room_for_its_row_may_be_done_again(metadata, filler):
    namespace = metadata.namespace("images")
    with pytest.raises(DatabaseFull):
        namespace.add(HELLO, labels={"a": "1"})
    assert list(namespace.blobs()) == []
    filler.unlink()
    assert namespace.add(HELLO, labels={"a": "1"}).labels == {"a": "1"}
    assert namespace.read(RIGHT) == HELLO


def test_a_commit_without_room_for_its_row_goes_on_where_it_was(metadata, filler):  # H18
    namespace = metadata.namespace("images")
    with namespace.writer("w") as writer:
        writer.write(HELLO)
        with pytest.raises(DatabaseFull, match="no space left for metadata"):
            writer.commit(labels={"a": "1"})
    assert RIGHT not in namespace
    filler.unlink()
    with namespace.writer("w") as writer:
        assert (writer.offset, writer.digest) == (len(HELLO), RIGHT)
        assert writer.commit(labels={"a": "1"}).labels == {"a": "1"}
    assert namespace.read(RIGHT) == HELLO
    assert list(namespace.ingests()) == []


def test_a_full_disk_refuses_every_change_whole(metadata, filler):
    namespace = metadata.namespace("images")
    metadata.content._fillers.clear()
    before = namespace.add(HELLO, labels={"a": "1"})
    fill(filler)
    big = {f"k{number}": "v" * 4000 for number in range(8)}
    for call in (
        lambda: namespace.label(RIGHT, big),
        lambda: namespace.lease("l", labels=big),
        lambda: namespace.add(b"another", labels=big),
    ):
        with pytest.raises(DatabaseFull):
            call()
    assert list(namespace.blobs()) == [before]
    assert list(namespace.leases()) == []
    filler.unlink()
    assert namespace.label(RIGHT, {"b": "2"}).labels == {"a": "1", "b": "2"}
