"""What a server of HTTP/2 must outlive: each of these was a bug of ours, or could have been."""

import contextlib
import errno
import os
import resource
import socket
import threading
import time

import pytest

from lading.rpc.http2 import frames, outlet
from lading.rpc.http2.connection import Connection
from lading.rpc.http2.transports import Plain
from tests.http2.peer import Peer, data, frame, message, word

OK, UNKNOWN, EXHAUSTED, CANCELLED, DEADLINE = 0, 2, 8, 1, 4


def test_a_call_is_still_answered_after_many_that_were_reset_while_they_were_answered(server):
    # what was reserved of the connection's window for an answer that never went was lost
    peer = server.peer()
    for number in range(1, 17, 2):
        peer.call("Hold", bytes(10_000), stream=number)
        assert server.handlers.entered.acquire(timeout=10)
        peer.reset(number)
        peer.ping()
        server.handlers.gate.set()
        assert server.handlers.left.acquire(timeout=10)
        assert server.eventually(lambda: server.is_idle)
        server.handlers.gate.clear()
    peer.call("Huge", b"60000", stream=99)
    assert len(peer.answer(99).messages[0]) == 60_000


@pytest.mark.parametrize("text", ["99999999H", "9999999M", "99999999S"])
def test_a_timeout_of_years_is_no_failure(peer, text):
    peer.send(peer.headers(1, "Each", ("grpc-timeout", text)), data(1, message(b"one")))
    assert peer.expect(frames.DATA).payload == message(b"one")
    peer.ping()
    peer.send(data(1, message(b"two"), ends=True))
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([b"two"], OK)


def test_a_call_that_begins_behind_a_flood_in_the_same_bytes_is_not_left_behind(server):
    # the flood ends the connection in the midst of what was read at once
    peer = server.peer()
    ping = frame(frames.PING, 0, 0, bytes(8))
    flood = ping * (outlet.PENDING_LIMIT // len(ping) // 8 + 1)
    with contextlib.suppress(ConnectionError, TimeoutError):
        for number in range(1, 400, 2):
            peer.send(flood, peer.headers(number, "Each"))
    peer.drained()
    assert server.eventually(lambda: server.is_idle)
    assert server.serves()


def test_headers_after_a_goaway_are_passed_over_with_what_follows_them(server):
    peer = server.peer()
    peer.call("Hold", b"one")
    assert server.handlers.entered.acquire(timeout=10)
    stopping = threading.Thread(target=server.server.stop, args=(10.0,))
    stopping.start()
    try:
        assert peer.expect(frames.GOAWAY).payload[:8] == word(1) + word(frames.NO_ERROR)
        peer.call("Echo", b"late", stream=3)
        peer.send(frames.window_update(3, 1), frames.reset(3, frames.CANCEL))
        peer.ping()
        server.handlers.gate.set()
        assert peer.answer(1).messages == [b"one"]
        assert peer.ended() is None
    finally:
        server.handlers.gate.set()
        stopping.join()


@pytest.mark.parametrize("window", range(1, 14))
def test_a_client_with_the_smallest_windows_gets_its_messages(server, window):
    peer = server.peer(initial_window_size=window)
    peer.call("Each", b"eight by", b"", b"x")
    answer = peer.answer(widens=True)
    assert (answer.messages, answer.status) == ([b"eight by", b"", b"x"], OK)


def test_the_size_of_a_message_that_has_not_come_takes_no_memory(server):
    peer = server.peer()
    before = resident()
    size = message(b"")[:1] + (16 << 20).to_bytes(4, "big")
    for number in range(1, 129, 2):
        peer.send(peer.headers(number, "Each"), data(number, size))
    peer.ping()
    assert resident() - before < 64 << 20


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - not a file
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_server_that_stops_does_not_wait_for_a_client_that_reset_its_call_and_reads_nothing(
    server,
):
    peer = server.peer()
    peer.widen((1 << 31) - 1 - 65_535)
    peer.call("Endless")
    peer.widen(1 << 30, 1)
    assert server.handlers.entered.acquire(timeout=10)
    [connection] = server.server._connections
    assert server.eventually(lambda: connection._outlet.stalled is not None)
    peer.reset(1)
    assert server.eventually(lambda: next(iter(connection._streams.values())).is_over)
    begun = time.monotonic()
    server.stop(0.0)
    assert time.monotonic() - begun < outlet.STALLED_SECONDS / 4


class Choosy:
    """Offers TLS contexts, after it has failed so many times."""

    def __init__(self, offer, *failures):
        self.offer, self.failures = offer, list(failures)

    def __call__(self):
        if self.failures:
            raise self.failures.pop()
        return self.offer()


@pytest.mark.parametrize(
    "failure",
    [FileNotFoundError(errno.ENOENT, "no certificate"), ValueError("no context")],
    ids=repr,
)
def test_a_listener_outlives_a_certificate_that_cannot_be_read(serve, authority, failure, caplog):
    offer, client = authority
    server = serve(address="127.0.0.1:0", tls=Choosy(offer, failure))
    with server.stranger() as turned_away:
        turned_away.drained()
    caplog.clear()
    with client.wrap_socket(server.connected(), server_hostname="localhost") as secure:
        assert secure.selected_alpn_protocol() == "h2"


class Broken(socket.socket):
    """A listening socket that fails once, as accept does for what happened to a connection."""

    failures = ()

    def accept(self):
        if self.failures:
            raise OSError(self.failures.pop(), "the network is elsewhere")
        return super().accept()


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.EPROTO, errno.ENETUNREACH, errno.EPERM])
def test_a_listener_outlives_the_failure_of_one_connection(server, number):
    [listening] = server.server._listening
    broken = Broken(fileno=os.dup(listening.socket.fileno()))
    broken.settimeout(0)
    broken.failures = [number]
    server.server.poller.leave(listening)
    with listening.socket:
        listening.socket = broken
    server.server.poller.watch(listening)
    with server.stranger():
        assert server.eventually(lambda: not broken.failures)
    assert server.serves()


