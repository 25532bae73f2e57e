"""One lock: taken, looked at, waited for, given back."""

import errno
import fcntl
import os
import types
from datetime import timedelta

import pytest

from lading.errors import RefLocked
from lading.stores.local import locks
from lading.stores.local.disk import Disk

NOW_NS = 1_700_000_000_000_000_000


def take(path, *, wait=None, now_ns=NOW_NS, disk=None):
    return locks.take(disk or Disk(), path, "a ref", wait=wait, now_ns=now_ns)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ingest"


def is_free(path):
    try:
        take(path).release()
    except RefLocked:
        return False
    return True


def test_taking_makes_the_folder_and_opens_it(path):
    lock = take(path)
    assert os.path.samestat(path.stat(), os.fstat(lock.folder))
    assert lock.held
    assert lock.trusted
    assert not is_free(path)
    lock.release()
    assert is_free(path)


def test_a_lock_can_be_released_twice_and_closes_what_it_had_open_once(path):
    lock = take(path)
    lock.release()
    assert not lock.held
    # Somebody else has the numbers of its files now.
    others = [os.open(path, os.O_RDONLY) for _ in range(4)]
    lock.release()
    for other in others:
        os.close(other)


def test_releasing_twice_does_not_release_the_next_holders(path):
    first = take(path)
    first.release()
    second = take(path)
    first.release()
    assert second.held
    assert not is_free(path)
    second.release()


def test_the_holder_is_named_with_process_program_host_and_time(path):
    lock = take(path)
    with pytest.raises(RefLocked) as caught:
        take(path)
    lock.release()
    error = caught.value
    assert error.ref == "a ref"
    assert error.holder.startswith(f"process {os.getpid()} (")
    assert error.holder.endswith(f") on {os.uname().nodename}")
    assert error.since.timestamp() * 10**9 == NOW_NS


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"junk", b"x 1 h p", b"1 x h p", b"1 2 h", b"\xff 1 h p", b"1 2 3"]
)
def test_a_lock_file_that_says_nothing_names_nobody(text, path):
    lock = take(path)
    (path / "lock").write_bytes(text)
    with pytest.raises(RefLocked) as caught:
        take(path)
    assert (caught.value.holder, caught.value.since) == (None, None)
    lock.release()


def test_a_longer_name_of_an_earlier_holder_leaves_nothing_behind(path):
    path.mkdir()
    (path / "lock").write_bytes(b"1 2 host " + b"program" * 100 + b"\n")
    take(path).release()
    assert b"programprogram" not in (path / "lock").read_bytes()


def test_a_full_disk_keeps_nobody_from_taking_a_lock(path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(locks.os, "pwrite", full)
    take(path).release()


def test_a_lock_in_a_folder_that_was_replaced_meanwhile_is_not_the_lock(path, tmp_path):
    class Replacing(Disk):
        """Somebody ends the ingest, and begins another, just before the lock file is opened."""

        done = False

        def open(self, name, flags=0, *, folder=None):
            if not self.done:
                self.done = True
                path.rename(tmp_path / "ended")
                path.mkdir()
            return super().open(name, flags, folder=folder)

    lock = take(path, disk=Replacing())
    assert os.path.samestat(path.stat(), os.fstat(lock.folder))
    lock.release()


def test_a_lock_file_that_was_removed_meanwhile_is_not_the_lock(path):
    class Removing(Disk):
        """Somebody empties the folder just after the lock file was opened."""

        done = False

        def open(self, name, flags=0, *, folder=None):
            file = super().open(name, flags, folder=folder)
            if not self.done:
                self.done = True
                (path / "lock").unlink()
            return file

    lock = take(path, disk=Removing())
    assert os.path.samestat((path / "lock").stat(), os.fstat(lock._file))
    assert not is_free(path)
    lock.release()


def test_a_folder_that_goes_again_and_again_is_made_again_and_again(path):
    class Vanishing(Disk):
        times = 5

        def open(self, name, flags=0, *, folder=None):
            if self.times:
                self.times -= 1
                path.rmdir()
            return super().open(name, flags, folder=folder)

    lock = take(path, disk=Vanishing())
    assert not is_free(path)
    lock.release()


def test_waiting_ends_with_the_time_given_and_not_before(path, monkeypatch):
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(locks, "time", types.SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    lock = take(path)
    with pytest.raises(RefLocked):
        take(path, wait=timedelta(seconds=2))
    lock.release()
    assert sum(slept) == pytest.approx(2)
    # It looks often at first, since most wait for little, and then seldom.
    assert slept[0] <= 0.001
    assert max(slept) <= 0.05


def test_waiting_ends_when_the_holder_lets_go(path, monkeypatch):
    lock, slept = take(path), []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            lock.release()

    monkeypatch.setattr(locks, "time", types.SimpleNamespace(monotonic=lambda: 0.0, sleep=sleep))
    take(path, wait=timedelta(days=1)).release()
    assert len(slept) == 3


@pytest.mark.parametrize("works", [True, False, None])
def test_a_lock_that_does_not_hold_against_ourselves_is_not_trusted(works, path, monkeypatch):
    def flock(file, operation):
        if works is None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        if works:
            fcntl.flock(file, operation)

    names = {name: getattr(fcntl, name) for name in ("LOCK_EX", "LOCK_NB", "LOCK_UN")}
    monkeypatch.setattr(locks, "fcntl", types.SimpleNamespace(**names, flock=flock))
    lock = take(path)
    assert lock.trusted is (works is True)
    lock.release()


def test_the_other_side_of_a_fork_lets_go_without_unlocking(path):
    lock = take(path)
    # As in a child, which has descriptors of its own for the same open files.
    shared = os.dup(lock._file)
    lock._left_behind_by_fork()
    assert not lock.held
    assert not is_free(path)
    os.close(shared)
    assert is_free(path)
