"""H12 to H20: full disks, crash windows, and what a power cut leaves."""

import errno
import stat
from contextlib import suppress

import pytest

from lading.errors import (
    AlreadyExists,
    DiskFailed,
    NotFound,
    ResourceExhausted,
    WriterClosed,
)
from lading.model.digest import Digest
from lading.stores.local.disk import Disk
from lading.stores.local.paths import key_of
from lading.stores.local.store import LocalStore
from tests.conformance.samples import HELLO, begin, sample
from tests.regressions.disks import FailingDisk, Notebook, SmallDisk

RIGHT = Digest.of(HELLO)
COMMITTED_NS = 1_750_000_000_123_456_789


class Rebooted(Disk):
    """A machine that was started anew."""

    def boot_id(self):
        return "another"


def test_h12_on_a_full_disk_the_offset_is_what_the_disk_holds(root):
    disk = SmallDisk(1 << 20, most=1000)
    store = LocalStore(root, disk=disk)
    data = sample(50_000)
    with store.writer("r") as writer:
        writer.write(data[:100])
        disk.room = 9_500
        with pytest.raises(ResourceExhausted) as caught:
            writer.write(data[100:])
        assert caught.value.offset == writer.offset == store.ingest("r").offset == 9_600
        assert (root / "ingest" / key_of("r") / "data").stat().st_size == 9_600
        assert writer.digest == Digest.of(data[:9_600])
        disk.room = 1 << 20
        writer.write(data[writer.offset :])
        assert writer.commit(expected=Digest.of(data)).size == len(data)
    assert store.read(Digest.of(data)) == data


@pytest.mark.parametrize("room", [0, 1, 2, 40, 80, 120])
def test_h12_an_ingest_that_cannot_begin_leaves_nothing_that_breaks_a_listing(room, root):
    begin(LocalStore(root), "other", HELLO)
    store = LocalStore(root, disk=SmallDisk(room))
    with pytest.raises(ResourceExhausted):
        store.writer("r")
    # It may have begun, and then it is empty; or it has not, and then nothing of it is there.
    offsets = {ingest.ref: ingest.offset for ingest in store.ingests()}
    assert offsets in ({"other": len(HELLO)}, {"other": len(HELLO), "r": 0})
    assert {path.name for path in (root / "ingest").iterdir()} == {key_of(ref) for ref in offsets}
    begin(LocalStore(root), "r", HELLO)


def test_h12_a_close_that_finds_the_disk_full_leaves_nothing_half_written(root):
    disk = SmallDisk(1 << 20)
    store = LocalStore(root, disk=disk)
    writer = store.writer("r")
    writer.write(HELLO)
    disk.room = 3
    with pytest.raises(ResourceExhausted):
        writer.close()
    disk.room = 1 << 20
    with store.writer("r") as writer:
        assert writer.offset == len(HELLO)
        assert writer.commit(expected=RIGHT).digest == RIGHT


@pytest.mark.parametrize("way", ["writer", "add", "batch"])
def test_h13_the_first_commit_records_every_folder_above_the_blob(way, tmp_path):
    disk = Notebook()
    root = tmp_path / "new" / "root"
    store = LocalStore(root, disk=disk)
    match way:
        case "writer":
            with store.writer("r") as writer:
                writer.write(HELLO)
                writer.commit()
        case "add":
            store.add(HELLO)
        case "batch":
            with store.batch() as batch:
                batch.add(HELLO)
    synced = {path for name, path, *_ in disk.calls if name == "sync_directory"}
    assert {
        root / "blobs" / "sha256",
        root / "blobs",
        root,
        root.parent,
        tmp_path,
    } <= synced


def test_h14_a_folder_that_could_not_be_synced_is_never_said_to_be(root):
    disk = FailingDisk()
    store = LocalStore(root, disk=disk)
    store.add(b"so that the folders are there")
    writer = store.writer("r")
    writer.write(HELLO)
    disk.fails["sync_directory sha256"] = errno.EIO
    with pytest.raises(DiskFailed):
        writer.commit()
    writer.close()
    # The name is there, and nobody may yet call it kept.
    assert store.read(RIGHT) == HELLO
    with pytest.raises(DiskFailed):
        store.add(HELLO)
    with pytest.raises(DiskFailed):
        store.writer("again", expected=RIGHT)
    disk.fails.clear()
    again = LocalStore(root)
    assert again.add(HELLO).digest == RIGHT
    with again.writer("r") as writer, suppress(AlreadyExists):
        writer.truncate()
        writer.write(HELLO)
        writer.commit(expected=RIGHT)
    assert again.read(RIGHT) == HELLO
    assert list(again.ingests()) == []


