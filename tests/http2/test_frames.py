"""What RFC 9113 asks of a server, frame by frame; the sections are its."""

import contextlib

import pytest

from lading.rpc.http2 import frames
from lading.rpc.http2.connection import STREAMS_LIMIT
from tests.http2.peer import END, data, frame, message, word

PAIR = b"\x00\x03\x00\x00\x00\x01"


def test_a_server_begins_with_its_settings(server):
    peer = server.peer()
    first = peer.next()
    assert (first.kind, first.flags, first.stream) == (frames.SETTINGS, 0, 0)
    assert dict(frames.pairs(first.payload))[frames.MAX_CONCURRENT_STREAMS] == STREAMS_LIMIT


def test_settings_are_acknowledged(peer):
    assert peer.expect(frames.SETTINGS, flags=frames.ACK).payload == b""
    peer.send(frames.settings({frames.MAX_FRAME_SIZE: 20_000}))
    assert peer.expect(frames.SETTINGS, flags=frames.ACK).payload == b""


def test_a_ping_is_answered_with_what_it_said_and_its_answer_is_not(peer):
    peer.send(frame(frames.PING, frames.ACK, 0, b"not this"), frame(frames.PING, 0, 0, b"but this"))
    assert peer.expect(frames.PING).payload == b"but this"


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, frames.PREFACE[:20] + b"XXXX", b"\x16\x03\x01"],
    ids=["HTTP/1.1", "zeros", "nearly", "TLS"],
)
def test_what_is_no_http2_is_hung_up_on(server, said):
    with server.stranger() as stranger:
        stranger.send(said)
        stranger.drained()
    assert server.serves()


PASSED_OVER = {
    "an unknown kind": frame(0x77, 0xFF, 0, b"whatever"),
    "an unknown kind on a stream": frame(0x77, 0xFF, 9, b"whatever"),
    "an unknown setting": frame(frames.SETTINGS, 0, 0, b"\xff\xff\x00\x00\x00\x01"),
    "unknown flags": frame(frames.PING, 0xFE, 0, bytes(8)),
    "a priority of an idle stream": frame(frames.PRIORITY, 0, 9, bytes(5)),
    "the reserved bit": frame(frames.PRIORITY, 0, 0x8000_0009, bytes(5)),
    "a GOAWAY": frame(frames.GOAWAY, 0, 0, bytes(8)),
    "a zero-length setting": frame(frames.SETTINGS),
}


@pytest.mark.parametrize("said", PASSED_OVER.values(), ids=PASSED_OVER)
def test_what_asks_nothing_of_us_is_passed_over(peer, said):
    peer.send(said)
    peer.call("Echo", b"x")
    assert peer.answer().messages == [b"x"]


