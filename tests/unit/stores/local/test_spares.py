import fcntl
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lading.errors import AlreadyExists, NotFound, RefLocked
from lading.model.digest import Digest
from lading.stores.local import renaming, scratch, sidecars, spares
from lading.stores.local.disk import Disk
from lading.stores.local.paths import SPARE, StorePaths
from lading.stores.local.scratch import SWEEP_AGE_NS
from lading.stores.local.store import LocalStore

OPEN = Path("/proc/self/fd")


class CountingDisk(Disk):
    """Counts what it makes."""

    def __init__(self):
        super().__init__()
        self.folders = 0

    def make_folder(self, path):
        self.folders += path.parent.name == "ingest"
        super().make_folder(path)


@pytest.fixture
def disk():
    return CountingDisk()


@pytest.fixture
def store(tmp_path, disk):
    return LocalStore(tmp_path, disk=disk)


@pytest.fixture
def at_once(monkeypatch):
    """The first commit leaves its folder already."""
    monkeypatch.setattr(spares, "AFTER", 0)


def commit(store, ref, data=None):
    data = ref.encode() if data is None else data
    with store.writer(ref) as writer:
        writer.write(data)
        return writer.commit(expected=Digest.of(data))


@contextmanager
def lock_folder(root, how):
    """Lock the folder of all ingests, or raise."""
    place = os.open(root / "ingest", os.O_RDONLY)
    try:
        fcntl.flock(place, how | fcntl.LOCK_NB)
        yield
    finally:
        os.close(place)


def waiting(root):
    return [each for each in (root / "scratch").iterdir() if each.name.startswith(SPARE)]


def test_ingest_after_ingest_is_written_in_one_folder(store, disk, at_once, tmp_path):
    for number in range(20):
        commit(store, f"ref {number}")
    assert disk.folders == 1
    assert len(waiting(tmp_path)) == 1
    assert len(list(store.blobs())) == 20
    assert list((tmp_path / "ingest").iterdir()) == []


def test_a_few_commits_leave_nothing_behind(store, tmp_path):
    for number in range(spares.AFTER):
        commit(store, f"ref {number}")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_no_more_folders_are_kept_than_there_were_ingests_at_a_time(store, at_once, tmp_path):
    for turn in range(3):
        writers = [store.writer(f"{turn} {number}") for number in range(4)]
        for number, writer in enumerate(writers):
            writer.write(f"{turn} {number}".encode())
            writer.commit()
    assert len(waiting(tmp_path)) == 4


def test_the_same_ref_again_and_again_keeps_one_folder_and_is_never_written_in_it(
    store, disk, at_once, tmp_path
):
    for number in range(5):
        commit(store, "ref", b"%d" % number)
    assert disk.folders == 5
    assert len(waiting(tmp_path)) == 1


def test_a_ref_in_a_folder_of_another_is_locked_from_its_first_moment(store, at_once, tmp_path):
    commit(store, "one")
    seen = []

    class Watching(Disk):
        def rename_exclusively(self, source, target, *, folder=None):
            super().rename_exclusively(source, target, folder=folder)
            with pytest.raises(RefLocked) as locked:
                LocalStore(tmp_path).writer("two")
            seen.append(locked.value.holder)

    store._spares._disk = Watching()
    with store.writer("two") as writer:
        assert writer.offset == 0
    assert str(os.getpid()) in seen[0]


def test_a_ref_whose_folder_is_there_is_taken_up_in_it(store, at_once, tmp_path):
    with store.writer("two") as writer:
        writer.write(b"half")
    commit(store, "one")
    before = waiting(tmp_path)
    with store.writer("two") as writer:
        assert writer.offset == 4
    assert waiting(tmp_path) == before != []


def test_a_folder_that_comes_just_before_a_spare_one_keeps_its_place(store, at_once, tmp_path):
    class Late(Disk):
        """Somebody else begins the ref between the look and the move."""

        def rename_exclusively(self, source, target, *, folder=None):
            theirs.append(LocalStore(tmp_path).writer("two"))
            super().rename_exclusively(source, target, folder=folder)

    theirs = []
    commit(store, "one")
    store._spares._disk = Late()
    with pytest.raises(RefLocked):
        store.writer("two")
    with theirs.pop() as writer:
        writer.write(b"bytes")
        assert writer.commit().size == 5


