"""What is said last reaches a client, whoever else is sending."""

import socket
import threading
from collections.abc import Callable

import pytest

from lading.rpc.http2.outlet import Outlet
from lading.rpc.http2.transports import Plain
from tests.http2.peer import PATIENCE_SECONDS


class Who:
    """Who sends."""

    is_unwanted = False


class Halting(Plain):
    """A socket whose first `send` stops before it begins, until it is let go."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self.halted, self.goes_on = threading.Event(), threading.Event()

    def send(self, buffers):
        """Send what goes."""
        if not self.halted.is_set():
            self.halted.set()
            assert self.goes_on.wait(PATIENCE_SECONDS)
        return super().send(buffers)


def everything(theirs: socket.socket) -> bytes:
    """What comes until the end."""
    theirs.settimeout(PATIENCE_SECONDS)
    got = b""
    while more := theirs.recv(1 << 16):
        got += more
    return got


ENDS: list[Callable[[Outlet], None]] = [Outlet.end, Outlet.break_off]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("said_first", [False, True])
def test_what_is_said_last_goes_behind_what_is_just_being_sent(end, said_first):
    ours, theirs = socket.socketpair()
    failures: list[str] = []
    with ours, theirs:
        transport = Halting(ours)
        outlet = Outlet(transport, failures.append)
        if said_first:
            outlet.say(b"before,")
        sender = threading.Thread(target=outlet.send, args=(Who(), b"answer,"))
        sender.start()
        assert transport.halted.wait(PATIENCE_SECONDS)
        outlet.say(b"farewell")
        end(outlet)
        transport.goes_on.set()
        sender.join(PATIENCE_SECONDS)
        assert everything(theirs) == (b"before," if said_first else b"") + b"answer,farewell"
    assert failures == []


@pytest.mark.parametrize("end", ENDS)
def test_what_is_taken_along_by_a_sender_goes_though_the_end_comes_before_it(end):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = Halting(ours)
        outlet = Outlet(transport, print)
        outlet.say(b"farewell,")
        sender = threading.Thread(target=outlet.send, args=(Who(), b"answer"))
        sender.start()
        assert transport.halted.wait(PATIENCE_SECONDS)
        end(outlet)
        transport.goes_on.set()
        assert everything(theirs) == b"farewell,answer"
        sender.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("end", ENDS)
def test_what_is_said_last_goes_at_once_where_nobody_sends(end):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outlet = Outlet(Plain(ours), print)
        outlet.say(b"farewell")
        end(outlet)
        assert everything(theirs) == b"farewell"


def test_a_frame_that_was_cut_is_the_last_thing_that_goes():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outlet = Outlet(Plain(ours), print)
        sender = threading.Thread(target=outlet.send, args=(Who(), bytes(8 << 20)))
        sender.start()
        while outlet.stalled is None:
            threading.Event().wait(0.001)
        outlet.say(b"farewell")
        outlet.break_off()
        sender.join(PATIENCE_SECONDS)
        assert not sender.is_alive()
        got = everything(theirs)
    assert set(got) == {0}
    assert len(got) < 8 << 20


def test_a_client_that_reads_nothing_is_hung_up_on():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outlet = Outlet(Plain(ours), print)
        for _ in range(30):
            outlet.say(bytes(1 << 17))
            outlet.flush()
            if outlet.has_to_send:
                break
        outlet.break_off()
        assert set(everything(theirs)) == {0}


def test_what_waits_for_room_at_a_gentle_end_goes_when_there_is_room():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outlet = Outlet(Plain(ours), print)
        said = 0
        while not outlet.has_to_send:
            said += outlet_says(outlet, bytes(1 << 17))
        said += outlet_says(outlet, b"farewell")
        outlet.end()
        theirs.settimeout(PATIENCE_SECONDS)
        got = b""
        while more := theirs.recv(1 << 16):
            got += more
            outlet.flush()  # as whoever reads does, when there is room
        assert len(got) == said
        assert got.endswith(b"farewell")


def outlet_says(outlet: Outlet, data: bytes) -> int:
    """Say it, and as much as goes of it."""
    outlet.say(data)
    outlet.flush()
    return len(data)
