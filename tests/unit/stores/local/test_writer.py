"""What the writer owes to the disk it writes to."""

import errno
import os

import pytest

from lading.errors import DigestMismatch, ResourceExhausted, WriterClosed
from lading.model.digest import Digest
from lading.stores.local import sidecars
from lading.stores.local.disk import Disk
from lading.stores.local.follower import INLINE_LIMIT
from lading.stores.local.paths import key_of
from lading.stores.local.store import LocalStore
from tests.conformance.samples import HELLO, begin, sample

RIGHT = Digest.of(HELLO)


class LyingDisk(Disk):
    """It stores other bytes than it was given."""

    def write(self, file, data, offset):
        return super().write(file, bytes(data).replace(b"w", b"W"), offset)


@pytest.mark.parametrize("expected", [RIGHT, None], ids=["expected", "unknown"])
def test_the_digest_is_that_of_the_bytes_that_were_stored(expected, tmp_path):
    store = LocalStore(tmp_path, disk=LyingDisk())
    with store.writer("r") as writer:
        writer.write(HELLO)
        if expected:
            with pytest.raises(DigestMismatch) as caught:
                writer.commit(expected=expected)
            assert caught.value.actual == Digest.of(b"hello, World")
        assert store.read(writer.commit().digest) == b"hello, World"


def test_bytes_that_have_another_name_are_not_written_to(tmp_path):
    store = LocalStore(tmp_path / "root")
    begin(store, "r", HELLO[:5])
    data = tmp_path / "root" / "ingest" / key_of("r") / "data"
    backup = tmp_path / "backup"
    backup.hardlink_to(data)
    with store.writer("r") as writer:
        assert writer.offset == 5
        writer.write(HELLO[5:])
        assert backup.read_bytes() == HELLO[:5]
        assert store.read(writer.commit(expected=RIGHT).digest) == HELLO
    assert backup.read_bytes() == HELLO[:5]
    assert backup.stat().st_mode & 0o200


class BookedDisk(Disk):
    """It has room for what is reserved, up to a limit."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.reserved = limit, []

    def reserve(self, file, offset, size):
        if offset + size > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.reserved.append((offset, size))


def test_the_room_for_a_total_is_taken_at_the_start_and_again_after_truncating(tmp_path):
    disk = BookedDisk(1 << 20)
    store = LocalStore(tmp_path, disk=disk)
    with store.writer("r", total=100_000) as writer:
        writer.write(sample(20_000))
        writer.truncate()
        writer.write(sample(10_000))
    store.writer("r").close()
    assert disk.reserved == [(0, 100_000), (0, 100_000), (10_000, 90_000)]


def test_a_total_for_which_there_is_no_room_is_refused_at_byte_0(tmp_path):
    store = LocalStore(tmp_path, disk=BookedDisk(99_999))
    with pytest.raises(ResourceExhausted) as caught:
        store.writer("r", total=100_000)
    assert (caught.value.offset, caught.value.needed) == (0, 100_000)


def test_bytes_that_somebody_changed_since_they_were_hashed_are_hashed_again(tmp_path):
    store = LocalStore(tmp_path)
    with store.writer("r") as writer:
        writer.write(b"a" * 1000)
        writer.sync()
        writer._lock.release()  # as the end of its process does
        data = tmp_path / "ingest" / key_of("r") / "data"
        data.write_bytes(b"b" * 1000)
        with store.writer("r") as resumed:
            held = data.read_bytes()
            assert resumed.offset == len(held)
            assert resumed.digest == Digest.of(held)
            digest = resumed.commit().digest
    assert Digest.of(store.read(digest)) == digest


# Young ingests

YOUNG = {"data", "lock", "beginning"}
GROWN = {"data", "lock", "ref", "startedat", "updatedat", "checkpoint"}


def names(store):
    return {path.name for path in (store.root / "ingest" / key_of("r")).iterdir()}


def kill(writer):
    writer._release(WriterClosed)  # what the kernel does for the dead


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


def test_an_ingest_is_young_until_it_is_worth_a_thread(store):
    with store.writer("r") as writer:
        writer.write(bytes(INLINE_LIMIT - 1))
        assert names(store) == YOUNG
        writer.write(b"1")
        assert names(store) == GROWN
        writer.write(HELLO)
        kill(writer)
    with store.writer("r") as writer:
        assert writer.offset == INLINE_LIMIT + len(HELLO)
        assert writer.digest == Digest.of(bytes(INLINE_LIMIT - 1) + b"1" + HELLO)


@pytest.mark.parametrize("end", ["sync", "close"])
def test_an_ingest_is_young_until_it_is_synced_or_closed(store, end):
    with store.writer("r", total=len(HELLO), expected=RIGHT) as writer:
        writer.write(HELLO)
        young = store.ingest("r")
        assert names(store) == YOUNG
        getattr(writer, end)()
        assert names(store) == {*GROWN, "total", "expected"}
        assert store.ingest("r")._replace(updated_ns=young.updated_ns) == young


def test_a_young_ingest_that_a_killed_process_left_goes_on_and_is_young_no_more(store):
    young = store.writer("r", total=len(HELLO), expected=RIGHT)
    young.write(HELLO[:5])
    before = store.ingest("r")
    kill(young)
    assert store.ingest("r") == before
    with store.writer("r") as writer:
        assert names(store) == {*GROWN, "total", "expected"}
        assert writer.status() == before
        writer.write(HELLO[5:])
        assert writer.commit().digest == RIGHT
    assert list(store.ingests()) == []


def test_a_young_ingest_of_another_boot_begins_anew_with_its_total(store):
    class Rebooted(Disk):
        def boot_id(self):
            return "another"

    young = store.writer("r", total=len(HELLO))
    young.write(HELLO[:5])
    kill(young)
    with LocalStore(store.root, disk=Rebooted()).writer("r") as writer:
        assert (writer.offset, writer.status().total) == (0, len(HELLO))


def test_a_young_ingest_is_emptied_and_stays_young(store):
    with store.writer("r") as writer:
        writer.write(HELLO)
        writer.truncate()
        assert names(store) == YOUNG
        writer.write(HELLO[:5])
        kill(writer)
    with store.writer("r") as writer:
        assert writer.digest == Digest.of(HELLO[:5])


def test_a_young_ingest_whose_disk_is_full_grows_up_later(store, monkeypatch):
    def full(disk, folder, known):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.writer("r") as writer:
        with monkeypatch.context() as patched:
            patched.setattr(sidecars, "write", full)
            writer.write(bytes(INLINE_LIMIT))
        assert writer.offset == INLINE_LIMIT
        assert names(store) == YOUNG
        writer.write(b"1")
        assert names(store) == GROWN
