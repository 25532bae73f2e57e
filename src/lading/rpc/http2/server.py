"""A server of gRPC over HTTP/2: listening sockets, and the connections that came through them."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from lading.rpc.http2.binding import AT_ONCE, FULL, bound, take_away
from lading.rpc.http2.connection import Connection
from lading.rpc.http2.host import Nudged
from lading.rpc.http2.poller import Poller
from lading.rpc.http2.stream import Handler, Stream
from lading.rpc.http2.transports import Plain, Tls

_LOG = logging.getLogger(__name__)
CALLS_LIMIT: Final = 8192
"""Calls that are answered or wait for a thread; the next one is told ResourceExhausted."""
GREETING_SECONDS: Final = 20.0
"""How long a client may take to show that it speaks HTTP/2."""
PARTING_SECONDS: Final = 0.5
"""How long a client may take to hang up when the server has told it to."""
IDLE_SECONDS: Final = 5.0
"""How long a call may have no message while half of all calls are taken."""


class Listening:
    """One listening socket. What comes is taken by the poller's thread."""

    def __init__(
        self,
        server: "Http2Server",
        listening: socket.socket,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        listening.settimeout(0)
        self.socket, self._server, self._tls = listening, server, tls
        self.rests = False
        """Whether it takes nobody until the next tick: there are no more files to be had."""

    def fileno(self) -> int:
        """The socket's number."""
        return self.socket.fileno()

    def ready(self) -> None:
        """Somebody has come."""
        try:
            for _ in range(AT_ONCE):
                connected, _ = self.socket.accept()
                self._took(connected)
        except (BlockingIOError, InterruptedError, ConnectionError):
            pass
        except OSError as error:
            if self.socket.fileno() < 0:
                return  # closed
            # accept also tells of what happened to one connection, or that all files are taken.
            _LOG.warning("nobody can be let in for a moment: %s", error.strerror or error)
            self.rests = True
            return
        self._server.poller.watch(self)

    def _took(self, connected: socket.socket) -> None:
        try:
            self._server.took(connected, self._tls)
        except Exception as error:
            connected.close()
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            _LOG.warning("a client is turned away: %s", error)


class Workers(Protocol):
    """The threads that run handlers."""

    @property
    def are_wanted(self) -> bool:
        """Whether there is more to do than there are threads."""

    def submit(self, fn: Callable[[], object], /) -> object:
        """Have a thread do this; `RuntimeError` when they take no more."""


class Http2Server:
    """Answers calls with handlers, by the threads of an executor."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        workers: Workers,
        over: Callable[[], object] | None = None,
    ) -> None:
        """`handlers` by path, `/package.Service/Method`; `over` is called when a connection is."""
        self.poller = Poller(self._tick)
        self._handlers, self._workers, self._over = handlers, workers, over
        self._listening: list[Listening] = []
        self._connections: set[Connection] = set()
        self._guard = threading.Lock()
        self._changed = threading.Condition(self._guard)
        self._calls = 0
        self._lingering: set[Nudged] = set()
        self._is_stopping = False

    def listen(self, address: str, tls: Callable[[], ssl.SSLContext] | None = None) -> int:
        """Bind `unix:PATH` or `HOST:PORT`, and give the port; `Unavailable` where that fails."""
        listening = bound(address)
        self._listening.append(Listening(self, listening, tls))
        return 0 if address.startswith("unix:") else int(listening.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        for listening in self._listening:
            self.poller.watch(listening)
        self.poller.start()

    def drain(self) -> None:
        """Take no more clients, and no more calls. Safe to call twice."""
        with self._changed:
            if self._is_stopping:
                return
            self._is_stopping = True
        for listening in self._listening:
            self.poller.leave(listening)
            take_away(listening.socket)
        for connection in self._all():
            connection.drain()

    def stop(self, grace: float) -> None:
        """Drain, give the calls in flight `grace` seconds, and cancel those that are left.

        Safe to call twice.
        """
        self.drain()
        with self._changed:
            self._changed.wait_for(lambda: not self._calls, grace)
        for connection in self._all():
            connection.cancel()

    def close(self) -> None:
        """End every connection. The handlers have ended. Safe to call twice."""
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, PARTING_SECONDS)
        for connection in self._all():
            connection.break_off("the server stops")
        self.poller.close()

    def _all(self) -> list[Connection]:
        with self._changed:
            return list(self._connections)

    # What connections and listening sockets ask

    def took(self, connected: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve a client that has just come."""
        with contextlib.suppress(OSError):
            if connected.family != socket.AF_UNIX:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = Connection(self, Plain(connected) if tls is None else Tls(connected, tls()))
        with self._changed:
            is_late = self._is_stopping
            if not is_late:
                self._connections.add(connection)
        if is_late:
            connected.close()
            self._tell_over()
            return
        connection.begin()

    def handler(self, path: str) -> Handler | None:
        """What answers a method."""
        return self._handlers.get(path)

    def admits(self) -> bool:
        """Whether one more call may begin."""
        with self._guard:
            if self._calls >= CALLS_LIMIT:
                return False
            self._calls += 1
            return True

    def released(self) -> None:
        """A call is over."""
        with self._guard:
            self._calls -= 1
            if self._is_stopping:
                self._changed.notify_all()

    def submit(self, job: Callable[[], object]) -> bool:
        """Have a worker do this; False where they take no more."""
        try:
            self._workers.submit(job)
        except RuntimeError:
            return False
        if self._workers.are_wanted:
            for connection in list(self._lingering):
                connection.nudge()
        return True

    def lingers(self, connection: Nudged) -> bool:
        """Whether a worker may wait for the next call of a connection, or go on waiting."""
        self._lingering.add(connection)  # before it looks, so that it is nudged if it is too late
        return not self._is_stopping and not self._workers.are_wanted

    def lingered(self, connection: Nudged) -> None:
        """It waits no more."""
        self._lingering.discard(connection)

    def closed(self, connection: Nudged) -> None:
        """A connection is over."""
        with self._changed:
            self._connections.discard(connection)
            if self._is_stopping:
                self._changed.notify_all()
        self._tell_over()

    def _tell_over(self) -> None:
        if self._over is not None:
            self._over()

    def _tick(self, now: float) -> None:
        for listening in self._listening:
            if listening.rests and not self._is_stopping:
                listening.rests = False
                self.poller.watch(listening)
        if self._calls > CALLS_LIMIT // 2:
            # Calls without a message have no thread to be shed for, but there are only so many.
            for connection in self._all():
                connection.cancel(partial(_is_idle, now))
        for connection in self._all():
            if not connection.is_greeted and now - connection.since > GREETING_SECONDS:
                connection.break_off("it says nothing")


def _is_idle(now: float, stream: Stream) -> bool:
    return not stream.is_running and now - stream.since > IDLE_SECONDS
