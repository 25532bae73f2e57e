"""What a call says and is told, as the protocol's document of gRPC over HTTP/2 has it."""

import base64

import grpc
import pytest

from lading.rpc.http2 import frames
from lading.rpc.http2.stream import MESSAGE_LIMIT
from lading.rpc.http2.transports import Plain
from tests.http2.peer import data, message

OK, UNKNOWN, EXHAUSTED, DATA_LOSS = 0, 2, 8, 15
UNIMPLEMENTED, INTERNAL, DEADLINE = 12, 13, 4


def test_a_message_is_answered_with_headers_a_message_and_trailers(peer):
    peer.call("Echo", b"hello")
    answer = peer.answer()
    assert answer.headers == {":status": "200", "content-type": "application/grpc"}
    assert answer.messages == [b"hello"]
    assert answer.trailers == {"grpc-status": "0"}


def test_each_message_is_answered_as_it_comes(peer):
    peer.send(peer.headers(1, "Each"))
    for number in range(5):
        peer.send(data(1, message(b"%d" % number)))
        assert peer.expect(frames.DATA).payload == message(b"%d" % number)
    peer.send(data(1, b"", ends=True))
    assert peer.expect(frames.HEADERS, stream=1).ends


@pytest.mark.parametrize(("words", "status"), [(b"", OK), (b"gone", DATA_LOSS)])
def test_what_may_wait_goes_with_what_comes_next_or_with_the_end(peer, monkeypatch, words, status):
    sent, send = [], Plain.send

    def counted(transport, buffers):
        sent.append(b"".join(buffers))
        return send(transport, buffers)

    peer.call("Echo", b"ready", stream=1)
    assert peer.answer(1).messages == [b"ready"]
    monkeypatch.setattr(Plain, "send", counted)
    peer.call("Soon", b"first", b"second", words, stream=3)
    answer = peer.answer(3)
    assert (answer.messages, answer.status) == ([b"first"] * 2 + [b"second"] * 2, status)
    assert len([each for each in sent if b"first" in each or b"second" in each]) == 1


def test_what_may_wait_is_no_more_than_the_client_takes(server):
    peer = server.peer(initial_window_size=8)
    peer.call("Soon", b"more than eight bytes", b"")
    peer.widen(1 << 20, 1)
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([b"more than eight bytes"] * 2, OK)


def test_a_call_without_messages_is_answered(peer):
    peer.send(peer.headers(1, "Each", ends=True))
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([], OK)


def test_many_calls_after_one_another_are_answered_on_one_connection(peer):
    for number in range(1, 401, 2):
        peer.call("Echo", b"%d" % number, stream=number)
        assert peer.answer(number).messages == [b"%d" % number]


def test_many_calls_at_a_time_are_answered_on_one_connection(peer):
    for number in range(1, 101, 2):
        peer.call("Echo", b"%d" % number, stream=number)
    for number in range(1, 101, 2):
        assert peer.answer(number).messages == [b"%d" % number]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 11])
def test_messages_may_be_cut_at_any_byte(peer, size):
    said = b"".join(map(message, [b"", b"a", b"bc", b"", b"defg"]))
    peer.send(peer.headers(1, "Each"))
    for at in range(0, len(said), size):
        peer.send(data(1, said[at : at + size]))
    peer.send(data(1, b"", ends=True))
    assert peer.answer().messages == [b"", b"a", b"bc", b"", b"defg"]


def test_the_bytes_of_frames_may_come_one_by_one(peer):
    for byte in peer.headers() + data(1, message(b"slow"), ends=True):
        peer.send(bytes((byte,)))
    assert peer.answer().messages == [b"slow"]


def test_a_thousand_empty_messages_may_come_in_one_frame(peer):
    peer.send(peer.headers(1, "Each"), data(1, message(b"") * 1000, ends=True))
    assert peer.answer().messages == [b""] * 1000


def test_a_message_of_nothing_is_a_message(peer):
    peer.call("Echo", b"")
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([b""], OK)


def test_a_compressed_message_is_unimplemented(peer):
    peer.send(peer.headers(), data(1, message(b"x", flag=1)))
    assert peer.answer().status == UNIMPLEMENTED


def test_a_call_whose_messages_are_compressed_is_unimplemented(peer):
    peer.call("Echo", b"x", extra=(("grpc-encoding", "gzip"),))
    assert peer.answer().status == UNIMPLEMENTED


def test_a_message_over_the_limit_is_refused_before_it_comes(peer):
    peer.send(peer.headers(), data(1, message(b"")[:1] + (MESSAGE_LIMIT + 1).to_bytes(4, "big")))
    assert peer.answer().status == EXHAUSTED


def test_an_answer_over_the_limit_is_refused(peer):
    peer.call("Huge", b"%d" % (MESSAGE_LIMIT + 1))
    assert peer.answer().status == EXHAUSTED


@pytest.mark.slow
def test_a_message_of_the_largest_size_goes_both_ways(peer):
    peer.widen(1 << 30, 0)
    peer.send(peer.headers(), frames.window_update(1, 1 << 30))
    said = message(bytes(MESSAGE_LIMIT))
    leave, at = frames.WINDOW, 0
    while at < len(said):
        if not leave:
            found = peer.expect(frames.WINDOW_UPDATE, stream=1)
            leave += found.number
        size = min(leave, 16_384, len(said) - at)
        peer.send(data(1, said[at : at + size], ends=at + size == len(said)))
        at, leave = at + size, leave - size
    assert [len(each) for each in peer.answer().messages] == [MESSAGE_LIMIT]


