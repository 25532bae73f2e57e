"""One call: the stream of a connection that carries it, and what its handler may ask.

Made by the thread that reads the connection, run by a thread of the workers. Its handler iterates
over the client's messages, and asks what grpc's own context would be asked.
"""

import contextlib
import logging
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn, Protocol, Self

import grpc

from lading.rpc.http2 import frames, headers, turns
from lading.rpc.http2.messages import Assembly, Parts, Soon

_LOG = logging.getLogger(__name__)
MESSAGE_LIMIT: Final = 16 << 20
"""Bytes of a message, either way: containerd's."""
_RUNNING_WINDOW: Final = 1 << 20
"""What a client may send ahead of a handler that is at work."""
_LOW: Final = 32 << 10
_LONGEST: Final = 86_400.0
"""Seconds that anybody waits at a time: the kernel takes no more than 24 days."""


class Handler(NamedTuple):
    """What answers a method: with one message, or with as many as it gives."""

    answers_once: bool
    function: Callable[[Iterator[bytes], Any], Any]
    is_quick: bool = False
    """Whether it only looks something up, so that others may wait for it a moment."""


class Ended(Exception):
    """A handler is over, and its status is said."""


class Gone(Exception):
    """The client is not there any more, or was sent away."""


class Carrier(Protocol):
    """What a call needs of its connection."""

    @property
    def first_window(self) -> int:
        """How much a client takes of a call at its beginning."""

    def wait(self, stream: "Stream", ready: Callable[[], bool]) -> None:
        """Wait until something holds for a call; `Gone` after its deadline."""

    def widen(self, stream: "Stream") -> None:
        """Let a client send more, whose next message is wanted."""

    def send(self, stream: "Stream", *buffers: bytes | memoryview) -> None:
        """Send frames, and wait until the socket has taken them; `Gone` where it never will."""

    def send_soon(self, data: bytes) -> None:
        """Send frames without waiting, from any thread."""

    def send_message(
        self, stream: "Stream", message: bytes, first: bytes, last: bytes, *, waits: bool = False
    ) -> None:
        """Send a message as the client takes it, between the frames `first` and `last`.

        If it may, it `waits` for what is sent next.
        """

    def woken(self, stream: "Stream") -> None:
        """A call was ended by another thread than its own, which has to look."""

    def ended(self, stream: "Stream") -> None:
        """A call is over, and so is its handler, if it ever began."""


