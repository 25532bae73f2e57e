"""The connections of a lying registry: requests come in, and answers go out as they are told."""

import contextlib
import fcntl
import io
import re
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tests.support.lying_answers import BEFORE, Answer, Asked

if TYPE_CHECKING:
    from tests.support.lying import Lying

_PATH = re.compile(
    r"/v2/(?P<repository>.+)/"
    r"(?P<kind>blobs/uploads|blobs|manifests|tags|referrers)/(?P<object>[^/]*)"
)
_AT_ONCE = 64 << 10
_TLS = b"\x16"
"""What a TLS connection begins with."""


class Server(ThreadingHTTPServer):
    """Connections, each with a thread, which all end with it."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, registry: "Lying", context: ssl.SSLContext | None) -> None:
        self.registry, self._context = registry, context
        self._open: set[socket.socket] = set()
        self.resets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            # Not here, where the others wait: the thread of the connection shakes hands.
            connection = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self.registry.changed:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self.registry.changed:
            self._open.discard(request)
            reset = request in self.resets
            self.resets.discard(request)
        if reset:  # closed without a word before, or the other end would see an end in good order
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def hang_up(self) -> None:
        """End what is still open, so that no thread waits for a word from there."""
        with self.registry.changed:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the other end may have been first
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up, and some do not like our certificate. Anything else is our mistake."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.registry.mistakes.append(error)


class _Connection(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the log is a list."""

    def handle_one_request(self) -> None:
        """Hang up on who speaks TLS to a server that does not, before waiting for a line of it."""
        first = cast("io.BufferedReader", self.rfile).peek(1)[:1]
        if first == _TLS and not isinstance(self.connection, ssl.SSLSocket):
            self.close_connection = True
        else:
            super().handle_one_request()

    def _serve(self) -> None:
        registry = self.server.registry
        asked = self._asked(registry)
        with registry.changed:
            registry.log.append(asked)
            registry.changed.notify_all()
        fault = registry.fault_for(asked)
        body = self._body(asked, fault.takes)
        answer = registry.answer(asked, body)
        for _ in body:  # or it would be taken for the next request
            pass
        self._send(asked, fault(answer, asked))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _asked(self, registry: "Lying") -> Asked:
        path = urlsplit(self.path).path
        kind, repository, name = "base", "", ""
        if found := _PATH.fullmatch(path):
            repository, name = found["repository"], found["object"]
            kind = found["kind"].removeprefix("blobs/")
        elif path.startswith(("/files/", "/signed/", "/token")):
            _, kind, name = (path + "/").split("/", 2)
            name = name.strip("/")
        headers = cast("Mapping[str, str]", self.headers)  # by name, in any case
        return Asked(registry, self.command, self.path, headers, kind, repository, name)

    def _body(self, asked: Asked, takes: int | None) -> Iterator[bytes]:
        """The request's body, as it comes; not more than `takes` bytes."""
        for piece in self._pieces():
            if takes is not None and asked.received + len(piece) > takes:
                piece = piece[: takes - asked.received]  # noqa: PLW2901 - cut
            with asked.server.changed:
                asked.received += len(piece)
                asked.server.changed.notify_all()
            yield piece
            if asked.received == takes:
                self.close_connection = True
                return

    def _pieces(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read1(min(left, _AT_ONCE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece

    def _send(self, asked: Asked, answer: Answer) -> None:
        asked.status = answer.status
        if answer.stop == BEFORE or answer.raw is not None:
            self.wfile.write(answer.raw or b"")
            self._end(answer)
            return
        has_body = asked.method != "HEAD" and answer.status not in {204, 304}
        self._send_head(answer)
        if not has_body:
            return
        self._send_body(asked, answer)
        if answer.stop is not None:
            self._end(answer)
        elif answer.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")
        # A length that was not the truth leaves the other end waiting, or bytes that nobody asked.
        self.close_connection |= answer.framing == "none" or answer.length is not None

    def _send_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = len(answer.body) if answer.length is None else answer.length
        framings = {
            "length": ("Content-Length", str(length)),
            "chunked": ("Transfer-Encoding", "chunked"),
            "none": ("Connection", "close"),
        }
        framed = () if answer.status in {204, 304} else (framings[answer.framing],)
        for name, value in (*answer.headers.items(), *framed):
            self.send_header(name, value)
        self.end_headers()

    def _send_body(self, asked: Asked, answer: Answer) -> None:
        body = memoryview(answer.body)[: answer.stop]
        step = 1 if answer.pause_s else _AT_ONCE
        for start in range(0, len(body), step):
            if answer.pause_s and asked.server.ended.wait(answer.pause_s):
                break
            piece = body[start : start + step]
            chunked = answer.framing == "chunked"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if chunked else piece)
            with asked.server.changed:
                asked.sent += len(piece)
                asked.server.changed.notify_all()

    def _end(self, answer: Answer) -> None:
        self.close_connection = True
        if answer.ending == "stall":
            self.server.registry.ended.wait()
        elif answer.ending == "reset":
            # What is not at the other end yet would be lost with the connection.
            while _unsent(self.connection) and not self.server.registry.ended.wait(0.001):
                pass
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with self.server.registry.changed:
                self.server.resets.add(self.connection)


def _unsent(connection: socket.socket) -> int:
    """Bytes that the other end's system has not got yet."""
    waiting = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(waiting, "little")
