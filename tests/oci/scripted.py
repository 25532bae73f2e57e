"""A server that answers as the test says, for what no registry would say."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Which connection of the server it came by, from 1 on."""

    def header(self, name: str) -> str | None:
        """A header by its name in any case; None without it."""
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), None)


class Says(NamedTuple):
    """An answer. Its length is said, unless the headers say another one, or how it is framed."""

    status: int = 200
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    closes: bool = False
    """Whether the connection ends after it."""
    raw: bytes | None = None
    """Everything that is sent, in place of what is above; then the connection ends."""


Script = Callable[[Asked], Says]


class Scripted(ThreadingHTTPServer):
    """A server on loopback."""

    daemon_threads = False

    def __init__(self, script: Script, context: ssl.SSLContext | None, address: str) -> None:
        self.script, self.context = script, context
        self.asked: list[Asked] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        super().__init__((address, 0), _Connection)
        scheme = "http" if context is None else "https"
        self.host = f"{address}:{self.server_address[1]}"
        self.url = f"{scheme}://{self.host}"

    def get_request(self):
        connection, address = super().get_request()
        self.connections += 1
        if self.context is not None:
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._open.add(connection)
        return connection, address

    def close_request(self, request):
        self._open.discard(request)
        super().close_request(request)

    def handle_error(self, request, client_address):
        """Clients hang up; what else goes wrong is seen in what they get."""

    def hang_up(self) -> None:
        """End what is still open, or its threads would wait for more."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def setup(self):
        self.number = self.server.connections
        super().setup()

    def log_message(self, format, *args):  # noqa: A002 - its name there
        """Say nothing."""

    def handle_one_request(self):
        # What begins so is TLS, and its first line may never end.
        if self.rfile.peek(1)[:1] == b"\x16" and self.server.context is None:
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is a plain HTTP server\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        asked = Asked(self.command, self.path, dict(self.headers), body, self.number)
        self.server.asked.append(asked)
        said = self.server.script(asked)
        if said.raw is not None:
            self.wfile.write(said.raw)
            self.close_connection = True
            return
        headers = said.headers.items() if isinstance(said.headers, Mapping) else said.headers
        framed = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in headers}
        self.send_response(said.status)
        for name, value in headers:
            self.send_header(name, value)
        if not framed and said.status not in {204, 304}:
            self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)
        self.close_connection |= said.closes


@contextlib.contextmanager
def scripted(
    script: Script, *, context: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Scripted]:
    """A server that runs until the block ends."""
    server = Scripted(script, context, address)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.hang_up()
        thread.join()
        server.server_close()


def path_of(asked: Asked) -> str:
    """The path without its query."""
    return urlsplit(asked.path).path
