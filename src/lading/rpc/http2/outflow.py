"""How much a client takes: of a stream, of all streams, and in one frame (RFC 9113 §5.2)."""

import threading
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from lading.rpc.http2 import frames
from lading.rpc.http2.frames import Fault
from lading.rpc.http2.messages import PREFIX

_BATCH: Final = 1 << 20
"""Bytes that are sent at a time, between which others have their turn."""
JOINED: Final = 32 << 10
"""Bytes up to which what is sent is put together first."""


class Outgoing(Protocol):
    """A stream, as far as it sends."""

    number: int
    window: int
    """Bytes that the client takes of it, now."""


class Outflow:
    """The windows of a connection. Any method may be called from any thread."""

    def __init__(self) -> None:
        self.first_window = frames.WINDOW
        """What a stream's window is at its beginning; the client says."""
        self.frame_limit = frames.SMALLEST_FRAME_LIMIT
        """Bytes of a frame that the client takes."""
        self._window = frames.WINDOW
        self._guard = threading.Lock()

    def widen(self, stream: Outgoing | None, size: int) -> None:
        """The client takes more: of a stream, or of all."""
        with self._guard:
            if stream is None:
                self._window = _within_bounds(self._window + size)
            else:
                stream.window = _within_bounds(stream.window + size)

    def begin_with(self, window: int, streams: Iterable[Outgoing]) -> None:
        """Each stream begins with this window, and those that have begun get the difference."""
        with self._guard:
            more, self.first_window = window - self.first_window, window
            for stream in streams:
                stream.window = _within_bounds(stream.window + more)

    def is_open(self, stream: Outgoing) -> bool:
        """Whether the client takes more of a stream."""
        return stream.window > 0 and self._window > 0

    def takes(self, stream: Outgoing, size: int) -> bool:
        """Whether the client takes so many bytes in one frame, now; they count as sent then."""
        with self._guard:
            if size > min(stream.window, self._window, self.frame_limit):
                return False
            stream.window -= size
            self._window -= size
            return True

    def parts(
        self, stream: Outgoing, message: bytes
    ) -> "Iterator[list[bytes | memoryview] | None]":
        """A message in frames, as much at a time as the client takes; None where it takes none."""
        prefix = PREFIX.pack(0, len(message))
        rest = memoryview(message)
        while prefix or rest:
            size = self._reserved(stream, len(prefix) + len(rest))
            if not size:
                yield None
                continue
            parts: list[bytes | memoryview] = []
            while size:
                part = min(size, self.frame_limit)
                head = frames.head(frames.DATA, 0, stream.number, part) + prefix[:part]
                taken = part - len(prefix[:part])
                parts += (head, rest[:taken])
                prefix, rest = prefix[part:], rest[taken:]
                size -= part
            yield parts

    def _reserved(self, stream: Outgoing, wanted: int) -> int:
        with self._guard:
            size = max(0, min(wanted, stream.window, self._window, _BATCH))
            stream.window -= size
            self._window -= size
            return size


def _within_bounds(window: int) -> int:
    if window > frames.WINDOW_LIMIT:
        raise Fault(frames.FLOW_CONTROL_ERROR, "a window beyond all bounds")
    return window
