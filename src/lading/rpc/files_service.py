"""Files handed over between processes of one machine: the daemon's half.

FilesService    what is asked over gRPC: where the socket is, a ticket for a blob
FileSocket      the socket, where files and tickets are exchanged
"""

import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from lading.errors import Error, FailedPrecondition
from lading.model.digest import Digest
from lading.rpc import file_socket
from lading.rpc.methods import Call, Method, unary
from lading.rpc.protos import files_pb2 as messages
from lading.rpc.tickets import Tickets

NAME = "lading.services.files.v1.Files"
_LOG = logging.getLogger("lading.rpc")
_PEERS_LIMIT = 32
"""Peers that are spoken to at a time."""
_ROOT = 0


class FilesService:
    """The files service; `path` is of the socket, or None where there is none."""

    name = NAME

    def __init__(self, tickets: Tickets, path: str | None) -> None:
        self._tickets, self._path = tickets, path

    def methods(self) -> Mapping[str, Method]:
        """Both calls."""
        return {
            "Socket": unary(messages.SocketRequest, self._socket),
            "Open": unary(messages.OpenRequest, self._open),
        }

    def _socket(self, call: Call, request: messages.SocketRequest) -> messages.SocketResponse:
        return messages.SocketResponse(path=self._path or "")

    def _open(self, call: Call, request: messages.OpenRequest) -> messages.OpenResponse:
        file = call.scope().open(Digest.parse(request.digest))
        try:
            status = os.fstat(file.fileno())
        except (OSError, AttributeError, ValueError):
            status = None
        if status is None or not stat.S_ISREG(status.st_mode) or not self._path:
            file.close()
            return messages.OpenResponse()  # no file of this machine: it goes through the stream
        return messages.OpenResponse(ticket=self._tickets.given(file), size=status.st_size)


class FileSocket:
    """The socket beside a listener's. Runs while its `with` block does."""

    def __init__(self, path: str, tickets: Tickets) -> None:
        self.path, self._tickets = path, tickets
        self._name = Path(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._places = threading.BoundedSemaphore(_PEERS_LIMIT)
        self._thread = threading.Thread(target=self._run, name="lading files", daemon=True)
        self._is_ending = False

    def start(self) -> None:
        """Listen. Whoever calls this owns the path: a socket that was left there is replaced."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._name.lstat().st_mode):
                raise FailedPrecondition(f"{self.path}: something is there that is no socket")
            self._name.unlink()
        try:
            self._listener.bind(self.path)
            # Nobody can connect before it listens.
            self._name.chmod(0o600)
            self._listener.listen(_PEERS_LIMIT)
        except OSError as error:
            self._listener.close()
            raise FailedPrecondition(f"{self.path}: {error.strerror or error}") from error
        self._thread.start()

    def stop(self) -> None:
        """Listen no more. Safe to call twice."""
        if self._is_ending:
            return
        self._is_ending = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        if self._thread.ident is not None:
            self._thread.join()
            with contextlib.suppress(OSError):
                self._name.unlink()
        self._listener.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Inside

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                if self._is_ending:
                    return
                _LOG.exception("the socket of files")
                return
            if not self._places.acquire(blocking=False):
                peer.close()  # it falls back to the stream
                continue
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with peer:
                peer.settimeout(file_socket.SECONDS)
                if _is_allowed(peer):
                    self._answer(peer)
        except (OSError, ValueError):
            _LOG.debug("a peer of the socket of files went away")
        finally:
            self._places.release()

    def _answer(self, peer: socket.socket) -> None:
        said, files = file_socket.received(peer, file_socket.LONGEST)
        word, ticket = said[: file_socket.WORD], said[file_socket.WORD :]
        if word == file_socket.LEAVE and files:
            self._take(peer, files.pop())
            return
        for file in files:
            os.close(file)
        if word != file_socket.TAKE:
            peer.sendall(file_socket.NONE)
            return
        try:
            taken = self._tickets.taken(ticket.decode("ascii"))
        except (Error, UnicodeDecodeError):
            peer.sendall(file_socket.NONE)
            return
        with taken:
            socket.send_fds(peer, [file_socket.HERE], [taken.fileno()])

    def _take(self, peer: socket.socket, descriptor: int) -> None:
        if not _is_readable(descriptor):
            os.close(descriptor)
            peer.sendall(file_socket.NONE)
            return
        file: BinaryIO = os.fdopen(descriptor, "rb", buffering=0)
        try:
            ticket = self._tickets.given(file)
        except Error:
            peer.sendall(file_socket.NONE)
        else:
            peer.sendall(file_socket.HAVE + ticket.encode())


def _is_readable(file: int) -> bool:
    """Whether it is a regular file that may be read: no pipe may keep a thread waiting."""
    mode = fcntl.fcntl(file, fcntl.F_GETFL) & (os.O_ACCMODE | getattr(os, "O_PATH", 0))
    return stat.S_ISREG(os.fstat(file).st_mode) and mode in {os.O_RDONLY, os.O_RDWR}


def _is_allowed(peer: socket.socket) -> bool:
    """Whether the kernel says that the peer is root, or the user of this process."""
    if not hasattr(socket, "SO_PEERCRED"):
        return False
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return user in {_ROOT, os.geteuid()}
