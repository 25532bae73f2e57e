"""HTTP/2 frames: how they are written, and what no frame may be.

Sources: RFC 9113 §4, §6 and §7; gRPC over HTTP/2 (the protocol's own document) for what a call is.
"""

import struct
from collections.abc import Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = struct.Struct(">IBI")
"""Length and kind in one word, flags, stream."""
HEAD_SIZE: Final = 9

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 5, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = range(1, 5)
MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 5, 6

WINDOW: Final = 65_535
"""What each window is before anybody says otherwise (§6.9.2)."""
WINDOW_LIMIT: Final = (1 << 31) - 1
SMALLEST_FRAME_LIMIT, LARGEST_FRAME_LIMIT = 1 << 14, (1 << 24) - 1
FRAME_LIMIT: Final = 64 << 10
"""Bytes of a frame's payload that we take."""
STREAM_MASK: Final = 0x7FFF_FFFF
KIND_MASK: Final = 0xFF
BOUNDS: Final = {
    ENABLE_PUSH: (0, 1, PROTOCOL_ERROR),
    INITIAL_WINDOW_SIZE: (0, WINDOW_LIMIT, FLOW_CONTROL_ERROR),
    MAX_FRAME_SIZE: (SMALLEST_FRAME_LIMIT, LARGEST_FRAME_LIMIT, PROTOCOL_ERROR),
}
"""Between what a setting lies, and what it is to be outside of that (§6.5.2)."""
UNBOUND: Final = (0, (1 << 32) - 1, PROTOCOL_ERROR)
_PAIR: Final = struct.Struct(">HI")
_WORD: Final = struct.Struct(">I")
_WORD_SIZE: Final = _WORD.size
_TWO_WORDS: Final = struct.Struct(">II")


class Fault(Exception):
    """What a client did that no connection outlives: the code of our GOAWAY, and a word on it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """The head of a frame."""
    return HEAD.pack(size << 8 | kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    """Our settings."""
    return head(SETTINGS, 0, 0, 6 * len(values)) + b"".join(
        _PAIR.pack(*each) for each in values.items()
    )


def window_update(stream: int, size: int) -> bytes:
    """Leave to send so many bytes more, on a stream, or (0) on the connection."""
    return head(WINDOW_UPDATE, 0, stream, 4) + _WORD.pack(size)


def reset(stream: int, code: int) -> bytes:
    """The end of a stream, now."""
    return head(RST_STREAM, 0, stream, 4) + _WORD.pack(code)


def go_away(last: int, code: int, reason: str = "") -> bytes:
    """The end of a connection: no stream after `last` is, or will be, answered."""
    payload = _TWO_WORDS.pack(last, code) + reason.encode()[:200]
    return head(GOAWAY, 0, 0, len(payload)) + payload


def pairs(payload: bytes) -> Iterator[tuple[int, int]]:
    """The settings in a frame; `Fault` for a size that no list of pairs has."""
    if len(payload) % _PAIR.size:
        raise Fault(FRAME_SIZE_ERROR, "settings of a broken size")
    yield from _PAIR.iter_unpack(payload)


def word(payload: memoryview) -> int:
    """The one number of a frame that has one."""
    if len(payload) != _WORD_SIZE:
        raise Fault(FRAME_SIZE_ERROR, "a number of a broken size")
    return int.from_bytes(payload)


def unpadded(view: memoryview, flags: int) -> memoryview:
    """The payload of a frame of DATA or HEADERS, without what is around it."""
    if flags & PADDED:
        if not view or view[0] >= len(view):
            raise Fault(PROTOCOL_ERROR, "more padding than frame")
        view = view[1 : len(view) - view[0]]
    return view
