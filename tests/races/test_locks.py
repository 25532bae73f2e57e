"""A lock belongs to the object that took it, wherever that lives, and dies with its process."""

import os
import re
import threading
from datetime import timedelta

import pytest

from lading.errors import RefLocked
from lading.stores.local.store import LocalStore
from tests.races.racecourse import ask, hear, tell

LOCKED_OUT = pytest.raises(RefLocked)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


def is_locked(store):
    try:
        store.writer("r").close()
    except RefLocked:
        return True
    return False


def test_a_lock_holds_against_the_same_object(store):
    with store.writer("r"):
        assert is_locked(store)
    assert not is_locked(store)


def test_a_lock_holds_against_another_object_on_the_same_root(store, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "root")
    with store.writer("r"):
        for root in (tmp_path / "root", tmp_path / "link", tmp_path / "." / "root" / ".." / "root"):
            assert is_locked(LocalStore(root))
    assert not is_locked(LocalStore(tmp_path / "link"))


def test_a_lock_holds_against_another_thread(store):
    found = []
    with store.writer("r"):
        thread = threading.Thread(target=lambda: found.append(is_locked(store)))
        thread.start()
        thread.join()
    assert found == [True]


def test_a_lock_that_one_thread_took_can_be_given_back_by_another(store):
    writer = store.writer("r")
    thread = threading.Thread(target=writer.close)
    thread.start()
    thread.join()
    assert not is_locked(store)


@pytest.mark.slow
def test_a_lock_holds_against_another_process_which_learns_who_has_it(store, track):
    [racer] = track.enter(1)
    with store.writer("r"):
        answer = ask(racer, "open", "r")
        assert answer["error"] == "RefLocked"
        assert re.fullmatch(
            rf"process {os.getpid()} \(.+\) on {re.escape(os.uname().nodename)}", answer["holder"]
        )
    assert ask(racer, "open", "r") == 0
    with pytest.raises(RefLocked) as caught:
        store.writer("r")
    assert caught.value.holder.startswith(f"process {racer.pid} ")


@pytest.mark.slow
def test_a_killed_holder_frees_its_ref_and_nobody_is_named_any_more(store, track):
    [racer] = track.enter(1)
    assert ask(racer, "open", "r", "abc") == 3
    assert is_locked(store)
    racer.kill()
    racer.wait()
    with store.writer("r") as writer:
        assert writer.offset == 3


@pytest.mark.slow
def test_waiting_ends_when_the_holder_closes(store, track):
    [racer] = track.enter(1)
    with store.writer("r") as writer:
        writer.write(b"abc")
        tell(racer, "wait", "r")
    assert hear(racer) == 3


@pytest.mark.slow
def test_waiting_ends_when_the_holder_is_killed(store, track):
    first, second = track.enter(2)
    assert ask(first, "open", "r", "abc") == 3
    tell(second, "wait", "r")
    first.kill()
    first.wait()
    assert hear(second) == 3


@pytest.mark.slow
def test_waiting_ends_when_the_ingest_is_aborted(store, track):
    first, second = track.enter(2)
    assert ask(first, "open", "r", "abc") == 3
    tell(second, "wait", "r")
    store.abort("r")
    assert hear(second) == 0
    assert ask(first, "write", "r", "more")["error"] == "Aborted"


@pytest.mark.slow
def test_the_child_of_a_fork_neither_holds_the_lock_nor_frees_it(store, track):
    [racer] = track.enter(1)
    assert ask(racer, "open", "r", "abc") == 3
    # The child met WriterClosed in the writer it inherited, and RefLocked in one of its own.
    assert ask(racer, "fork", "r") == [0, 1]
    assert is_locked(store)
    assert ask(racer, "close", "r") is None
    with store.writer("r") as writer:
        assert writer.offset == 4


def test_a_wait_of_no_time_does_not_wait(store):
    with store.writer("r"), LOCKED_OUT:
        store.writer("r", wait=timedelta(0))