class Stream:
    """One call. What is said of threads holds: one reads the connection, one runs the handler."""

    def __init__(
        self, connection: Carrier, number: int, opening: headers.Opening, handler: Handler
    ) -> None:
        self.number = number
        self.window = connection.first_window
        """Bytes that the client takes of us, now."""
        self.is_over = False
        """Whether nothing more may be sent or taken: reset, cancelled or answered."""
        self.is_unwanted = False
        """Whether it was cancelled by us: its thread does not even finish a frame."""
        self.is_running = False
        self.since = time.monotonic()
        """When its headers came."""
        self._connection = connection
        self._opening, self._handler = opening, handler
        self.headers = opening.firsts
        """What `invocation_metadata` has, by its keys; of a key that comes again, the first."""
        self._until = None if opening.seconds is None else self.since + opening.seconds
        self._assembly = Assembly(MESSAGE_LIMIT)
        self._messages: deque[bytes] = deque()
        self._leave = frames.WINDOW
        """Bytes that the client may still send."""
        self._has_ended = False
        self._has_begun = False
        self._status: tuple[grpc.StatusCode, str] = (grpc.StatusCode.OK, "")
        self._trailers: tuple[tuple[str, str | bytes], ...] = ()
        self._callbacks: list[Callable[[], object]] = []

    # What the handler asks

    def invocation_metadata(self) -> headers.Metadata:
        """The client's headers, but those that are HTTP's and gRPC's own."""
        return self._opening.metadata

    def is_active(self) -> bool:
        """Whether the client still waits for an answer."""
        return not self.is_over

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Have this go with the status."""
        self._trailers = tuple(metadata)

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status."""
        self._status = (code, details)
        raise Ended

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Call this when the call is over, from whatever thread; False if it is over already."""
        self._callbacks.append(callback)
        if not self.is_over:
            return True
        # Whoever ends it may have been through them already, or may have just taken this one.
        with contextlib.suppress(ValueError):
            self._callbacks.remove(callback)
            return False
        return True

    def send_initial_metadata(self, _: Sequence[tuple[str, str | bytes]]) -> None:
        """Tell the client that its call has been taken up."""
        begun = self._begun()
        if begun:
            self._connection.send(self, begun)

    def cancel(self) -> None:
        """Send the client away, from whatever thread: its handler ends when it waits next."""
        self.is_unwanted = True
        if not self.is_over:
            self._connection.send_soon(frames.reset(self.number, frames.CANCEL))
            self.end()
        # Its client may have ended it, and its thread may still be sending what is not read.
        self._connection.woken(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The client's next message; `Gone` when there is no client."""
        if not self._messages:
            if self._leave < _LOW and not self._has_ended:
                self._connection.widen(self)
            self._connection.wait(self, self._has_heard)
        if self._messages:
            return self._messages.popleft()
        if self._has_ended and not self.is_over:
            raise StopIteration
        raise Gone

    def _has_heard(self) -> bool:
        return bool(self._messages) or self._has_ended or self.is_over

    def time_left(self) -> float | None:
        """Seconds until the client waits no longer, or until that is to be asked again."""
        return None if self._until is None else min(self._until - time.monotonic(), _LONGEST)

    # What the thread that reads says

    def take(self, parts: Parts, size: int) -> bool:
        """Take parts of the client's messages; whether one is whole by them.

        Raises `BadMessage`, and `Fault` from a client that sends more than it may.
        """
        self._leave -= size
        if self._leave < 0:
            raise frames.Fault(frames.FLOW_CONTROL_ERROR, "more than the stream's window")
        whole = self._assembly.take(parts)
        self._messages += whole
        return bool(whole)

    @property
    def may_run(self) -> bool:
        """Whether there is a message to run with, or there will be none unless it runs."""
        return bool(self._messages) or self._has_ended or self._assembly.missing > self._leave

    @property
    def lacks_leave(self) -> bool:
        """Whether the message that is coming cannot come whole."""
        return (
            self.is_running
            and not self._messages
            and self._assembly.missing + _LOW > self._leave
            and not self._has_ended
        )

    def widened(self) -> int:
        """By how much the client may send more from now on."""
        more = self._assembly.missing + _RUNNING_WINDOW - self._leave
        self._leave += more
        return more

    @property
    def has_ended(self) -> bool:
        """Whether the client has said all."""
        return self._has_ended

    def said_all(self) -> None:
        """The client has said all."""
        self._has_ended = True
        if not self._assembly.is_between:
            self._status = (grpc.StatusCode.INTERNAL, "the call ended within a message")

    def end(self) -> None:
        """It is over. Safe to call twice."""
        self.is_over = True
        while self._callbacks:
            with contextlib.suppress(IndexError):  # another thread may be at it, too
                callback = self._callbacks.pop()
                with contextlib.suppress(Exception):
                    callback()

    def refuse(self, code: grpc.StatusCode, sentence: str) -> None:
        """End the call with a status, from the thread that reads."""
        if not self.is_over:
            self._status = (code, sentence)
            self._connection.send_soon(self._ending())
            self.end()

    # The run

    def run(self) -> None:
        """Run the handler, and say how it ended."""
        try:
            if not self.is_over:
                self._answer()
        except (Ended, Gone):
            pass
        except Exception:  # noqa: BLE001 - whatever it is, it is told and ends the call
            if not self.is_over:
                _LOG.exception("a handler failed in a way that it should not")
                self._status = (
                    grpc.StatusCode.UNKNOWN,
                    "the daemon failed; its log has the details",
                )
        try:
            if not self.is_over:
                self._connection.send(self, self._ending())
        except Gone:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, its client has to hear of the end
            _LOG.exception("the end of a call could not be written")
            self._connection.send_soon(frames.reset(self.number, frames.INTERNAL_ERROR))
        finally:
            self.end()
            self._connection.ended(self)

    def _answer(self) -> None:
        once, function, is_quick = self._handler
        if not is_quick:
            turns.end()
        if once:
            answer = function(self, self)
            if len(answer) > MESSAGE_LIMIT:
                self._refuse_own(len(answer))
            self._connection.send_message(self, answer, self._begun(), self._ending())
            self.is_over = True
            return
        answers = function(self, self)
        try:
            for answer in answers:
                if len(answer) > MESSAGE_LIMIT:
                    self._refuse_own(len(answer))
                waits = isinstance(answer, Soon)
                self._connection.send_message(self, answer, self._begun(), b"", waits=waits)
        finally:
            answers.close()

    def _refuse_own(self, size: int) -> NoReturn:
        self.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"an answer of {size} bytes; {MESSAGE_LIMIT} are sent at most",
        )

    def _begun(self) -> bytes:
        """The headers of the answer, the first time."""
        if self._has_begun:
            return b""
        self._has_begun = True
        return _BEGUN(self.number)

    def _ending(self) -> bytes:
        """What ends the answer; and the stream, if its client has not said all."""
        code, sentence = self._status
        if code is grpc.StatusCode.OK and not self._trailers:
            if self._has_begun and self._has_ended:
                return _DONE(self.number)
            fields = headers.DONE
        else:
            fields = headers.trailers(code, sentence, self._trailers)
        if not self._has_begun:
            self._has_begun = True
            fields = headers.BEGINNING + fields
        ending = _framed(fields, frames.END_HEADERS | frames.END_STREAM, self.number)
        if not self._has_ended:
            ending += frames.reset(self.number, frames.NO_ERROR)
        return ending


def _ready(fields: bytes, flags: int) -> Callable[[int], bytes]:
    """Make what gives a frame of HEADERS that is always the same but for its stream's number."""
    pack = struct.Struct(f">5sI{len(fields)}s").pack
    kind = frames.head(frames.HEADERS, flags, 0, len(fields))[:5]
    return lambda number: pack(kind, number, fields)


_BEGUN: Final = _ready(headers.BEGINNING, frames.END_HEADERS)
_DONE: Final = _ready(headers.DONE, frames.END_HEADERS | frames.END_STREAM)


def _framed(fields: bytes, flags: int, number: int) -> bytes:
    """A frame of HEADERS, and what does not fit into it behind it."""
    size = frames.SMALLEST_FRAME_LIMIT
    if len(fields) <= size:
        return frames.head(frames.HEADERS, flags, number, len(fields)) + fields
    parts = [fields[at : at + size] for at in range(0, len(fields), size)]
    first = flags & ~frames.END_HEADERS
    framed = frames.head(frames.HEADERS, first, number, len(parts[0])) + parts[0]
    for part in parts[1:]:
        last = frames.END_HEADERS if part is parts[-1] else 0
        framed += frames.head(frames.CONTINUATION, last, number, len(part)) + part
    return framed
