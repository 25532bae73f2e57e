"""A way to a server that stops in the middle: after so many bytes it passes on nothing more."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Passes connections on. Of what the server says, all connections together get `allowed`
    bytes, and wait for the rest until they are let go.
    """

    def __init__(self, target: str, allowed: int) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._left = allowed
        self._turn = threading.Condition()
        self.passed = 0
        """Bytes that the server's side has sent and the other has got."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = {self._listener}
        self._open = True
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def let_go(self) -> None:
        """Pass on everything from now on."""
        with self._turn:
            self._left = 1 << 62
            self._turn.notify_all()

    def close(self) -> None:
        """Hang up, on both sides."""
        with self._turn:
            self._open = False
            self._turn.notify_all()
            for each in self._sockets:
                with contextlib.suppress(OSError):  # the other side may have hung up
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            with self._turn:
                if not self._open:
                    client.close()
                    server.close()
                    return
                self._sockets |= {client, server}
            for pair in ((client, server, False), (server, client, True)):
                thread = threading.Thread(target=self._pass, args=pair)
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:  # noqa: FBT001 - started by a thread
        with contextlib.suppress(OSError):  # either side may hang up at any time
            while data := source.recv(1 << 16):
                if counted and not self._may_pass(len(data)):
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _may_pass(self, size: int) -> bool:
        with self._turn:
            while self._open and self._left < size:
                self._turn.wait()
            self._left -= size
            self.passed += size
            return self._open


@contextlib.contextmanager
def relayed(target: str, allowed: int) -> Iterator[Relay]:
    """A relay, until the block ends."""
    relay = Relay(target, allowed)
    try:
        yield relay
    finally:
        relay.close()