P, F, S, C = (
    frames.PROTOCOL_ERROR,
    frames.FLOW_CONTROL_ERROR,
    frames.FRAME_SIZE_ERROR,
    frames.COMPRESSION_ERROR,
)
FAULTS = {
    "data on 0": (frame(frames.DATA, 0, 0, b"x"), P),
    "data on an idle stream": (data(1, b"x"), P),
    "data on our stream": (data(2, b"x"), P),
    "headers on 0": (frame(frames.HEADERS, END, 0, b"\x83"), P),
    "headers on our stream": (frame(frames.HEADERS, END, 2, b"\x83"), P),
    "more padding than data": (frame(frames.HEADERS, END | frames.PADDED, 1, b"\x09\x83"), P),
    "padding and no payload": (frame(frames.HEADERS, END | frames.PADDED, 1, b""), P),
    "a priority that is cut": (frame(frames.HEADERS, END | frames.PRIORITISED, 1, b"abc"), S),
    "priority on 0": (frame(frames.PRIORITY, 0, 0, bytes(5)), P),
    "reset on 0": (frame(frames.RST_STREAM, 0, 0, word(8)), P),
    "reset of an idle stream": (frames.reset(1, 8), P),
    "reset of a wrong size": (frame(frames.RST_STREAM, 0, 1, b"abc"), S),
    "settings on a stream": (frame(frames.SETTINGS, 0, 1, PAIR), P),
    "settings of a wrong size": (frame(frames.SETTINGS, 0, 0, PAIR[:5]), S),
    "settings that say more than yes": (frame(frames.SETTINGS, frames.ACK, 0, PAIR), S),
    "push that is 2": (frames.settings({frames.ENABLE_PUSH: 2}), P),
    "a window of 2 GiB": (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), F),
    "frames too small": (frames.settings({frames.MAX_FRAME_SIZE: 16_383}), P),
    "frames too large": (frames.settings({frames.MAX_FRAME_SIZE: 1 << 24}), P),
    "push": (frame(frames.PUSH_PROMISE, END, 1, word(2)), P),
    "a ping on a stream": (frame(frames.PING, 0, 1, bytes(8)), P),
    "a ping of a wrong size": (frame(frames.PING, 0, 0, bytes(7)), S),
    "a window of nothing": (frame(frames.WINDOW_UPDATE, 0, 0, word(0)), P),
    "a window of an idle stream": (frames.window_update(1, 1), P),
    "a window of a wrong size": (frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), S),
    "a window beyond bounds": (frames.window_update(0, (1 << 31) - 1), F),
    "continuation of nothing": (frame(frames.CONTINUATION, END, 1, b"\x83"), P),
    "continuation on 0": (frame(frames.CONTINUATION, END, 0, b"\x83"), P),
    "another frame among headers": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.PING, 0, 0, bytes(8)),
        P,
    ),
    "another stream's headers among headers": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, END, 3, b"\x83"),
        P,
    ),
    "an index that is not": (frame(frames.HEADERS, END, 1, b"\xff\xff\xff\x0f"), C),
    "an index of 0": (frame(frames.HEADERS, END, 1, b"\x80"), C),
    "a table that is too large": (frame(frames.HEADERS, END, 1, b"\x3f\xff\xff\x0f"), C),
    "Huffman that is none": (frame(frames.HEADERS, END, 1, b"\x00\x81\xff\x81\xff"), C),
    "a header that is cut": (frame(frames.HEADERS, END, 1, b"\x00\x0aabc"), C),
    "headers without end": (
        frame(frames.HEADERS, 0, 1, bytes(16_000))
        + frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 4,
        frames.ENHANCE_YOUR_CALM,
    ),
    "a frame that is too large": (frame(frames.DATA, 0, 1, bytes(70_000)), S),
}


@pytest.mark.parametrize(("said", "code"), FAULTS.values(), ids=FAULTS)
def test_what_breaks_the_protocol_ends_its_connection_and_no_other(server, said, code):
    with server.peer() as peer:
        peer.ping()
        peer.socket.sendall(said)
        assert peer.ended() == code
    assert server.serves()


def test_headers_that_unpack_to_more_than_the_limit_end_the_connection(server):
    with server.peer() as peer:
        large = peer.encoder.encode([("a", "x" * 4000)])
        again = bytes((0x80 | 62,)) * 40
        peer.send(frame(frames.HEADERS, END, 1, large + again))
        assert peer.ended() == frames.ENHANCE_YOUR_CALM
    assert server.serves()


def test_headers_may_be_cut_into_frames_of_one_byte(peer):
    block = peer.headers()[9:]
    cut = [frame(frames.CONTINUATION, 0, 1, block[at : at + 1]) for at in range(1, len(block))]
    last = frame(frames.CONTINUATION, frames.END_HEADERS, 1)
    peer.send(frame(frames.HEADERS, 0, 1, block[:1]), *cut, last, data(1, message(b"x"), ends=True))
    assert peer.answer().messages == [b"x"]


def test_padding_and_priority_are_taken_off(peer):
    block = peer.headers()[9:]
    padded = b"\x03" + bytes(5) + block + bytes(3)
    flags = frames.END_HEADERS | frames.PADDED | frames.PRIORITISED
    body = b"\x02" + message(b"x") + bytes(2)
    peer.send(
        frame(frames.HEADERS, flags, 1, padded),
        frame(frames.DATA, frames.PADDED | frames.END_STREAM, 1, body),
    )
    assert peer.answer().messages == [b"x"]


def test_trailers_of_the_client_end_its_part(peer):
    peer.send(peer.headers(), data(1, message(b"x")))
    peer.send(frame(frames.HEADERS, END, 1, peer.encoder.encode([("a", "b")])))
    assert peer.answer().messages == [b"x"]


def test_headers_in_the_midst_of_a_call_that_do_not_end_it_are_a_fault(peer):
    peer.send(peer.headers(), peer.headers())
    assert peer.ended() == frames.PROTOCOL_ERROR


def test_data_after_the_end_of_a_stream_ends_the_stream(server):
    peer = server.peer()
    peer.call("Hold", b"x")
    assert server.handlers.entered.acquire(timeout=10)
    peer.send(data(1, b"more"))
    assert peer.expect(frames.RST_STREAM, stream=1).number == frames.STREAM_CLOSED
    peer.call("Echo", b"y", stream=3)
    assert peer.answer(3).messages == [b"y"]


