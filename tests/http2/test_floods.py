"""Whoever sends without end, or reads nothing, is held back or ends; others are served."""

import contextlib
import threading
import time

import pytest

from lading.rpc.http2 import frames
from lading.rpc.http2 import server as servers
from tests.http2.conftest import open_files
from tests.http2.peer import Peer, data, frame, message, word

EXHAUSTED = 8


def flood(peer: Peer, said: bytes, times: int) -> None:
    """Send and read nothing, until the server hangs up or takes no more."""
    peer.socket.settimeout(0.2)
    with contextlib.suppress(OSError):
        for _ in range(times):
            peer.send(said)


def parts_of_a_call(peer: Peer) -> list[bytes]:
    """A call as a client may cut it, which can end after any of them."""
    return [
        peer.headers(1, "Tracked"),
        data(1, message(b"one")),
        data(1, message(b"two")[:3]),
        data(1, message(b"two")[3:]),
        data(1, b"", ends=True),
    ]


FLOODS = {
    "pings": frame(frames.PING, 0, 0, bytes(8)) * 1000,
    "settings": frames.settings({frames.INITIAL_WINDOW_SIZE: 9}) * 1000,
    "priorities": frame(frames.PRIORITY, 0, 1, bytes(5)) * 1000,
    "unknown kinds": frame(0x99, 0, 0, bytes(100)) * 1000,
    "empty continuations": frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 0, 1) * 1000,
    "widenings": frames.window_update(0, 1) * 1000,
}


@pytest.mark.slow
@pytest.mark.parametrize("said", FLOODS.values(), ids=FLOODS)
def test_a_flood_keeps_nobody_from_being_served(server, said):
    with server.peer() as peer:
        flood(peer, said, 200)
        assert server.serves()
    assert server.eventually(lambda: not server.server._connections)


@pytest.mark.slow
def test_calls_that_are_reset_at_once_are_bounded_and_others_are_served(server):
    with server.peer() as peer:
        for start in range(1, 20_001, 400):
            calls = range(start, start + 400, 2)
            with contextlib.suppress(ConnectionError):
                peer.send(*(peer.headers(n, ends=True) + frames.reset(n, 8) for n in calls))
        assert server.serves()
    assert server.eventually(lambda: server.is_idle)


def test_a_client_that_reads_nothing_holds_its_own_call_only(serve):
    server = serve(workers=4)
    with server.peer() as peer:
        peer.call("Endless")
        assert server.handlers.entered.acquire(timeout=10)
        for _ in range(3):
            assert server.serves()


def test_more_calls_than_threads_are_answered_in_their_turn(serve):
    server = serve(workers=2)
    peers = [server.peer() for _ in range(10)]
    for peer in peers:
        for number in range(1, 41, 2):
            peer.call("Echo", b"%d" % number, stream=number)
    for peer in peers:
        for number in range(1, 41, 2):
            assert peer.answer(number).messages == [b"%d" % number]


def test_many_connections_are_served_and_leave_no_file_open(server):
    before = open_files()
    peers = [server.peer() for _ in range(60)]
    for _ in range(3):
        for number, peer in enumerate(peers):
            peer.call("Echo", b"%d" % number)
            peer.send(frames.window_update(0, 5))
        for number, peer in enumerate(peers):
            assert peer.answer().messages == [b"%d" % number]
        for peer in peers:
            peer.close()
        peers = [server.peer() for _ in range(60)]
    for peer in peers:
        peer.close()
    assert server.eventually(lambda: open_files() <= before)


@pytest.mark.parametrize("moment", range(7))
def test_a_client_may_go_at_any_moment(server, moment):
    peer = server.peer()
    peer.send(*[*parts_of_a_call(peer), frames.reset(1, 8)][:moment])
    peer.close()
    assert server.eventually(lambda: server.is_idle and not server.server._connections)
    assert server.serves()


@pytest.mark.parametrize("moment", range(1, 6))
def test_a_call_may_be_reset_at_any_moment(server, moment):
    peer = server.peer()
    peer.send(*parts_of_a_call(peer)[:moment], frames.reset(1, 8))
    peer.call("Echo", b"next", stream=3)
    assert peer.answer(3).messages == [b"next"]
    assert server.eventually(lambda: server.is_idle)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["Each", "Tracked", "Endless", "Hold"])
def test_a_server_that_stops_ends_every_call_and_leaves_nothing(serve, path):
    threads, files = threading.active_count(), open_files()
    server = serve()
    with server.peer() as peer:
        peer.send(peer.headers(1, path), data(1, message(b"x"), ends=path == "Hold"))
        peer.ping()
        server.handlers.gate.set()
        server.stop(0.0)
        peer.drained()
    assert server.eventually(lambda: threading.active_count() <= threads)
    assert server.eventually(lambda: open_files() <= files)


def test_a_server_that_stops_lets_a_call_in_flight_end(server):
    peer = server.peer()
    peer.call("Hold", b"kept")
    assert server.handlers.entered.acquire(timeout=10)
    stopping = threading.Thread(target=server.stop, args=(10.0,))
    stopping.start()
    try:
        assert peer.expect(frames.GOAWAY).payload == word(1) + word(frames.NO_ERROR)
    finally:
        server.handlers.gate.set()
    assert peer.answer().messages == [b"kept"]
    assert peer.ended() is None
    peer.close()
    stopping.join()


def test_calls_that_never_say_anything_do_not_keep_others_out_for_ever(server, monkeypatch):
    monkeypatch.setattr(servers, "CALLS_LIMIT", 4)
    silent = server.peer()
    for number in range(1, 9, 2):
        silent.send(silent.headers(number, "Each"))
    silent.ping()
    other = server.peer()
    other.call("Echo", b"x")
    assert other.answer().status == EXHAUSTED
    server.server._tick(time.monotonic() + servers.IDLE_SECONDS + 1)
    assert silent.expect(frames.RST_STREAM).number == frames.CANCEL
    other.call("Echo", b"x", stream=3)
    assert other.answer(3).messages == [b"x"]
