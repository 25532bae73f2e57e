"""What comes over a connection, cut into frames and checked, and told to whom it concerns.

Used by one thread at a time, the one that reads. A `Fault` ends the connection.
"""

from collections.abc import Callable
from typing import Final, Protocol

from lading.rpc.http2 import frames
from lading.rpc.http2.frames import Fault
from lading.rpc.http2.headers import Opening, Reader, Refusal
from lading.rpc.http2.messages import Parts

BLOCK_LIMIT: Final = 64 << 10
"""Bytes of the headers of a call, as they travel."""
_BUFFER: Final = 256 << 10
_PRIORITY_SIZE: Final = 5
_PING_SIZE: Final = 8
_NOBODY: Final = -1
_PONG: Final = frames.head(frames.PING, frames.ACK, 0, _PING_SIZE)


class Receiver(Protocol):
    """Whom it concerns. Streams are told by their numbers, which are right for a client's."""

    def came_headers(self, number: int, found: Opening | Refusal, *, ends: bool) -> None:
        """What opens a call, or ends its client's part."""

    def came_data(self, number: int, parts: Parts, size: int, *, ends: bool) -> None:
        """Parts of a call, in frames of so many bytes. Their memory is reused afterwards."""

    def came_window(self, number: int, size: int) -> None:
        """Leave to send so much more, on a stream, or (0) on all."""

    def came_reset(self, number: int) -> None:
        """The end of a call."""

    def came_setting(self, key: int, value: int) -> None:
        """A setting that is within its bounds."""

    def say(self, data: bytes) -> None:
        """Send this soon."""


