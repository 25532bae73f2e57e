"""The bytes of a connection: a socket as it is, or with TLS on it. None of these calls waits.

A thread that reads and one that writes may be here at a time. TLS works on memory, under a lock of
its own, so that neither waits for the other's socket.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Final, Protocol, cast

Buffers = Sequence[bytes | bytearray | memoryview]
CIPHERTEXT: Final = 64 << 10
"""Bytes that are taken from a socket with TLS at a time."""


class Transport(Protocol):
    """What a connection needs of its socket."""

    socket: socket.socket

    def receive(self, into: memoryview) -> int | None:
        """Take what is there: bytes, 0 at the end, None where nothing is there yet."""

    def send(self, buffers: Buffers) -> int | None:
        """Send what goes; None where nothing does."""

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent: not before a handshake."""

    @property
    def holds_back(self) -> bool:
        """Whether there is something of an earlier `send`, or of our own, that has still to go."""


class Plain:
    """A socket as it is."""

    is_open = True
    holds_back = False

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(0)
        self.socket = connected

    def receive(self, into: memoryview) -> int | None:
        """Take what is there."""
        try:
            return self.socket.recv_into(into)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, buffers: Buffers) -> int | None:
        """Send what goes."""
        try:
            if len(buffers) == 1:
                return self.socket.send(buffers[0])
            return self.socket.sendmsg(buffers)
        except (BlockingIOError, InterruptedError):
            return None


class Tls:
    """A socket with TLS on it. The handshake is made by whoever receives."""

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        connected.settimeout(0)
        self.socket = connected
        self._guard = threading.Lock()
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._going, server_side=True)
        self._unsent = b""
        self.is_open = False

    @property
    def holds_back(self) -> bool:
        """Whether some ciphertext has still to go."""
        return bool(self._unsent or self._going.pending)

    def receive(self, into: memoryview) -> int | None:
        """Take what is there; raises `OSError` for a handshake that fails, or what is no TLS.

        `into` has room for as much as is taken from the socket at a time, so that nothing stays
        behind which the socket does not show.
        """
        assert len(into) >= CIPHERTEXT
        try:
            data = self.socket.recv(CIPHERTEXT)
        except (BlockingIOError, InterruptedError):
            return None
        with self._guard:
            if data:
                self._coming.write(data)
            else:
                self._coming.write_eof()
            try:
                return self._read(into)
            finally:
                self._flush()

    def send(self, buffers: Buffers) -> int | None:
        """Take all of it, and send what goes; the rest goes with what comes next."""
        with self._guard:
            if not self.is_open or not self._flush():
                return None
            sent = 0
            for buffer in buffers:
                if buffer:
                    sent += self._tls.write(buffer)
            self._flush()
            return sent

    def _read(self, into: memoryview) -> int | None:
        got = 0
        try:
            if not self.is_open:
                self._tls.do_handshake()
                self.is_open = True
            while True:
                # Into memory it gives a count, which its types do not know.
                size = cast("int", self._tls.read(len(into) - got, into[got:]))
                got += size
                if not size:
                    return got
        except ssl.SSLWantReadError:
            return got or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return got

    def _flush(self) -> bool:
        """Send ciphertext; whether all of it has gone."""
        while True:
            if not self._unsent:
                self._unsent = self._going.read()
                if not self._unsent:
                    return True
            with contextlib.suppress(BlockingIOError, InterruptedError):
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
                continue
            return False