@pytest.mark.parametrize("size", range(1, 8))
def test_a_call_that_ends_within_a_message_is_an_internal_error(peer, size):
    peer.send(peer.headers(), data(1, message(b"abc")[:size], ends=True))
    assert peer.answer().status == INTERNAL


def test_a_request_that_is_no_grpc_gets_415(peer):
    peer.call("Echo", b"x", extra=(("content-type", "application/json"),))
    assert peer.answer().headers[":status"] == "415"


def test_a_get_gets_405(peer):
    peer.call("Echo", b"x", extra=((":method", "GET"),))
    assert peer.answer().headers[":status"] == "405"


def test_a_method_that_is_not_there_is_unimplemented(peer):
    peer.call("Nothing", b"x")
    answer = peer.answer()
    assert (answer.status, answer.headers[":status"]) == (UNIMPLEMENTED, "200")


def test_a_refusal_before_the_client_has_said_all_ends_the_stream_both_ways(peer):
    peer.send(peer.headers(1, "Nothing"))
    assert peer.answer().status == UNIMPLEMENTED
    assert peer.expect(frames.RST_STREAM).number == frames.NO_ERROR
    peer.send(data(1, message(b"late")))
    peer.call("Echo", b"next", stream=3)
    assert peer.answer(3).messages == [b"next"]


def test_an_answer_before_the_client_has_said_all_ends_the_stream_both_ways(peer):
    peer.send(peer.headers(1, "First"), data(1, message(b"one")))
    assert peer.answer().messages == [b"one"]
    assert peer.expect(frames.RST_STREAM, stream=1).number == frames.NO_ERROR
    peer.send(data(1, message(b"two"), ends=True))
    peer.call("Echo", b"next", stream=3)
    assert peer.answer(3).messages == [b"next"]


def test_a_failing_handler_is_unknown_and_says_nothing_of_itself(peer):
    peer.call("Fail", b"x")
    answer = peer.answer()
    assert answer.status == UNKNOWN
    assert "told to" not in answer.trailers["grpc-message"]


def test_a_handler_that_fails_after_a_message_ends_with_trailers(peer):
    peer.call("FailLate", b"x")
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([b"well"], UNKNOWN)


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("plain words", "plain words"),
        ("100%", "100%25"),
        ("naïve\n", "na%C3%AFve%0A"),
        ("\U0001f4e6", "%F0%9F%93%A6"),
    ],
)
def test_a_status_and_its_words_come_as_they_were_meant(peer, words, sent):
    peer.call("Abort", b"5", words.encode())
    answer = peer.answer()
    assert answer.status == grpc.StatusCode.NOT_FOUND.value[0]
    assert answer.trailers["grpc-message"] == sent
    assert answer.trailers["kind"] == "text"
    data = answer.trailers["words-bin"]
    assert base64.b64decode(data + "=" * (-len(data) % 4)) == words.encode()


def test_an_error_without_messages_is_told_in_the_only_headers(peer):
    peer.call("Abort", b"5", b"gone")
    answer = peer.answer()
    assert answer.headers is answer.trailers
    assert answer.headers["content-type"] == "application/grpc"


def test_trailers_that_are_longer_than_a_frame_come_whole(peer):
    words = b"w" * 20_000
    peer.call("Abort", b"5", words)
    assert peer.answer().trailers["grpc-message"] == words.decode()


def test_metadata_comes_as_it_was_sent(peer):
    data = base64.b64encode(b"\x00\xff\x10").decode()
    extra = (("namespace", "default"), ("a-bin", data.rstrip("=")), ("b-bin", data))
    peer.call("Metadata", extra=extra)
    lines = peer.answer().messages[0].decode().splitlines()
    assert lines == ["namespace='default'", r"a-bin=b'\x00\xff\x10'", r"b-bin=b'\x00\xff\x10'"]


@pytest.mark.parametrize("value", ["!", "abc=d", "a"])
def test_metadata_that_is_no_base64_is_a_bad_request(peer, value):
    peer.call("Metadata", extra=(("a-bin", value),))
    assert peer.answer().headers[":status"] == "400"


def test_a_call_ends_when_its_client_waits_no_longer(peer):
    peer.send(peer.headers(1, "Each", ("grpc-timeout", "20m")), data(1, message(b"one")))
    answer = peer.answer()
    assert (answer.messages, answer.status) == ([b"one"], DEADLINE)


@pytest.mark.parametrize("text", ["1", "S", "-1S", "1.5S", "123456789S", "1x", "", "\u0661S"])
def test_a_timeout_that_is_none_is_a_bad_request(peer, text):
    peer.call("Echo", b"x", extra=(("grpc-timeout", text),))
    assert peer.answer().headers[":status"] == "400"


def test_headers_of_an_answer_may_come_before_its_messages(peer):
    peer.send(peer.headers(1, "Begin"), data(1, message(b"one")))
    assert not peer.expect(frames.HEADERS, stream=1).ends
    peer.send(data(1, b"", ends=True))
    assert peer.expect(frames.DATA).payload == message(b"one")