class Intake:
    """Cuts bytes into frames."""

    def __init__(self, receiver: Receiver) -> None:
        self.is_greeted = False
        """Whether the client has shown that it speaks HTTP/2."""
        self._receiver = receiver
        self._headers = Reader()
        self._block: tuple[int, int, bytearray] | None = None
        """Headers that go on: their stream, their flags and what has come."""
        self._buffer = bytearray()
        self._start = self._end = 0
        self._kinds: dict[int, Callable[[int, int, memoryview], None]] = {
            frames.DATA: self._data,
            frames.HEADERS: self._begun_headers,
            frames.PRIORITY: self._priority,
            frames.RST_STREAM: self._reset,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._push,
            frames.PING: self._ping,
            frames.WINDOW_UPDATE: self._window,
            frames.CONTINUATION: self._continued_headers,
        }
        # GOAWAY asks nothing of a server, and a kind that nobody knows is passed over (§4.1).

    def room(self) -> memoryview:
        """Where the next bytes go; at least as many as a frame may have."""
        if len(self._buffer) - self._end < frames.FRAME_LIMIT + frames.HEAD_SIZE:
            rest = self._buffer[self._start : self._end]
            if len(self._buffer) < _BUFFER:
                self._buffer = bytearray(_BUFFER)
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return memoryview(self._buffer)[self._end :]

    def rest(self) -> None:
        """Keep no memory for what may not come for long."""
        if self._start == self._end:
            self._buffer = bytearray()
            self._start = self._end = 0

    def took(self, count: int) -> None:
        """So many bytes have come into the room: tell of every frame that is whole."""
        self._end += count
        buffer, view, end = self._buffer, memoryview(self._buffer), self._end
        if not self.is_greeted and not self._greeted():
            return
        unpack = frames.HEAD.unpack_from
        # A message of a mebibyte comes in 64 frames. What a read has of them is put together, so
        # that its call hears once of all of it.
        run, parts = _NOBODY, Parts()
        while end - self._start >= frames.HEAD_SIZE:
            word, flags, number = unpack(buffer, self._start)
            size = word >> 8
            if size > frames.FRAME_LIMIT:
                raise Fault(frames.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            begin = self._start + frames.HEAD_SIZE
            if end - begin < size:
                break
            self._start = begin + size
            kind = word & frames.KIND_MASK
            if self._block is not None and kind != frames.CONTINUATION:
                raise Fault(frames.PROTOCOL_ERROR, "headers were cut")
            if kind == frames.DATA and not flags:
                if number != run:
                    self._tell_run(run, parts)
                    run = number
                parts.append(view[begin : self._start])
                continue
            self._tell_run(run, parts)
            take = self._kinds.get(kind)
            if take is not None:
                take(number & frames.STREAM_MASK, flags, view[begin : self._start])
        self._tell_run(run, parts)
        if self._start == end:
            self._start = self._end = 0

    def _tell_run(self, number: int, parts: Parts) -> None:
        if parts:
            number = _of_client(number & frames.STREAM_MASK)
            self._receiver.came_data(number, parts, sum(map(len, parts)), ends=False)
            parts.clear()

    def _greeted(self) -> bool:
        size = len(frames.PREFACE)
        begun = bytes(self._buffer[self._start : min(self._end, self._start + size)])
        if not frames.PREFACE.startswith(begun):
            raise Fault(frames.PROTOCOL_ERROR, "what came is no HTTP/2")
        if len(begun) < size:
            return False
        self.is_greeted = True
        self._start += size
        return True

    def _data(self, number: int, flags: int, payload: memoryview) -> None:
        data = frames.unpadded(payload, flags) if flags & frames.PADDED else payload
        ends = bool(flags & frames.END_STREAM)
        self._receiver.came_data(_of_client(number), [data], len(payload), ends=ends)

    def _begun_headers(self, number: int, flags: int, payload: memoryview) -> None:
        part = frames.unpadded(payload, flags)
        if flags & frames.PRIORITISED:
            if len(part) < _PRIORITY_SIZE:
                raise Fault(frames.FRAME_SIZE_ERROR, "headers without their priority")
            part = part[_PRIORITY_SIZE:]
        if flags & frames.END_HEADERS:
            self._whole_block(_of_client(number), flags, bytes(part))
        else:
            self._block = (_of_client(number), flags, bytearray(part))

    def _continued_headers(self, number: int, flags: int, payload: memoryview) -> None:
        if self._block is None or self._block[0] != number:
            raise Fault(frames.PROTOCOL_ERROR, "headers go on that did not begin")
        _, first, block = self._block
        block += payload
        if len(block) > BLOCK_LIMIT:
            raise Fault(frames.ENHANCE_YOUR_CALM, "headers without end")
        if flags & frames.END_HEADERS:
            self._block = None
            self._whole_block(number, first, bytes(block))

    def _whole_block(self, number: int, flags: int, block: bytes) -> None:
        # Even those of a stream that is over: later ones refer to what they put into the table.
        found = self._headers.read(block)
        self._receiver.came_headers(number, found, ends=bool(flags & frames.END_STREAM))

    def _window(self, number: int, flags: int, payload: memoryview) -> None:
        size = frames.word(payload) & frames.STREAM_MASK
        if not size:
            raise Fault(frames.PROTOCOL_ERROR, "a window that does not widen")
        self._receiver.came_window(_of_client(number) if number else 0, size)

    def _reset(self, number: int, flags: int, payload: memoryview) -> None:
        frames.word(payload)
        self._receiver.came_reset(_of_client(number))

    def _settings(self, number: int, flags: int, payload: memoryview) -> None:
        if number:
            raise Fault(frames.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            if payload:
                raise Fault(frames.FRAME_SIZE_ERROR, "settings of a broken size")
            return
        found = {}  # of settings that are said again and again the last one holds
        for key, value in frames.pairs(bytes(payload)):
            least, most, code = frames.BOUNDS.get(key, frames.UNBOUND)
            if not least <= value <= most:
                raise Fault(code, "a setting out of bounds")
            found[key] = value
        for key, value in found.items():
            self._receiver.came_setting(key, value)
        self._receiver.say(frames.head(frames.SETTINGS, frames.ACK, 0, 0))

    def _ping(self, number: int, flags: int, payload: memoryview) -> None:
        if len(payload) != _PING_SIZE:
            raise Fault(frames.FRAME_SIZE_ERROR, "a ping of a broken size")
        if number:
            raise Fault(frames.PROTOCOL_ERROR, "a ping of a stream")
        if not flags & frames.ACK:
            self._receiver.say(_PONG + payload)

    def _push(self, number: int, flags: int, payload: memoryview) -> None:
        raise Fault(frames.PROTOCOL_ERROR, "a client does not push")

    def _priority(self, number: int, flags: int, payload: memoryview) -> None:
        if len(payload) != _PRIORITY_SIZE:
            raise Fault(frames.FRAME_SIZE_ERROR, "a priority of a broken size")
        _of_client(number)


def _of_client(number: int) -> int:
    """A stream's number, if a client may open it (§5.1.1)."""
    if not number & 1:
        raise Fault(frames.PROTOCOL_ERROR, "a stream that no client opens")
    return number
