"""Waits: where threads wait for an answer to begin, so that another thread can end that.

    with waits.of_this_thread():
        http.request("GET", url)     # fails at once when somebody calls waits.cut()

The body of an answer has `Response.cut` for the same.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

_local = threading.local()


class Waits:
    """The waits of several threads. Any method may be called from any thread."""

    def __init__(self) -> None:
        self._sockets: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._is_cut = False

    @contextlib.contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Put down what this thread waits for, as long as the block runs."""
        before = getattr(_local, "waits", None)
        _local.waits = self
        try:
            yield
        finally:
            _local.waits = before

    @contextlib.contextmanager
    def at(self, sock: socket.socket) -> Iterator[None]:
        """Wait at a socket, in the block. Raises `ConnectionAbortedError` after a cut."""
        with self._guard:
            if self._is_cut:
                raise ConnectionAbortedError("nobody waits for it any more")
            self._sockets.add(sock)
        try:
            yield
        finally:
            with self._guard:
                self._sockets.discard(sock)

    def cut(self) -> None:
        """End every wait, and those that would begin later."""
        with self._guard:
            self._is_cut = True
            for sock in self._sockets:
                # Below TLS, whose own way is not for two threads at once.
                with contextlib.suppress(OSError, TypeError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Have nobody end this thread's waits, in the block: for what is worth more when it is done."""
    before = getattr(_local, "waits", None)
    _local.waits = None
    try:
        yield
    finally:
        _local.waits = before


def waiting_at(sock: socket.socket) -> contextlib.AbstractContextManager[None]:
    """Put down that this thread waits at a socket, where somebody wants to know."""
    waits: Waits | None = getattr(_local, "waits", None)
    return contextlib.nullcontext() if waits is None else waits.at(sock)
