"""S1 to S20: what was wrong in containerd's first store."""

import errno
import os
import stat
from pathlib import Path

import pytest

from lading.content.transfer import ingest
from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    DiskFailed,
    IngestMismatch,
    InvalidArgument,
    PermissionDenied,
    RefLocked,
    ResourceExhausted,
    SizeMismatch,
)
from lading.model.digest import Digest
from lading.stores.local.disk import Disk
from lading.stores.local.paths import LOCK, key_of
from lading.stores.local.store import LocalStore
from tests.conformance.samples import ABSENT, HELLO, begin, sample
from tests.regressions.disks import FailingDisk, Notebook, SmallDisk

RIGHT = Digest.of(HELLO)
DESCRIPTORS = Path("/proc/self/fd")


def test_s1_a_new_ref_is_locked_from_the_start(store, root):
    with store.writer("r"):
        for _ in range(2):
            with pytest.raises(RefLocked):
                LocalStore(root).writer("r")


def test_s2_a_resumed_write_goes_after_what_is_there(store):
    begin(store, "r", b"a" * 128)
    with store.writer("r") as writer:
        writer.write(b"b" * 128)
        digest = writer.commit(expected=Digest.of(b"a" * 128 + b"b" * 128)).digest
    assert store.read(digest) == b"a" * 128 + b"b" * 128


def test_s3_a_write_after_truncate_goes_to_the_beginning(store):
    with store.writer("r") as writer:
        writer.write(b"12345")
        writer.truncate()
        writer.write(b"abc")
        digest = writer.commit(expected=Digest.of(b"abc")).digest
    assert store.read(digest) == b"abc"


@pytest.mark.parametrize("commit", [{"size": 1}, {"expected": ABSENT}])
def test_s4_a_refused_commit_does_not_make_the_bytes_read_only(commit, store, root):
    with store.writer("r") as writer:
        writer.write(HELLO)
        with pytest.raises((SizeMismatch, DigestMismatch)):
            writer.commit(**commit)
        assert (root / "ingest" / key_of("r") / "data").stat().st_mode & stat.S_IWUSR
    with store.writer("r") as writer:
        assert writer.commit().digest == RIGHT


def test_s5_a_writer_whose_digest_was_wrong_goes_on_and_closes_and_lets_go(store):
    writer = store.writer("r")
    writer.write(HELLO[:5])
    with pytest.raises(DigestMismatch):
        writer.commit(expected=RIGHT)
    writer.write(HELLO[5:])
    with pytest.raises(DigestMismatch):
        writer.commit(expected=ABSENT)
    writer.close()
    with store.writer("r") as writer:
        assert writer.commit(expected=RIGHT).digest == RIGHT


def test_s6_the_offset_counts_what_the_disk_took(root):
    data = sample(10_000)
    store = LocalStore(root, disk=SmallDisk(1 << 30, most=7))
    with store.writer("r") as writer:
        assert writer.write(data) == len(data)
        assert writer.offset == len(data)
        assert store.read(writer.commit(expected=Digest.of(data)).digest) == data


def test_s7_an_ingest_can_be_asked_for_by_its_ref(store):
    begin(store, "r", HELLO)
    found = store.ingest("r")
    assert (found.ref, found.offset) == ("r", len(HELLO))


def test_s8_opening_a_ref_that_holds_another_transfer_is_refused_and_not_answered_with_nothing(
    store,
):
    store.writer("r", total=100).close()
    with pytest.raises(IngestMismatch) as caught:
        store.writer("r", total=50)
    assert (caught.value.stored, caught.value.given) == (100, 50)


def test_s8_a_folder_that_holds_another_ref_is_not_that_ref(store, root):
    begin(store, "other", b"other bytes")
    (root / "ingest" / key_of("other")).rename(root / "ingest" / key_of("r"))
    with store.writer("r") as writer:
        assert (writer.ref, writer.offset) == ("r", 0)
        writer.write(HELLO)
        assert store.read(writer.commit().digest) == HELLO


def test_s9_a_refused_opening_does_not_keep_the_lock(store):
    store.writer("r", total=100).close()
    with pytest.raises(IngestMismatch):
        store.writer("r", total=50)
    store.writer("r", total=100).close()


