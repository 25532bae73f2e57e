import errno
import os
import signal
import threading

import pytest

from lading.stores.local.shared_sync import SharedSync
from lading.stores.local.store import LocalStore


class Folder:
    """A folder whose sync runs when a test lets it."""

    def __init__(self):
        self.begun = 0
        self.failure = None
        self.runs, self.may_end = threading.Semaphore(0), threading.Semaphore(0)

    def sync(self):
        self.begun += 1
        self.runs.release()
        assert self.may_end.acquire(timeout=60)
        if self.failure is not None:
            raise self.failure(errno.EIO, os.strerror(errno.EIO))


class CountingLock:
    """A lock that counts how often it was left."""

    def __init__(self):
        self.lock, self.left = threading.Lock(), 0

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.left += 1
        self.lock.release()


class Callers:
    """Threads that call a shared sync, and what it gave to each."""

    def __init__(self, shared):
        self.shared, self.outcomes, self.threads = shared, [], []
        shared._guard = CountingLock()

    def call(self, count):
        """Have so many more call it, and wait until they stand in its queue."""
        expected = self.shared._guard.left + count
        threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in threads:
            thread.start()
        self.threads += threads
        while self.shared._guard.left < expected:
            os.sched_yield()

    def _run(self):
        try:
            self.outcomes.append(self.shared())
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            self.outcomes.append(error)

    def end(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        return self.outcomes


@pytest.fixture
def folder():
    return Folder()


@pytest.fixture
def callers(folder):
    """One whose sync runs; whoever calls from now on has to wait for the next."""
    callers = Callers(SharedSync(folder.sync))
    callers.call(1)
    assert folder.runs.acquire(timeout=60)
    return callers


def test_those_that_come_while_a_sync_runs_share_the_next_one(folder, callers):
    callers.call(5)
    assert folder.begun == 1
    folder.may_end.release(2)
    assert callers.end() == [None] * 6
    assert folder.begun == 2


def test_nobody_is_content_with_a_sync_that_began_before_he_came(folder, callers):
    callers.call(1)
    folder.may_end.release()
    assert folder.runs.acquire(timeout=60)  # the late one's own
    callers.threads[0].join(60)
    assert callers.threads[1].is_alive()
    folder.may_end.release()
    assert callers.end() == [None] * 2


def test_a_sync_that_fails_is_nobodys_success(folder, callers):
    callers.call(3)
    folder.failure = OSError
    folder.may_end.release(9)
    outcomes = callers.end()
    assert [error.errno for error in outcomes] == [errno.EIO] * 4
    assert len({id(error) for error in outcomes}) == 4


def test_an_interrupt_of_the_one_that_syncs_takes_no_other_along(folder, callers):
    callers.call(3)
    folder.may_end.release()
    assert folder.runs.acquire(timeout=60)
    folder.failure = KeyboardInterrupt
    folder.may_end.release()
    for _ in range(2):
        assert folder.runs.acquire(timeout=60)  # each makes its own
    folder.failure = None
    folder.may_end.release(2)
    outcomes = callers.end()
    assert [type(each) for each in outcomes if each is not None] == [KeyboardInterrupt]


def test_one_that_is_interrupted_before_its_turn_leaves_no_group_behind(folder, callers):
    def interrupt():
        before = callers.shared._guard.left
        begin.set()
        while callers.shared._guard.left == before:
            os.sched_yield()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        while not heard.wait(1):  # it came as the thread was just lying down, which hears nothing
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    begin, heard = threading.Event(), threading.Event()
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    begin.wait(60)
    with pytest.raises(KeyboardInterrupt):
        callers.shared()
    heard.set()
    interrupter.join(60)
    callers.call(3)
    folder.may_end.release(2)
    assert callers.end() == [None] * 4
    assert folder.begun == 2


def test_after_a_failure_the_next_one_begins_anew(folder, callers):
    folder.failure = OSError
    folder.may_end.release()
    assert len(callers.end()) == 1
    folder.failure = None
    folder.may_end.release()
    callers.call(1)
    assert callers.end()[1] is None


def test_a_child_of_a_fork_syncs_though_its_parent_was_at_it(folder, callers):
    child = os.fork()
    if not child:
        try:
            folder.may_end.release()
            callers.shared()
            os._exit(0)
        finally:
            os._exit(1)
    folder.may_end.release()
    assert callers.end() == [None]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_whose_sync_failed_fails_for_all_who_waited(tmp_path, monkeypatch):
    store = LocalStore(tmp_path / "root")
    store.add(b"makes the folders")
    sync, begin = os.fsync, threading.Barrier(4)

    def fail_for_folders(file):
        if os.fstat(file).st_size != 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(file)

    outcomes = []

    def add(data):
        begin.wait()
        try:
            outcomes.append(store.add(data))
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcomes.append(type(error).__name__)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    threads = [threading.Thread(target=add, args=[str(number).encode()]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    monkeypatch.undo()
    assert outcomes == ["DiskFailed"] * 4
    with pytest.raises(Exception, match="Input/output error"):
        store.add(b"later")