def test_a_call_whose_trailers_cannot_be_written_is_ended(peer, caplog):
    peer.call("Unwritable", b"x")
    answer = peer.answer()
    assert answer.reset == frames.INTERNAL_ERROR or answer.status == UNKNOWN
    caplog.clear()


def test_settings_and_widenings_wake_no_call_twice(server):
    # whom to wake was noted for each of them and each call: millions, for the bytes of this test
    peer = server.peer()
    for number in range(1, 401, 2):
        peer.send(peer.headers(number, "Each"))
    peer.ping()
    [connection] = server.server._connections
    told, tell = [], connection._lead.tell

    def counted(whom):
        told.append(len(whom))
        tell(whom)

    connection._lead.tell = counted
    settings = frame(frames.SETTINGS, 0, 0, (b"\x00\x04" + word(65_535)) * 2000)
    peer.send(settings, frames.window_update(0, 1) * 2000)
    peer.ping()
    assert max(told) <= 200


class Stuck(Plain):
    """A socket that takes nothing until it is told to."""

    def __init__(self, connected):
        super().__init__(connected)
        self.is_stuck = False

    def send(self, buffers):
        return None if self.is_stuck else super().send(buffers)


def test_what_was_said_to_a_full_socket_goes_when_there_is_room(server):
    # nobody looked for room who had not seen that something was to be said
    ours, theirs = socket.socketpair()
    with Peer(theirs) as peer:
        stuck = Stuck(ours)
        connection = Connection(server.server, stuck)
        server.server._connections.add(connection)
        connection.begin()
        peer.greet()
        peer.ping()
        assert server.eventually(lambda: connection._lead._is_watched)
        stuck.is_stuck = True
        connection.send_soon(frame(frames.PING, 0, 0, b"in a jam"))
        stuck.is_stuck = False
        assert peer.expect(frames.PING).payload == b"in a jam"


def test_a_call_that_begins_in_bytes_read_before_the_end_is_released(server):
    # what was read at once is taken apart to its end, though the connection has ended in its midst
    peer = server.peer()
    peer.ping()
    [connection] = server.server._connections
    broken = threading.Event()

    def came_setting(*_):
        connection.break_off("the test wants it")
        broken.set()

    connection.came_setting = came_setting
    peer.send(frames.settings({frames.MAX_FRAME_SIZE: 20_000}), peer.headers(1, "Each"))
    assert broken.wait(10)
    peer.drained()
    assert server.eventually(lambda: server.is_idle and not server.server._connections)


def test_a_call_that_begins_while_the_connection_ends_is_released(server, monkeypatch):
    peer = server.peer()
    peer.ping()
    [connection] = server.server._connections
    admits = server.server.admits

    def ends():
        connection.break_off("the test wants it")
        return admits()

    monkeypatch.setattr(server.server, "admits", ends)
    peer.send(peer.headers(1, "Each"))
    peer.drained()
    assert server.eventually(lambda: server.is_idle and not server.server._connections)
