"""Any call of the disk may fail, once or for a while: P9, and H12, for every other error too."""

import contextlib
import errno
from pathlib import Path

import pytest

from lading.errors import (
    AlreadyExists,
    DiskFailed,
    Error,
    PermissionDenied,
    ResourceExhausted,
    WriterClosed,
)
from lading.model.digest import Digest
from lading.stores.local import follower, spares
from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore
from tests.crash.cuts import repeatable
from tests.crash.ledger import Ledger
from tests.crash.stories import STORIES, A, Actor, B, C, commits_one_after_another
from tests.support.failing import CALLS, FailingDisk
from tests.support.volatile import VolatileDisk

EACH_STORY = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
MEANING = {
    errno.ENOSPC: ResourceExhausted,
    errno.EDQUOT: ResourceExhausted,
    errno.EIO: DiskFailed,
    errno.EACCES: PermissionDenied,
}
MAY_LEAVE_STRAYS = {"remove", "remove_folder", "rename"}


@pytest.fixture(autouse=True)
def _quick_syncs(monkeypatch):
    # Thousands of real ones would say nothing here, where none is cut off.
    monkeypatch.setattr("lading.stores.local.disk._full_sync", lambda file: None)


def files_open_below(place):
    found = []
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # the listing's own, which is closed by now
            target = str(link.readlink()).removesuffix(" (deleted)")
            if Path(target).is_relative_to(place):
                found.append(target)
    return found


def _raised_by(story, actor):
    """The class of the error that ends a story, if it is one of ours."""
    try:
        story(actor)
    except Error as error:
        return type(error)
    return None


def fail_everywhere(place, story, numbers, *, lasts):
    """Tell the story with each call failing in turn, mend the disk, and tell it again."""
    for k in range(1_000_000):
        number = numbers[k % len(numbers)]
        disk = FailingDisk(number, fails_at=k, lasts=lasts)
        folder = place / str(k)
        folder.mkdir()
        ledger = Ledger()
        actor = Actor(LocalStore(folder / "store", disk=disk), ledger, folder / "source")
        told = f"call {k} fails with {errno.errorcode[number]}"
        with repeatable(told):
            raised = _raised_by(story, actor)
            if not disk.failed:
                assert raised is None
                return
            assert raised in {None, MEANING[number]}
        disk.mend()
        if actor.store._spares:
            actor.store._spares.clear()  # as the end of the store would
        with repeatable(f"{told}: {disk.failed[:5]}, after {disk.calls[max(0, k - 3) : k]}"):
            assert files_open_below(folder) == []
            store = LocalStore(folder / "store")
            ledger.check_blobs(store)
            ledger.check_refs(store)
            story(actor)
            ledger.check_blobs(store)
            if not lasts and not MAY_LEAVE_STRAYS.intersection(disk.failed):
                assert list(store.strays()) == []
            ledger.finish_ingests(store)


@pytest.mark.slow
@EACH_STORY
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_one_failed_call_loses_nothing_and_locks_nothing(story, number, tmp_path):
    fail_everywhere(tmp_path, story, [number], lasts=False)


@pytest.mark.slow
@EACH_STORY
def test_calls_that_fail_until_the_disk_is_mended_lose_nothing_and_lock_nothing(story, tmp_path):
    numbers = [errno.EDQUOT, errno.EACCES, errno.EIO, errno.ENOSPC, errno.EACCES]
    fail_everywhere(tmp_path, story, numbers, lasts=True)


@pytest.mark.slow
@pytest.mark.parametrize("lasts", [False, True])
def test_a_failing_call_loses_nothing_where_a_commit_leaves_its_folder_to_the_next(
    lasts, tmp_path, monkeypatch
):
    monkeypatch.setattr(spares, "AFTER", 0)
    numbers = [errno.EIO, errno.ENOSPC, errno.EACCES]
    fail_everywhere(tmp_path, commits_one_after_another, numbers, lasts=lasts)


@pytest.mark.parametrize("inline_limit", [1 << 10, 1 << 20], ids=["in a thread", "inline"])
@pytest.mark.parametrize("more", range(6))
def test_after_a_truncation_that_failed_every_byte_is_hashed(
    tmp_path, monkeypatch, more, inline_limit
):
    monkeypatch.setattr(follower, "INLINE_LIMIT", inline_limit)
    monkeypatch.setattr(follower, "READ_SIZE", 1 << 10)
    disk = FailingDisk(errno.EIO)
    store = LocalStore(tmp_path, disk=disk)
    with store.writer("r") as writer:
        writer.write(A)
        writer.sync()
        disk.fail_after(more)
        with contextlib.suppress(DiskFailed):
            writer.truncate()
        disk.mend()
        Ledger().check_offset(store, writer)
        with contextlib.suppress(WriterClosed):
            writer.write(B)
            blob = writer.commit()
            assert store.read(blob.digest) in {A + B, B}
    with store.writer("r") as writer:
        writer.truncate()
        writer.write(C)
        assert writer.commit().digest == Digest.of(C)
    for blob in store.blobs():
        assert Digest.of(store.read(blob.digest)) == blob.digest


def test_a_commit_that_failed_after_its_one_step_leaves_the_ref_to_try_again(tmp_path):
    disk = FailingDisk(errno.EIO)
    store = LocalStore(tmp_path, disk=disk)
    with store.writer("r") as writer:
        writer.write(A)
        disk.fail_after(3)
        with pytest.raises(DiskFailed):
            writer.commit()
        assert disk.failed == ["sync_directory"]
        disk.mend()
        with pytest.raises(WriterClosed):  # the bytes are a blob's, and nobody may write to them
            writer.write(B)
    assert store.ingest("r").offset == len(A)
    with store.writer("r") as writer, contextlib.suppress(AlreadyExists):
        writer.commit()
    assert store.read(Digest.of(A)) == A
    assert list(store.ingests()) == []
    assert list(store.strays()) == []


def test_an_opening_that_fails_to_clean_up_lets_go_of_the_ref(tmp_path):
    disk = FailingDisk(errno.EIO, lasts=True)
    store = LocalStore(tmp_path, disk=disk)
    store.add(A)
    disk.fail_after(2)
    with pytest.raises(DiskFailed):
        store.writer("r")
    disk.mend()
    store.writer("r").close()


def test_the_disks_of_the_tests_leave_out_no_call_of_the_real_one():
    calls = {name for name in vars(Disk) if not name.startswith("_")} - {"boot_id"}
    assert calls == set(CALLS)
    assert calls <= set(vars(VolatileDisk))
