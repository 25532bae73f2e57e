"""Handing: files that go between two processes of one machine, instead of their bytes.

The daemon listens on a second socket beside its first. A file goes through it as a descriptor,
known by a ticket, which the calls name. Where any of that is not so, on another machine, in another
mount namespace, under another user or with containerd, bytes go through the stream, and nobody is
told: it is only slower.
"""

import contextlib
import os
import socket
import stat
import threading
from types import TracebackType
from typing import BinaryIO, Final, Self

from lading.errors import Error, NotFound
from lading.model.digest import Digest
from lading.rpc import file_socket
from lading.rpc.client.channel import Channel, Headers, Method
from lading.rpc.protos import files_pb2

STEP = 64 << 20
"""Bytes of one message: so often is an offset told, and can a call be ended."""
SMALLEST = 256 << 10
"""A smaller file costs less as bytes."""
_SOCKET: Final = Method(
    "/lading.services.files.v1.Files/Socket", files_pb2.SocketResponse, repeats=True
)
_OPEN: Final = Method("/lading.services.files.v1.Files/Open", files_pb2.OpenResponse, repeats=True)


class HandedFile:
    """A file of ours that the other end has in its hands, from its position on."""

    def __init__(self, source: BinaryIO, ticket: str, start: int, size: int) -> None:
        self._source, self._start = source, start
        self.ticket, self.size = ticket, size

    def taken(self, count: int) -> None:
        """Have the source stand behind its first `count` bytes."""
        _place(self._source, self._start + count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held: the source is the caller's, and a ticket ends by itself."""


class Handing:
    """What may be handed over through one connection. Any thread may use it at any time."""

    step = STEP

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._guard = threading.Lock()
        self._path: str | None = None
        """Of the socket; empty where none is served, None before anybody has asked."""

    def stop(self) -> None:
        """Hand nothing over any more."""
        self._path = ""

    def blob(self, digest: Digest, headers: Headers) -> BinaryIO | None:
        """The file of a blob; None where it cannot be handed over. Raises as `open` does."""
        path = self._socket()
        if not path:
            return None
        answer: files_pb2.OpenResponse = self._channel.once(
            _OPEN, files_pb2.OpenRequest(digest=digest), headers
        )
        if not answer.ticket:
            return None
        try:
            return file_socket.fetch(path, answer.ticket)
        except (OSError, NotFound):
            self.stop()
            return None

    def file_of(self, source: BinaryIO, limit: int | None) -> HandedFile | None:
        """Hand over what `source` holds from its position on, if it is a file that can be."""
        found = _extent(source, limit)
        if found is None or found[1] < SMALLEST:
            return None
        path = self._socket()
        if not path:
            return None
        start, size = found
        _place(source, start)
        try:
            ticket = file_socket.leave(path, source.fileno())
        except (OSError, NotFound):
            self.stop()
            return None
        return HandedFile(source, ticket, start, size)

    def _socket(self) -> str:
        if self._path is None:
            with self._guard:
                if self._path is None:
                    self._path = self._asked()
        return self._path

    def _asked(self) -> str:
        if self._channel.address.path is None or not hasattr(socket, "send_fds"):
            return ""
        with contextlib.suppress(Error):
            answer: files_pb2.SocketResponse = self._channel.once(
                _SOCKET, files_pb2.SocketRequest()
            )
            return answer.path
        return ""


def _extent(source: BinaryIO, limit: int | None) -> tuple[int, int] | None:
    """Where a source stands and how much there is from there on; None for no regular file."""
    try:
        status = os.fstat(source.fileno())
        start = source.tell()
    except (OSError, AttributeError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    size = max(0, status.st_size - start)
    return start, size if limit is None else min(size, limit)


def _place(source: BinaryIO, position: int) -> None:
    """Have the file itself stand there, and nothing of it in a buffer that is now another place."""
    source.seek(0, os.SEEK_END)
    source.seek(position)
