"""What the headers of a call say, and those of its answer.

The library `hpack` reads and writes them. It keeps the table that a connection's requests refer to;
answers are so few and so small that they put nothing into one.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import grpc
from hpack import Decoder, Encoder, HPACKError

from lading.rpc.http2 import frames
from lading.rpc.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, Fault
from lading.rpc.http2.sentences import percent_encoded

LIST_LIMIT: Final = 64 << 10
"""Bytes of all headers of a call, as RFC 9113 §6.5.2 counts them."""
Metadata = tuple[tuple[str, str | bytes], ...]
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS: Final = 8
_OWN: Final = frozenset(
    {"te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"}
)
_SEVEN: Final = 0x7F
_KNOWN_LIMIT, _KNOWN_SIZE = 16, 64
"""How many blocks are remembered of a connection, and of how many bytes."""


class Refusal(NamedTuple):
    """A request that is no call: an HTTP status, or a gRPC status with 200."""

    http: int
    code: grpc.StatusCode
    reason: str


class Opening(NamedTuple):
    """What opens a call."""

    path: str
    metadata: Metadata
    seconds: float | None
    """How long its client waits for it; None for as long as it takes."""
    firsts: Mapping[str, str | bytes]
    """The metadata by its keys: of a key that comes again, the first value."""


class Reader:
    """Reads the headers of one connection, in the order in which they came."""

    def __init__(self) -> None:
        self._decoder = Decoder(LIST_LIMIT)
        self._known: dict[bytes, Opening | Refusal] = {}

    def read(self, block: bytes) -> Opening | Refusal:
        """What a block says; `Fault` if it cannot be read, after which no later one can be."""
        # Whoever calls again and again says the same, by nothing but indices into the table, and
        # those leave the table as it is.
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            code = ENHANCE_YOUR_CALM if "large" in str(error) else COMPRESSION_ERROR
            raise Fault(code, "headers that cannot be read") from error
        found = _opening(fields)
        if not _is_indices(block):
            self._known.clear()
        elif len(block) <= _KNOWN_SIZE and len(self._known) < _KNOWN_LIMIT:
            self._known[block] = found
        return found


def _is_indices(block: bytes) -> bool:
    """Whether each field is one byte, an index; what else there is might change the table."""
    return all(byte & 0x80 and byte & _SEVEN != _SEVEN for byte in block)


class _BrokenError(Exception):
    """A request that breaks HTTP's rules, or gRPC's."""


class _Fields:
    """The headers of a request, by whose they are."""

    def __init__(self) -> None:
        self.http: dict[bytes, bytes] = {}
        self.grpc: dict[str, str] = {}
        self.metadata: list[tuple[str, str | bytes]] = []

    def take(self, name: bytes, value: bytes) -> None:
        """Take one."""
        if name.startswith(b":"):
            if self.metadata or self.grpc or name in self.http:
                raise _BrokenError("pseudo-headers out of place")
            self.http[name] = value
            return
        key = name.decode("latin-1")
        if key != key.lower():
            raise _BrokenError("a header's name in capitals")
        if key in _OWN:
            self.grpc[key] = value.decode("latin-1")
        elif key.endswith("-bin"):
            self.metadata += ((key, _from_base64(part)) for part in value.split(b","))
        else:
            self.metadata.append((key, value.decode("latin-1")))


def _opening(fields: Iterable[tuple[bytes, bytes]]) -> Opening | Refusal:
    found = _Fields()
    try:
        for name, value in fields:
            found.take(name, value)
        seconds = _seconds(found.grpc.get("grpc-timeout"))
    except _BrokenError as error:
        return Refusal(400, grpc.StatusCode.INTERNAL, str(error))
    if not found.grpc.get("content-type", "").startswith("application/grpc"):
        return Refusal(415, grpc.StatusCode.UNKNOWN, "this is a server of gRPC")
    if found.http.get(b":method") != b"POST":
        return Refusal(405, grpc.StatusCode.INTERNAL, "a call is a POST")
    if found.grpc.get("grpc-encoding", "identity") != "identity":
        return Refusal(200, grpc.StatusCode.UNIMPLEMENTED, "send messages without compression")
    path = found.http.get(b":path", b"").decode("latin-1")
    firsts = dict(reversed(found.metadata))
    return Opening(path, tuple(found.metadata), seconds, firsts)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    digits, unit = text[:-1], text[-1:]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _TIMEOUT_DIGITS
    if not is_number or unit not in _UNITS:
        raise _BrokenError("grpc-timeout is no time")
    return int(digits) * _UNITS[unit]


def _from_base64(text: bytes) -> bytes:
    text = text.strip()
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise _BrokenError("a binary header is not in base64") from error


# Answers


_ENCODER: Final = Encoder()
"""For all connections: what is never to be indexed leaves its table as it is."""


def _fields(*fields: tuple[str | bytes, str | bytes]) -> bytes:
    never_indexed = True
    return _ENCODER.encode(((*field, never_indexed) for field in fields), huffman=False)


BEGINNING: Final = _fields((":status", "200"), ("content-type", "application/grpc"))
"""The headers of every answer."""
DONE: Final = _fields(("grpc-status", "0"))
"""The trailers of an answer that went well and has nothing to add."""


def trailers(
    code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, str | bytes]]
) -> bytes:
    """The trailers of an answer."""
    fields: list[tuple[str | bytes, str | bytes]] = [("grpc-status", str(code.value[0]))]
    if message:
        fields.append(("grpc-message", percent_encoded(message)))
    for key, value in metadata:
        data = base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode()
        fields.append((key, data))
    return _fields(*fields)


def refused(number: int, refusal: Refusal, *, ends: bool) -> bytes:
    """The whole answer to what is no call; it `ends` where its client has said all."""
    fields = _fields(
        (":status", str(refusal.http)),
        ("content-type", "application/grpc"),
        ("grpc-accept-encoding", "identity"),
    ) + trailers(refusal.code, refusal.reason, ())
    flags = frames.END_HEADERS | frames.END_STREAM
    answer = frames.head(frames.HEADERS, flags, number, len(fields)) + fields
    return answer if ends else answer + frames.reset(number, frames.NO_ERROR)
