"""What a parent and its child say to each other arrives whole, and neither waits in vain."""

import itertools
import os
import resource
import select
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager

import pytest

from lading.daemon.channel import EVENTS_LIMIT, ChildsEnd, Kind, channel

BODY = bytes(range(256))


@pytest.fixture
def ends():
    """A channel: the parent's end and the child's."""
    with ExitStack() as stack:
        yield [stack.enter_context(each) for each in channel()]


def heard_by(child, count):
    """The next messages."""
    messages = (message for message in child.heard() if message is not None)
    return [next(messages) for _ in range(count)]


def test_messages_arrive_as_they_were_said(ends):
    parent, child = ends
    parent.say(Kind.OPEN, b"first")
    parent.say(Kind.END)
    assert heard_by(child, 2) == [(Kind.OPEN, b"first", None), (Kind.END, b"", None)]
    child.say(Kind.READY)
    child.say(Kind.TELL, BODY)
    assert parent.received() == [(Kind.READY, b"", None), (Kind.TELL, BODY, None)]
    assert parent.received() == []


def test_a_client_goes_over_with_its_listener(ends):
    parent, child = ends
    ours, theirs = socket.socketpair()
    with theirs:
        parent.say(Kind.TAKE, b"\x02", ours)
        assert ours.fileno() == -1  # it is the child's alone
        ((kind, body, client),) = heard_by(child, 1)
        assert (kind, body) == (Kind.TAKE, b"\x02")
        with client:
            theirs.sendall(b"hello")
            assert client.recv(5) == b"hello"


@contextmanager
def sending(parent):
    """Have the parent send what waits as soon as it goes, as its turns do."""

    def send():
        while parent.holds_back:
            select.select([], [parent], [])
            parent.send()

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


def test_messages_of_any_size_arrive_whole_and_in_order(ends):
    parent, child = ends
    bodies = [BODY * size for size in (0, 1, 2000, 3, 4000)]
    for body in bodies:
        parent.tell(body)
    assert parent.holds_back
    with sending(parent):
        assert [message.body for message in heard_by(child, len(bodies))] == bodies


def test_who_does_not_listen_loses_the_oldest_events_and_stops_nobody(ends):
    parent, child = ends
    number = 0
    while parent.lost < 10:
        parent.tell(b"%d" % number)
        number += 1
    assert number > EVENTS_LIMIT
    parent.say(Kind.END)
    with sending(parent):
        heard = heard_by(child, number - 10 + 1)
    # What it has to do does not wait behind the events that it has not taken.
    end = heard.index((Kind.END, b"", None))
    assert end < len(heard) - 1000
    told = [int(message.body) for message in heard if message.kind is Kind.TELL]
    assert told == sorted(told)
    assert told[-EVENTS_LIMIT:] == list(range(number - EVENTS_LIMIT, number))


@pytest.mark.parametrize("dead", ["parent", "child"])
def test_a_dead_process_is_the_end_for_the_other(ends, dead):
    parent, child = ends
    if dead == "parent":
        parent.close()
        assert list(child.heard()) == []
        with pytest.raises(OSError, match="Broken pipe"):
            child.say(Kind.READY)
    else:
        child.close()
        assert parent.received() is None


def test_clients_for_a_dead_child_are_hung_up_on(ends):
    parent, child = ends
    child.close()
    ours, theirs = socket.socketpair()
    with theirs:
        parent.say(Kind.TAKE, b"\x00", ours)
        assert theirs.recv(1) == b""
    assert not parent.holds_back


@contextmanager
def no_more_files():
    """Let this process have as many files as it has, and no more."""
    free = os.dup(0)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_client_for_whom_there_is_no_file_is_not_taken_for_the_next_one():
    ours, childs = socket.socketpair()
    with ExitStack() as stack:
        end = stack.enter_context(ChildsEnd(childs))
        stack.enter_context(ours)
        clients = [socket.socketpair() for _ in range(2)]
        for each in itertools.chain(*clients):
            stack.enter_context(each)
        heard = end.heard()
        whole = [struct.pack("!BI", Kind.TAKE, 1) + listener for listener in (b"0", b"1")]
        socket.send_fds(ours, [whole[0][:3]], [clients[0][0].fileno()])
        with no_more_files():
            # A message may come in parts, and its descriptor is with the first of them.
            assert next(heard) is None
        ours.sendall(whole[0][3:])
        socket.send_fds(ours, [whole[1]], [clients[1][0].fileno()])
        assert next(heard) == (Kind.TAKE, b"0", None)
        second = next(heard)
        assert second.body == b"1"
        with second.client:
            clients[1][1].sendall(b"x")
            assert second.client.recv(1) == b"x"