def test_h14_a_writer_whose_bytes_may_be_a_blob_writes_to_it_no_more(root):
    disk = FailingDisk()
    store = LocalStore(root, disk=disk)
    store.add(b"so that the folders are there")
    writer = store.writer("r")
    writer.write(HELLO)
    disk.fails["sync_directory sha256"] = errno.EIO
    disk.fails["link_within data"] = errno.ENOSPC
    with pytest.raises(DiskFailed):
        writer.commit()
    with pytest.raises(WriterClosed):
        writer.write(b" and more")
    assert store.read(RIGHT) == HELLO
    disk.fails.clear()
    with LocalStore(root).writer("r") as again:
        assert again.offset == 0


@pytest.mark.parametrize("left", [[], ["ref"], ["ref", "startedat", "updatedat", "checkpoint"]])
def test_h15_a_folder_without_data_breaks_no_listing_and_no_opening(left, store, root):
    begin(store, "other", HELLO)
    begin(store, "r", b"x" * 100)
    folder = root / "ingest" / key_of("r")
    for path in folder.iterdir():
        if path.name not in left:
            path.unlink()
    assert [ingest.ref for ingest in store.ingests()] == ["other"]
    with pytest.raises(NotFound):
        store.ingest("r")
    with store.writer("r") as writer:
        assert writer.offset == 0
        writer.write(HELLO)
        assert writer.commit().digest == RIGHT
    assert not folder.exists()


@pytest.mark.parametrize("way", ["writer", "add", "batch"])
def test_h16_a_blob_has_its_mode_and_time_before_it_has_its_name(way, root):
    disk = Notebook()
    store = LocalStore(root, disk=disk, clock=lambda: COMMITTED_NS)
    match way:
        case "writer":
            with store.writer("r") as writer:
                writer.write(HELLO)
                writer.commit()
        case "add":
            store.add(HELLO)
        case "batch":
            with store.batch() as batch:
                batch.add(HELLO)
    [found] = [found for name, *facts in disk.calls if name == "name" for found in facts[1:]]
    assert stat.S_IMODE(found.st_mode) & 0o333 == 0
    assert found.st_mtime_ns == COMMITTED_NS
    assert store.blob(RIGHT).created_ns == COMMITTED_NS


def test_h19_after_a_reboot_only_what_was_synced_is_believed(root):
    store = LocalStore(root)
    with store.writer("r") as writer:
        writer.write(b"a" * 1000)
        writer.sync()
        writer.write(b"b" * 1000)
        # The power goes, and what was not synced comes back as something else.
        with (root / "ingest" / key_of("r") / "data").open("r+b") as data:
            data.seek(1000)
            data.write(bytes(1000))
        rebooted = LocalStore(root, disk=Rebooted())
        writer._lock.release()  # as the end of its process does
        with rebooted.writer("r") as resumed:
            assert resumed.offset == rebooted.ingest("r").offset == 1000
            assert resumed.digest == Digest.of(b"a" * 1000)
            resumed.write(b"c" * 1000)
            digest = resumed.commit().digest
    assert rebooted.read(digest) == b"a" * 1000 + b"c" * 1000


@pytest.mark.parametrize("ref", [b"", bytes(1), b"\0" * 4])
def test_h19_a_ref_file_that_a_power_cut_emptied_poisons_nothing(ref, root):
    begin(LocalStore(root), "r", b"a" * 100)
    (root / "ingest" / key_of("r") / "ref").write_bytes(ref)
    store = LocalStore(root, disk=Rebooted())
    assert list(store.ingests()) == []
    with store.writer("r") as writer:
        assert writer.offset == 0
        writer.write(HELLO)
        assert store.read(writer.commit().digest) == HELLO


def test_h20_many_small_blobs_share_one_sync(root):
    disk = Notebook()
    store = LocalStore(root, disk=disk)
    with store.batch() as batch:
        disk.calls.clear()
        for number in range(100):
            batch.add(b"%d" % number)
    syncs = [name for name, *_ in disk.calls if name.startswith("sync")]
    # Where a whole file system can be synced: one for all bytes, one for all names.
    assert syncs in (["sync_file_system", "sync_directory"], [*["sync"] * 100, "sync_directory"])
    assert len(list(store.blobs())) == 100
