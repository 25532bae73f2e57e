"""Listening sockets: bound to a path or a port, taken from, and taken away again."""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from lading.errors import Unavailable

AT_ONCE: Final = 64
"""Clients that are let in before anything else has its turn."""
FULL: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What says that there are no more files to be had."""
_BACKLOG = 1024


def bound(address: str) -> socket.socket:
    """Listen on `unix:PATH` or `HOST:PORT`; `Unavailable` where that fails."""
    try:
        return _bound(address)
    except OSError as error:
        raise Unavailable(f"cannot listen on {address}: {error.strerror or error}") from error


def take_away(listening: socket.socket) -> None:
    """Close a listening socket; its name goes with it."""
    name = listening.getsockname()
    if isinstance(name, str) and name:
        with contextlib.suppress(OSError):
            Path(name).unlink()
    listening.close()


def _bound(address: str) -> socket.socket:
    path = address.removeprefix("unix:")
    if path != address:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        where: object = path
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                Path(path).unlink()
    else:
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        family, kind, _, _, found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where = found
    try:
        listening.bind(where)  # type: ignore[arg-type]  # each family has a form of its own
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
