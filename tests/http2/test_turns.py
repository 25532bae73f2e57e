"""Who reads a connection, and who works: turns of threads, in every order that could lose one."""

import contextlib
import os
import socket
import threading
import time

import pytest

from lading.rpc.http2 import turns
from lading.rpc.http2.leading import Lead
from lading.rpc.http2.outlet import Outlet
from lading.rpc.http2.poller import Poller


class Quiet:
    """A connection from which nothing comes."""

    is_broken = is_shared = has_calls = has_to_send = False

    def read(self, *, lingers):
        """Nothing is to be read."""

    def rest(self):
        """It rests all the time."""

    def close(self):
        """Nothing is to be closed."""


class Patient:
    """Who waits two seconds."""

    def __init__(self):
        self.until = time.monotonic() + 2.0

    def time_left(self):
        """Seconds of the two."""
        return self.until - time.monotonic()


@pytest.fixture
def lead():
    """The turns of a connection that some other thread leads."""
    poller = Poller(lambda now: None)
    poller.start()
    ours, theirs = socket.socketpair()
    found = Lead(Quiet(), ours.fileno(), poller)
    with found.guard:
        found._take()
    with ours, theirs, contextlib.closing(poller):
        yield found
    for number in {found._wake_read, found._wake_write}:
        os.close(number)


def test_what_comes_just_before_a_thread_waits_is_not_missed(lead):
    who, told = Patient(), []

    def ready():
        if not told:
            told.append(who)
            lead.tell([who])  # as the leader does, who has something for it, right then
            return False
        return True

    assert lead.wait(who, ready)
    assert who.time_left() > 1


def asked(peer, path, stream):
    """What a call of a connection that somebody lingers at says of the turn."""
    peer.call(path, b"", stream=stream)
    [said] = peer.answer(stream).messages
    return said


def test_a_quick_call_has_its_turn_and_another_lets_others_have_theirs(peer):
    numbers = iter(range(1, 10_000, 2))
    assert any(asked(peer, "Quick", next(numbers)) == b"taken" for _ in range(1000))
    assert all(asked(peer, "Slow", next(numbers)) == b"free" for _ in range(100))


def test_a_worker_that_lingers_no_more_has_no_turn(server):
    peer = server.peer()
    for number in range(1, 21, 2):
        asked(peer, "Quick", number)
    peer.close()
    assert server.eventually(lambda: not turns._ONE.locked())


def test_nobody_waits_long_for_a_turn_nor_ends_that_of_another():
    taken, done = threading.Event(), threading.Event()

    def work():
        turns.take()
        taken.set()
        done.wait(10)
        turns.end()

    other = threading.Thread(target=work)
    other.start()
    assert taken.wait(10)
    begun = time.monotonic()
    turns.take()
    assert time.monotonic() - begun < 5
    turns.end()
    assert turns._ONE.locked()
    done.set()
    other.join()
    assert not turns._ONE.locked()


def test_whoever_waits_for_its_client_has_no_turn(lead):
    turns.take()
    assert lead.wait(Patient(), lambda: True)
    assert not turns._ONE.locked()


class Full:
    """A connection's bytes, which go at the second attempt."""

    is_open, holds_back = True, False

    def __init__(self, to):
        self.socket, self.sent = to, [None]

    def send(self, buffers):
        """Send nothing, and then all."""
        return self.sent.pop() if self.sent else len(buffers[0])


def test_whoever_waits_for_the_socket_has_no_turn():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        turns.take()
        who = Quiet()
        who.is_unwanted = False
        assert Outlet(Full(ours), print).send(who, b"x")
    assert not turns._ONE.locked()
