"""Who reads a connection: the turns of its threads, in every order that could lose one."""

import contextlib
import os
import socket
import time

import pytest

from lading.rpc.http2.leading import Lead
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
