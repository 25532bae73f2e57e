"""What goes out over a connection: frames, whole, from any thread, in the order of their turns.

send    waits until the socket has taken all of it
say     waits for nothing: it goes with what is sent next, or when somebody flushes
end, break_off  hang up behind what was said: a client has to hear why
"""

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from lading.rpc.http2 import turns
from lading.rpc.http2.transports import Transport

PENDING_LIMIT: Final = 256 << 10
"""Bytes that may have been said to a client that reads nothing."""
STALLED_SECONDS: Final = 60.0
"""How long a client may read nothing while something is being sent to it."""
Buffer = bytes | bytearray | memoryview


class Sender(Protocol):
    """Who sends."""

    is_unwanted: bool
    """Whether it is to stop, even within a frame: nobody can be sent anything then."""


class Outlet:
    """Sends. Any method may be called from any thread."""

    def __init__(self, transport: Transport, fail: Callable[[str], None]) -> None:
        """`fail` ends the connection, with a word on the reason."""
        self.stalled: Sender | None = None
        """Who waits for a client that reads nothing, just now."""
        self._transport, self._fail = transport, fail
        self._turn = threading.Lock()
        self._pending = bytearray()
        self._how: int | None = None
        """How it is to hang up, once nothing more goes out."""

    @property
    def has_to_send(self) -> bool:
        """Whether there is something to send that only waits for room, or for a flush."""
        transport = self._transport
        return transport.holds_back or (bool(self._pending) and transport.is_open)

    def say(self, data: bytes) -> None:
        """Send this with what is sent next."""
        self._pending += data
        if len(self._pending) > PENDING_LIMIT:
            self._fail("the client reads nothing")

    def flush(self) -> None:
        """Send what was said, as far as it goes without waiting."""
        while self.has_to_send or self._how is not None:
            if not self._turn.acquire(blocking=False):
                return  # whoever sends flushes afterwards
            failure = None
            try:
                has_gone = self._push()
                if has_gone or self._how == socket.SHUT_RDWR:
                    self._hang_up()
            except OSError as error:
                failure = error
            finally:
                self._turn.release()
            if failure is not None:
                self._failed(failure)
            elif has_gone and self._how is None:
                continue  # something may have been said meanwhile
            return

    def send(self, who: Sender, *buffers: Buffer) -> bool:
        """Send these behind what was said; False if the connection is over."""
        with self._turn:
            if self._pending:
                said = bytes(self._pending)
                del self._pending[: len(said)]
                buffers = (said, *buffers) if len(buffers) > 1 else (said + buffers[0],)
            try:
                self._send(who, buffers)
            except OSError as error:
                self._failed(error)
        if self._pending or self._how is not None:
            self.flush()
        return self._how is None

    def end(self) -> None:
        """Send what was said, take no more, and hang up; what the client says is still read."""
        self._end(socket.SHUT_WR)

    def break_off(self) -> None:
        """Send what was said, if there is room for it, and hang up. Safe to call twice."""
        self._end(socket.SHUT_RDWR)

    def _end(self, how: int) -> None:
        self._how = how
        self.flush()  # or whoever sends just now does
        if self.stalled is not None:  # who would wait until its client reads
            self._hang_up()

    def _hang_up(self) -> None:
        if self._how is not None:
            with contextlib.suppress(OSError):
                self._transport.socket.shutdown(self._how)

    def _failed(self, error: OSError) -> None:
        if self._how is not None:
            self._hang_up()
        else:
            self._fail(error.strerror or str(error))

    def _push(self) -> bool:
        """Send what was said; whether all of it has gone."""
        while self.has_to_send:
            said = bytes(self._pending)
            sent = self._transport.send((said,) if said else ())
            if sent is None:
                return False
            del self._pending[:sent]
            if self._transport.holds_back:
                return False
        return True

    def _send(self, who: Sender, buffers: Sequence[Buffer]) -> None:
        transport = self._transport
        size = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        while True:
            sent = transport.send(buffers)
            if sent == size and not transport.holds_back:
                return  # as it nearly always is
            if sent:
                size -= sent
                buffers = _after(buffers, sent)
            if size == 0 and not transport.holds_back:
                return
            if self._how is not None:
                self._pending.clear()  # a frame may be cut, behind which nothing is understood
                return
            if not sent or transport.holds_back:
                self._wait(who)

    def _wait(self, who: Sender) -> None:
        """Wait until the socket takes more, or the connection is over."""
        turns.end()
        self.stalled = who
        try:
            if who.is_unwanted:  # whoever said so has not seen it stall
                self._fail("the client reads nothing")
            waiting = select.poll()
            waiting.register(self._transport.socket, select.POLLOUT)
            if self._how is None and not waiting.poll(STALLED_SECONDS * 1000):
                self._fail("the client reads nothing")
        finally:
            self.stalled = None


def _after(buffers: Sequence[Buffer], sent: int) -> list[Buffer]:
    """What is left of buffers of which so many bytes have gone."""
    left: list[Buffer] = []
    for buffer in buffers:
        if sent >= len(buffer):
            sent -= len(buffer)
            continue
        left.append(memoryview(buffer)[sent:] if sent else buffer)
        sent = 0
    return left
