"""A client of HTTP/2 that says what it is told to, right or wrong, and hears all."""

import contextlib
import socket
import struct
from typing import NamedTuple, Self

from hpack import Decoder, Encoder

from lading.rpc.http2 import frames

PATIENCE_SECONDS = 5.0
"""Longer than any answer takes; what has not come by then never comes."""
REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Test/Echo"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
END = frames.END_STREAM | frames.END_HEADERS


class Frame(NamedTuple):
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The last number in it: the code of RST_STREAM and GOAWAY, a window's widening."""
        where = 4 if self.kind == frames.GOAWAY else 0
        found: int = struct.unpack_from(">I", self.payload, where)[0]
        return found

    @property
    def ends(self) -> bool:
        """Whether its stream ends with it."""
        return self.kind in {frames.DATA, frames.HEADERS} and bool(self.flags & frames.END_STREAM)


class Answer(NamedTuple):
    """What a call was told."""

    headers: dict[str, str]
    messages: list[bytes]
    trailers: dict[str, str]
    reset: int | None
    """The code of the RST_STREAM that ended it."""

    @property
    def status(self) -> int | None:
        """The code of grpc-status."""
        found = self.trailers.get("grpc-status", self.headers.get("grpc-status"))
        return None if found is None else int(found)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame as its parts say."""
    return frames.head(kind, flags, stream, len(payload)) + payload


def data(stream: int, payload: bytes, *, ends: bool = False) -> bytes:
    """A frame of DATA."""
    return frame(frames.DATA, frames.END_STREAM if ends else 0, stream, payload)


def word(value: int) -> bytes:
    """A number of four bytes."""
    return struct.pack(">I", value)


def message(payload: bytes, flag: int = 0) -> bytes:
    """A message as gRPC frames it."""
    return struct.pack(">BI", flag, len(payload)) + payload


def messages_in(payload: bytes) -> list[bytes]:
    """The messages in what a call's frames of DATA have; they must be whole."""
    found = []
    while payload:
        flag, size = struct.unpack_from(">BI", payload)
        assert flag == 0
        assert len(payload) >= 5 + size, "the last message is cut"
        found.append(payload[5 : 5 + size])
        payload = payload[5 + size :]
    return found


class Peer:
    """One connection of such a client."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(PATIENCE_SECONDS)
        self.socket = connected
        self.encoder, self._decoder = Encoder(), Decoder()
        self._rest = b""
        self.seen: list[Frame] = []
        """What came while something else was looked for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away."""
        self.socket.close()

    # What it says

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(b"".join(parts))

    def greet(self, **settings: int) -> Self:
        """Say the preface and settings, and acknowledge the server's."""
        pairs = {getattr(frames, key.upper()): value for key, value in settings.items()}
        self.send(frames.PREFACE, frames.settings(pairs), frame(frames.SETTINGS, frames.ACK))
        return self

    def headers(
        self, stream: int = 1, path: str = "Echo", *extra: tuple[str, str], ends: bool = False
    ) -> bytes:
        """The frame that opens a call; a header in `extra` replaces the usual one of its name."""
        fields = {**dict(REQUEST), ":path": f"/test.Test/{path}", **dict(extra)}
        block = self.encoder.encode(list(fields.items()))
        return frame(frames.HEADERS, END if ends else frames.END_HEADERS, stream, block)

    def call(
        self, path: str, *messages: bytes, stream: int = 1, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Make a call, and say all at once."""
        said = b"".join(map(message, messages))
        parts = [said[at : at + 16_384] for at in range(0, len(said), 16_384)] or [b""]
        self.send(
            self.headers(stream, path, *extra),
            *(data(stream, part) for part in parts[:-1]),
            data(stream, parts[-1], ends=True),
        )

    def widen(self, size: int, *streams: int) -> None:
        """Let the server send more."""
        self.send(*(frames.window_update(stream, size) for stream in streams or (0,)))

    def reset(self, stream: int, code: int = frames.CANCEL) -> None:
        """End a stream."""
        self.send(frames.reset(stream, code))

    # What it hears

    def next(self) -> Frame | None:
        """The next frame; None at the end."""
        while True:
            if len(self._rest) >= 9:
                size = int.from_bytes(self._rest[:3], "big")
                if len(self._rest) >= 9 + size:
                    kind, flags, stream = struct.unpack_from(">BBI", self._rest, 3)
                    found = Frame(kind, flags, stream, self._rest[9 : 9 + size])
                    self._rest = self._rest[9 + size :]
                    return found
            try:
                more = self.socket.recv(1 << 18)
            except ConnectionError:
                more = b""
            if not more:
                assert not self._rest, "the last frame is cut"
                return None
            self._rest += more

    def expect(self, kind: int, *, stream: int | None = None, flags: int = 0) -> Frame:
        """Wait for a frame; those before it are kept in `seen`."""
        while True:
            found = self.next()
            assert found is not None, f"the connection ended before a frame of kind {kind}"
            is_it = found.kind == kind and stream in {None, found.stream}
            if is_it and found.flags & flags == flags:
                return found
            self.seen.append(found)

    def ping(self, payload: bytes = b"question") -> None:
        """Wait until the server has taken all that was sent before."""
        self.send(frame(frames.PING, 0, 0, payload))
        while self.expect(frames.PING, flags=frames.ACK).payload != payload:
            pass

    def answer(self, stream: int = 1, *, widens: bool = False) -> Answer:
        """Wait until a call has ended, and say what it was told."""
        blocks: list[dict[str, str]] = []
        told, block, ends = b"", b"", False
        kept, self.seen = self.seen, []
        while True:
            found = kept.pop(0) if kept else self.next()
            assert found is not None, "the connection ended before the call"
            if found.stream != stream:
                self.seen.append(found)
                continue
            if found.kind == frames.DATA:
                assert len(blocks) == 1, "messages without headers, or behind trailers"
                told += found.payload
                if widens and found.payload:
                    self.widen(len(found.payload), 0, stream)
            elif found.kind in {frames.HEADERS, frames.CONTINUATION}:
                block += found.payload
                ends = ends or found.ends
                if found.flags & frames.END_HEADERS:
                    blocks.append(dict(self._decoder.decode(block)))
                    block = b""
                    if ends:
                        break
            elif found.kind == frames.RST_STREAM:
                self.seen += kept
                headers = blocks[0] if blocks else {}
                return Answer(headers, messages_in(told), {}, found.number)
        self.seen += kept
        assert blocks
        assert blocks[0][":status"]
        assert len(blocks) <= 2
        return Answer(blocks[0], messages_in(told), blocks[-1], None)

    def ended(self) -> int | None:
        """Wait until the server ends the connection; the code of its GOAWAY, if there was one."""
        code = None
        while found := self.next():
            if found.kind == frames.GOAWAY:
                code = found.number
        return code

    def drained(self) -> None:
        """Read until the server ends the connection, whatever it says and however it ends."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(1 << 18):
                pass