def test_s10_a_second_commit_of_a_digest_does_not_replace_the_blob(store):
    before = store.add(HELLO)
    inode = store.path(RIGHT).stat().st_ino
    with store.writer("r") as writer:
        writer.write(HELLO)
        with pytest.raises(AlreadyExists):
            writer.commit()
    assert store.path(RIGHT).stat().st_ino == inode
    assert store.blob(RIGHT) == before


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EXDEV, DiskFailed),
        (errno.ENOSPC, ResourceExhausted),
        (errno.EIO, DiskFailed),
        (errno.EACCES, PermissionDenied),
    ],
)
def test_s11_an_ingest_outlives_a_rename_that_fails(code, error, root):
    disk = FailingDisk()
    store = LocalStore(root, disk=disk)
    disk.fails["rename_exclusively"] = code
    writer = store.writer("r")
    writer.write(HELLO)
    with pytest.raises(error):
        writer.commit()
    writer.close()
    disk.fails.clear()
    with store.writer("r") as writer:
        assert writer.offset == len(HELLO)
        assert writer.commit().digest == RIGHT


def test_s12_a_commit_syncs_the_folder_after_the_name(root):
    disk = Notebook()
    with LocalStore(root, disk=disk).writer("r") as writer:
        writer.write(HELLO)
        digest = writer.commit().digest
    calls = [call[:2] for call in disk.calls]
    target = root / "blobs" / "sha256" / digest.hex
    inode = target.stat().st_ino
    assert calls.index(("sync", inode)) < calls.index(("name", target))
    assert ("sync_directory", target.parent) in calls[calls.index(("name", target)) :]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_s13_the_expected_digest_is_checked_by_its_own_algorithm(algorithm, store):
    right, wrong = Digest.of(HELLO, algorithm), Digest.of(b"no", algorithm)
    for opening, commit in (({"expected": right}, {}), ({}, {"expected": right})):
        with store.writer("r", **opening) as writer:
            writer.write(HELLO)
            with pytest.raises(DigestMismatch):
                writer.commit(expected=wrong)
            assert writer.commit(**commit).digest == right
        assert store.read(right) == HELLO
        store.delete(right)


def test_s14_listings_of_an_empty_store_are_empty(store, root):
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []
    assert not root.exists()


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="nobody lists the open files")
def test_s17_listing_ingests_leaves_no_file_open(store):
    begin(store, "r", HELLO)
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(20):
        assert len(list(store.ingests())) == 1
        assert store.ingest("r").offset == len(HELLO)
    assert len(list(DESCRIPTORS.iterdir())) == before


@pytest.mark.parametrize("process", [1, os.getpid(), 2**22], ids=["first", "own", "none"])
def test_s18_what_a_lock_file_says_locks_nothing(process, store, root):
    begin(store, "r", HELLO)
    (root / "ingest" / key_of("r") / LOCK).write_text(f"{process} 1 here python\n")
    with store.writer("r") as writer:
        assert writer.offset == len(HELLO)


def test_s18_a_process_cannot_take_its_own_lock_a_second_time(store, root):
    with store.writer("r"):
        for other in (store, LocalStore(root), LocalStore(os.path.relpath(root))):
            with pytest.raises(RefLocked):
                other.writer("r")


def test_s19_a_relative_root_is_the_same_root_wherever_the_process_goes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = LocalStore("root")
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.add(HELLO)
    assert LocalStore(tmp_path / "root").read(RIGHT) == HELLO
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_s19_an_empty_ref_is_refused(store):
    for call in (store.writer, store.ingest, store.abort):
        with pytest.raises(InvalidArgument):
            call("")


def test_s20_a_source_that_is_resumed_is_read_from_there_to_its_end(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(HELLO)
    begin(store, "r", HELLO[:5])
    with source.open("rb") as file:
        assert ingest(store, "r", file).digest == RIGHT


def test_a_disk_of_these_tests_is_the_real_one_where_nothing_is_said(root):
    for disk in (Notebook(), SmallDisk(1 << 20), FailingDisk()):
        assert isinstance(disk, Disk)
        store = LocalStore(root / type(disk).__name__, disk=disk)
        begin(store, "r", HELLO)
        with store.writer("r") as writer:
            assert store.read(writer.commit().digest) == HELLO