def test_what_a_folder_held_before_is_no_ingest_of_the_ref_that_has_it_now(
    store, at_once, tmp_path, monkeypatch
):
    commit(store, "one")

    def die(*arguments):
        raise KeyboardInterrupt

    # Whoever dies here leaves the folder under its new name, and in it the beginning of the old.
    monkeypatch.setattr(sidecars, "begin", die)
    monkeypatch.setattr("lading.stores.local.ingests.drop_unbegun", lambda *arguments: None)
    with pytest.raises(KeyboardInterrupt):
        store.writer("two")
    monkeypatch.undo()
    assert len(list((tmp_path / "ingest").iterdir())) == 1
    assert list(store.ingests()) == []
    with pytest.raises(NotFound):
        store.ingest("two")
    with store.writer("two") as writer:
        assert writer.offset == 0


def test_a_folder_that_an_abort_moved_in_the_middle_of_a_commit_is_left_alone(
    store, at_once, tmp_path
):
    paths = StorePaths(tmp_path)
    stolen = tmp_path / "scratch" / "aborted-1-2"

    class Aborting(Disk):
        def sync_directory(self, path):
            super().sync_directory(path)
            if path.name == "sha256" and writer.offset:
                paths.ingest("r").rename(stolen)
                paths.ingest("r").mkdir()
                (paths.ingest("r") / "lock").write_text("of somebody else")

        def rename(self, source, target, *, folder=None):
            moved.append(source)
            super().rename(source, target, folder=folder)

    moved = []
    store._disk = store._blobs._disk = Aborting()
    writer = store.writer("r")
    with writer:
        writer.write(b"bytes")
        writer.commit()
    assert waiting(tmp_path) == moved == []
    assert (paths.ingest("r") / "lock").read_text() == "of somebody else"


def test_an_abort_waits_while_a_commit_keeps_its_folder(store, at_once, tmp_path):
    commit(store, "prepares the store")
    moved = []

    class Looking(Disk):
        def rename(self, source, target, *, folder=None):
            with pytest.raises(BlockingIOError):
                lock_folder(tmp_path, fcntl.LOCK_EX).__enter__()
            super().rename(source, target, folder=folder)
            moved.append(target)

    store._spares._disk = Looking()
    commit(store, "one")
    assert len(moved) == 1


def test_a_commit_keeps_no_folder_while_an_abort_moves_one(store, at_once, tmp_path):
    with store.writer("r") as writer:
        writer.write(b"bytes")
    kept = []

    class Committing(Disk):
        def rename(self, source, target, *, folder=None):
            with pytest.raises(BlockingIOError):
                lock_folder(tmp_path, fcntl.LOCK_SH).__enter__()
            commit(store, "one")
            kept.extend(waiting(tmp_path))
            super().rename(source, target, folder=folder)

    LocalStore(tmp_path, disk=Committing()).abort("r")
    assert kept == []
    assert store.read(Digest.of(b"one")) == b"one"


def test_an_abort_goes_on_without_a_commit_that_was_stopped(store, tmp_path, monkeypatch):
    monkeypatch.setattr(renaming, "PATIENCE_SECONDS", 0)
    with store.writer("r") as writer:
        writer.write(b"bytes")
    with lock_folder(tmp_path, fcntl.LOCK_SH):
        store.abort("r")
    assert list(store.ingests()) == []


def test_a_folder_that_was_moved_in_the_place_of_ours_is_given_back(store, at_once, tmp_path):
    path = StorePaths(tmp_path).ingest("r")
    theirs = []

    class Stopped(Disk):
        """An abort did not wait for it, and somebody has begun the ref again."""

        def rename(self, source, target, *, folder=None):
            if source == path and not theirs:
                path.rename(tmp_path / "scratch" / "aborted-1-2")
                writer = LocalStore(tmp_path).writer("r")
                writer.write(b"of somebody else")
                theirs.append(writer)
            super().rename(source, target, folder=folder)

    commit(store, "prepares the store")
    store._spares._disk = Stopped()
    commit(store, "r")
    assert waiting(tmp_path) == []
    assert store.ingest("r").offset == 16
    with theirs.pop() as writer:
        assert writer.commit().size == 16


