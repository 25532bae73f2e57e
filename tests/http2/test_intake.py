"""Frames are told of whole and in their order, however they are cut on their way."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lading.rpc.http2 import frames
from lading.rpc.http2.intake import Intake
from lading.rpc.http2.messages import Assembly
from tests.http2.peer import data, frame, message

LIMIT = 1 << 20


class Heard:
    """What is told: each frame that is not DATA, and of DATA what came of one call at a time."""

    def __init__(self):
        self.told = []

    def came_data(self, number, parts, size, *, ends):
        """Parts of a call."""
        assert parts
        self.add(number, b"".join(parts), size, ends=ends)

    def add(self, number, payload, size, *, ends):
        """Put together what belongs together, as whoever is told may get it in any pieces."""
        if self.told and self.told[-1][0] == number and not self.told[-1][3]:
            _, before, size_before, _ = self.told.pop()
            payload, size = before + payload, size + size_before
        self.told.append((number, payload, size, ends))

    def came_window(self, number, size):
        """Leave to send more."""
        self.told.append(("window", number, size, True))

    def came_reset(self, number):
        """The end of a call."""
        self.told.append(("reset", number, 0, True))

    def say(self, answer):
        """A ping is answered."""
        self.told.append(("said", answer, 0, True))


numbers = st.sampled_from([1, 3])
payloads = st.binary(max_size=20)
plain = st.tuples(st.just("data"), numbers, payloads, st.just(value=False), st.just(0))
datas = st.tuples(st.just("data"), numbers, payloads, st.booleans(), st.integers(0, 3))
others = st.tuples(st.sampled_from(["window", "reset", "ping"]), numbers)


def written(what):
    """A frame, as it travels."""
    kind, number, *rest = what
    if kind == "window":
        return frames.window_update(number, 7)
    if kind == "reset":
        return frames.reset(number, frames.CANCEL)
    if kind == "ping":
        return frame(frames.PING, 0, 0, b"question")
    payload, ends, padding = rest
    if padding:
        flags = frames.PADDED | (frames.END_STREAM if ends else 0)
        return frame(frames.DATA, flags, number, bytes([padding]) + payload + bytes(padding))
    return data(number, payload, ends=ends)


def tell(heard, what):
    """Say of a frame what `Heard` should hear."""
    kind, number, *rest = what
    if kind == "window":
        heard.came_window(number, 7)
    elif kind == "reset":
        heard.came_reset(number)
    elif kind == "ping":
        heard.say(frame(frames.PING, frames.ACK, 0, b"question"))
    else:
        payload, ends, padding = rest
        heard.add(number, payload, len(payload) + (padding + 1 if padding else 0), ends=ends)


def cut(whole, cuts):
    """The same bytes in pieces."""
    places = sorted({each % (len(whole) + 1) for each in cuts} | {0, len(whole)})
    return [whole[a:b] for a, b in pairwise(places)]


@given(st.lists(st.one_of(plain, datas, others), max_size=30), st.lists(st.integers(0, 1 << 16)))
def test_frames_are_told_of_in_their_order_wherever_they_are_cut(sent, cuts):
    heard, expected = Heard(), Heard()
    intake = Intake(heard)
    for piece in cut(frames.PREFACE + b"".join(map(written, sent)), cuts):
        intake.room()[: len(piece)] = piece
        intake.took(len(piece))
    for what in sent:
        tell(expected, what)
    assert heard.told == expected.told


@given(
    st.lists(st.binary(max_size=40), max_size=10),
    st.lists(st.integers(0, 1 << 16)),
    st.lists(st.integers(0, 1 << 16)),
)
def test_messages_are_whole_wherever_they_are_cut(said, cuts, joins):
    parts = [memoryview(each) for each in cut(b"".join(map(message, said)), cuts)]
    assembly = Assembly(LIMIT)
    got = [each for some in cut(parts, joins) for each in assembly.take(some)]
    assert [bytes(each) for each in got] == said
    assert assembly.is_between
