"""What `content.transfer` makes of sources and of blobs that are not what they were."""

import io
import os

import pytest

from lading.content import transfer
from lading.errors import DataLoss, NotFound
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import HELLO, put
from tests.support.memory import MemoryStore

# Refs of files


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(HELLO)
    os.utime(tmp_path / "file", ns=(10, 10))
    return tmp_path / "file"


def test_a_file_has_one_ref_however_it_is_named(path, monkeypatch):
    link = path.with_name("link")
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    names = [path, str(path), "file", link, path.parent / "." / "file"]
    assert len({transfer.ref_for(name) for name in names}) == 1


@pytest.mark.parametrize("change", ["size", "time", "place", "file"])
def test_a_file_that_is_not_the_same_has_another_ref(path, change):
    before = transfer.ref_for(path)
    match change:
        case "size":
            path.write_bytes(HELLO + b"!")
            os.utime(path, ns=(10, 10))
        case "time":
            os.utime(path, ns=(10, 11))
        case "place":
            path = path.rename(path.with_name("elsewhere"))
        case "file":
            other = path.with_name("other")
            other.write_bytes(HELLO)
            os.utime(other, ns=(10, 10))
            other.rename(path)
    assert transfer.ref_for(path) != before


def test_a_file_whose_name_is_no_text_has_a_ref_too(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes only text for names")
    assert transfer.ref_for(path).encode()


def test_there_is_no_ref_of_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        transfer.ref_for(tmp_path / "nothing")


# Verifying


class Failing(io.BytesIO):
    """A blob on a disk that cannot be read any more after five bytes."""

    def readinto(self, buffer):
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().readinto(memoryview(buffer)[:5])


class RottenStore(MemoryStore):
    """A store whose blobs have become another file."""

    def __init__(self, file):
        super().__init__()
        self._file = file

    def open(self, digest):
        self.blob(digest)
        return self._file


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("found", [b"", HELLO[:-1], HELLO + b"!", b"X" + HELLO[1:]])
def test_other_bytes_are_a_loss_that_says_what_they_are(algorithm, found):
    store = RottenStore(io.BytesIO(found))
    digest = put(store, HELLO, algorithm).digest
    with pytest.raises(DataLoss) as caught:
        transfer.verify(store, digest)
    assert caught.value.what == digest
    assert caught.value.reason == f"its {len(found)} bytes are {Digest.of(found, algorithm)}"


def test_bytes_that_cannot_be_read_are_a_loss_that_says_where():
    store = RottenStore(Failing(HELLO))
    digest = store.add(HELLO).digest
    with pytest.raises(DataLoss) as caught:
        transfer.verify(store, digest)
    assert caught.value.reason == "it cannot be read at 5: Input/output error"


def test_a_blob_that_is_not_there_is_no_loss():
    with pytest.raises(NotFound):
        transfer.verify(MemoryStore(), Digest.of(HELLO))


def test_progress_of_verifying_is_told_at_each_step(monkeypatch):
    monkeypatch.setattr(transfer, "READ_SIZE", 5)
    monkeypatch.setattr(transfer, "STEP", 5)
    seen, store = [], MemoryStore()
    transfer.verify(store, store.add(HELLO).digest, progress=seen.append)
    assert seen == [0, 5, 10, 12]