def test_a_long_ingest_has_its_folder_removed(store, at_once, tmp_path):
    with store.writer("r") as writer:
        writer.write(b"bytes")
        writer.sync()
        writer.commit()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_bytes_that_were_there_already_are_in_no_folder_that_is_kept(store, at_once, tmp_path):
    commit(store, "one", b"bytes")
    with store.writer("two") as writer:
        writer.write(b"bytes")
        with pytest.raises(AlreadyExists):
            writer.commit()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert list((tmp_path / "ingest").iterdir()) == []


def test_what_is_written_into_a_folder_is_in_no_backup_made_of_hard_links(store, at_once, tmp_path):
    with store.writer("one") as writer:
        writer.write(b"bytes")
        beginning = StorePaths(tmp_path).ingest("one") / "beginning"
        backup = tmp_path / "beginning in a backup"
        backup.hardlink_to(beginning)
        before = backup.read_bytes()
        writer.commit()
    with store.writer("two"):
        assert backup.read_bytes() == before


def test_a_copy_that_was_published_keeps_no_folder(store, at_once, tmp_path):
    with store.writer("r") as writer:
        writer.write(b"bytes")
        writer._lock.trusted = False
        writer.commit()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert list((tmp_path / "ingest").iterdir()) == []


def test_a_store_that_nobody_has_any_more_leaves_nothing(tmp_path, at_once):
    store = LocalStore(tmp_path)
    commit(store, "one")
    before = len(list(OPEN.iterdir()))
    assert waiting(tmp_path)
    del store
    assert list((tmp_path / "scratch").iterdir()) == []
    assert len(list(OPEN.iterdir())) == before - 2


def test_a_folder_that_waits_is_not_swept_and_is_no_stray(store, at_once, tmp_path):
    commit(store, "one")
    found = waiting(tmp_path)
    now_ns = found[0].stat().st_mtime_ns + 2 * SWEEP_AGE_NS
    scratch.sweep(Disk(), StorePaths(tmp_path), now_ns)
    assert waiting(tmp_path) == found
    assert list(LocalStore(tmp_path).strays()) == []


def _die_with_a_spare(root):
    spares.AFTER = 0
    store = LocalStore(root)
    commit(store, "one")
    os._exit(0)  # with the store still in somebody's hands


def test_what_a_killed_process_kept_is_a_stray_and_swept_in_an_hour(tmp_path):
    spawned = multiprocessing.get_context("spawn")
    process = spawned.Process(target=_die_with_a_spare, args=[tmp_path])
    process.start()
    process.join()
    found = waiting(tmp_path)
    assert [path for path, _ in LocalStore(tmp_path).strays()] == found
    now_ns = found[0].stat().st_mtime_ns + 2 * SWEEP_AGE_NS
    scratch.sweep(Disk(), StorePaths(tmp_path), now_ns)
    assert waiting(tmp_path) == []


def test_a_spare_folder_that_somebody_removed_is_missed_by_nobody(store, at_once, disk, tmp_path):
    commit(store, "one")
    for each in waiting(tmp_path):
        each.rename(tmp_path / "elsewhere")
    commit(store, "two")
    assert disk.folders == 2
    assert store.read(Digest.of(b"two")) == b"two"


def test_a_child_of_a_fork_leaves_its_parents_folders_alone(store, at_once, tmp_path):
    commit(store, "one")
    before = waiting(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            commit(store, "of the child")
            store._spares.clear()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.read(Digest.of(b"of the child")) == b"of the child"
    assert waiting(tmp_path) == before
    commit(store, "two")
    assert waiting(tmp_path) != before  # it has been taken, and left under another name
    assert len(waiting(tmp_path)) == 1


def test_a_folder_ends_after_some_hundred_refs(store, at_once, disk, monkeypatch):
    monkeypatch.setattr(spares, "_LIVES", 3)
    for number in range(8):
        commit(store, f"ref {number}")
    assert disk.folders == 2


def test_threads_share_the_folders_and_none_is_in_two_hands(store, at_once, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        blobs = list(pool.map(lambda number: commit(store, f"ref {number}"), range(200)))
    for number, blob in enumerate(blobs):
        assert store.read(blob.digest) == f"ref {number}".encode()
    assert list(store.ingests()) == []
    assert len(waiting(tmp_path)) <= 8