def test_what_comes_for_a_call_that_is_over_is_passed_over(peer):
    peer.call("Echo", b"x")
    assert peer.answer().messages == [b"x"]
    peer.send(data(1, b"late"), frames.window_update(1, 5), frames.reset(1, 8), peer.headers(1))
    peer.call("Echo", b"y", stream=3)
    assert peer.answer(3).messages == [b"y"]


def test_more_than_the_window_of_a_stream_is_a_fault(server):
    peer = server.peer()
    peer.call("Hold", b"x", stream=1)
    peer.send(peer.headers(3, "First"), data(3, message(b"x") * 2))
    peer.send(peer.headers(5))
    with contextlib.suppress(ConnectionError):  # it is not read to its end
        peer.send(*[data(5, message(bytes(1000)) * 16)] * 400)
    assert peer.ended() == frames.FLOW_CONTROL_ERROR


def test_a_stream_whose_window_goes_beyond_bounds_ends_alone(peer):
    peer.send(peer.headers(), frames.window_update(1, (1 << 31) - 1))
    assert peer.expect(frames.RST_STREAM, stream=1).number == frames.FLOW_CONTROL_ERROR
    peer.call("Echo", b"x", stream=3)
    assert peer.answer(3).messages == [b"x"]


def test_a_setting_that_makes_a_window_too_wide_is_a_fault(peer):
    peer.send(peer.headers(), frames.window_update(1, (1 << 31) - 1 - 65_535))
    peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 65_536}))
    assert peer.ended() == frames.FLOW_CONTROL_ERROR


def test_an_answer_waits_where_settings_make_its_window_smaller_than_nothing(peer):
    peer.call("Huge", b"100000")
    got = 0
    while got < 65_535:
        got += len(peer.expect(frames.DATA).payload)
    assert got == 65_535
    peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}))
    peer.widen(1 << 20)
    peer.widen(65_535, 1)  # 0 again
    peer.ping()
    assert not any(each.kind == frames.DATA for each in peer.seen)
    peer.widen(10, 1)
    assert len(peer.expect(frames.DATA).payload) == 10
    peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 65_535}))
    while got < 100_005 - 10:
        got += len(peer.expect(frames.DATA).payload)
    assert peer.expect(frames.HEADERS).ends


def test_the_window_of_the_connection_holds_all_its_answers_back(peer):
    peer.call("Huge", b"50000", stream=1)
    peer.call("Huge", b"50000", stream=3)
    peer.ping()
    got = sum(len(each.payload) for each in peer.seen if each.kind == frames.DATA)
    while got < 65_535:
        got += len(peer.expect(frames.DATA).payload)
    peer.widen(1 << 20)
    while got < 2 * 50_005:
        got += len(peer.expect(frames.DATA).payload)


@pytest.mark.parametrize("limit", [16_384, 20_000, 1 << 20])
def test_no_frame_is_larger_than_the_client_takes(server, limit):
    peer = server.peer(max_frame_size=limit, initial_window_size=1 << 30)
    peer.widen(1 << 30)
    peer.call("Huge", b"3000000")
    got = 0
    while got < 3_000_005:
        found = peer.expect(frames.DATA)
        assert len(found.payload) <= limit
        got += len(found.payload)


def test_calls_beyond_the_limit_of_a_connection_are_refused_and_may_be_repeated(server):
    peer = server.peer()
    peer.send(*(peer.headers(number, "Each") for number in range(1, 2 * STREAMS_LIMIT + 2, 2)))
    last = 2 * STREAMS_LIMIT + 1
    assert peer.expect(frames.RST_STREAM, stream=last).number == frames.REFUSED_STREAM
    peer.reset(1)
    peer.call("Echo", b"again", stream=last + 2)
    assert peer.answer(last + 2).messages == [b"again"]


def test_small_answers_take_of_the_window_of_the_connection_too(server):
    peer = server.peer()
    answers = 7
    for number in range(1, 2 * answers, 2):
        peer.call("Huge", b"10000", stream=number)
    # Six are sixty thousand, and the seventh goes beyond the window that nobody has widened. What
    # each takes is settled before it is sent, and so any of them may come first.
    whole, rest = divmod(frames.WINDOW, 10_005)
    heard = [len(peer.expect(frames.DATA).payload) for _ in range(whole + 1)]
    assert sorted(heard) == [rest, *[10_005] * whole]
    peer.widen(1 << 20)
    assert len(peer.expect(frames.DATA).payload) == 10_005 - rest
