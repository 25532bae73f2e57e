"""Threads that want something at once: who does it, and what each is told."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lading.metadata import adding, together
from lading.metadata.together import AT_WORK, Together
from lading.stores.local import batch

PATIENCE_SECONDS = 30
MOST = 3


class Doing:
    """Doubles numbers, and stands still at those that are told to wait."""

    def __init__(self):
        self.calls = []
        self.began = threading.Semaphore(0)
        self.goes_on, self.end = threading.Event(), threading.Event()
        self.failure = None
        self.together = Together(self.alone, self.all, most=MOST)

    def alone(self, number):
        """Double one."""
        self.calls.append((number,))
        if number < 0:
            self.began.release()
            assert (self.goes_on if number == -1 else self.end).wait(PATIENCE_SECONDS)
        if number == 13:
            raise ValueError(number)
        return 2 * number

    def all(self, numbers):
        """Double many."""
        self.calls.append(tuple(numbers))
        if self.failure is not None:
            raise self.failure
        if 13 in numbers:
            raise ValueError(13)
        return [2 * number for number in numbers]

    def is_asked_for(self, count):
        """Wait until so many wait for others."""
        while len(self.together._waiting) < count:
            threading.Event().wait(0.001)


@pytest.fixture
def doing():
    return Doing()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def busy(doing, pool):
    """As many threads as may be are at work: one until it is told to go on, the others longer."""
    futures = [pool.submit(doing.together.do, -1 - number) for number in range(AT_WORK)]
    for _ in futures:
        assert doing.began.acquire(timeout=PATIENCE_SECONDS)
    doing.calls.clear()
    yield
    doing.goes_on.set()
    doing.end.set()
    assert [future.result(PATIENCE_SECONDS) for future in futures] == [-2, -4]
    assert is_idle(doing)


def asked(doing, pool, *numbers):
    """Ask for each, one after another."""
    futures = []
    for number in numbers:
        waiting = len(doing.together._waiting)
        futures.append(pool.submit(doing.together.do, number))
        doing.is_asked_for(waiting + 1)
    return futures


def outcome(future):
    """What a thread was told."""
    return future.exception(PATIENCE_SECONDS) or future.result()


def is_idle(doing):
    """Whether everybody has left, so that as many as before may come."""
    while doing.together._at_work:
        threading.Event().wait(0.001)
    return not doing.together._waiting


def test_who_comes_alone_does_it_alone(doing):
    assert doing.together.do(2) == 4
    assert doing.calls == [(2,)]
    assert is_idle(doing)


def test_who_waits_is_served_by_the_first_of_them_and_told_its_own(doing, pool, busy):
    futures = asked(doing, pool, 1, 2, 3, 4)
    doing.goes_on.set()
    assert [outcome(future) for future in futures] == [2, 4, 6, 8]
    assert doing.calls == [(1, 2, 3), (4,)]


def test_what_fails_for_all_is_told_to_whom_it_concerns(doing, pool, busy):
    futures = asked(doing, pool, 1, 13, 3, 4, 13, 6)
    doing.goes_on.set()
    told = [outcome(future) for future in futures]
    assert [str(each) for each in told] == ["2", "13", "6", "8", "13", "12"]
    assert doing.calls[0] == (1, 13, 3)


def test_an_interrupt_of_the_one_that_leads_is_its_own(doing, pool, busy):
    doing.failure = KeyboardInterrupt()
    futures = asked(doing, pool, 1, 2, 3)
    doing.goes_on.set()
    told = [outcome(future) for future in futures]
    assert [type(each) for each in told] == [KeyboardInterrupt, int, int]


def test_an_interrupt_of_one_that_waits_takes_nothing_from_the_others(doing, pool, busy):
    main = threading.get_ident()

    def interrupt():
        doing.is_asked_for(1)
        signal.pthread_kill(main, signal.SIGINT)

    interrupting = pool.submit(interrupt)
    with pytest.raises(KeyboardInterrupt):
        doing.together.do(7)
    interrupting.result(PATIENCE_SECONDS)
    futures = asked(doing, pool, 1, 2)
    doing.goes_on.set()
    assert [outcome(future) for future in futures] == [2, 4]
    assert doing.calls == [(1, 2)]


def test_an_interrupt_of_one_whose_turn_has_come_hands_it_on(doing):
    wish = together._Wish(1)
    doing.together._at_work = AT_WORK
    doing.together._waiting.append(wish)
    doing.together._hand_on()
    assert wish.leads
    assert not doing.together._is_withdrawn(wish)
    assert doing.together._at_work == AT_WORK  # it is for this thread to hand on


def test_who_waits_too_long_does_it_alone(doing, busy, monkeypatch):
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 0.001)
    assert doing.together.do(2) == 4
    assert doing.calls == [(2,)]
    assert not doing.together._waiting


def test_a_child_of_a_fork_waits_for_no_thread_of_its_parent(doing, busy):
    child = os.fork()
    if not child:
        nobody_is_at_work = not doing.together._at_work
        os._exit(0 if nobody_is_at_work and doing.together.do(2) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_so_few_are_brought_together_that_no_whole_file_system_is_synced():
    assert adding.MOST < batch.WHOLE_SYNC_LIMIT
