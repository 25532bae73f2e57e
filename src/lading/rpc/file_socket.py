"""The socket that files go through: what is said on it, by either end.

    "take" TICKET            ->  "here" and a descriptor, or "none"
    "leave" + a descriptor   ->  "have" TICKET, or "none"

One connection is one exchange. Who may speak is the kernel's word, not the client's: the socket
is its owner's alone, and each peer's user is looked up.
"""

import os
import secrets
import socket
import struct
from typing import BinaryIO, Final

from lading.errors import NotFound

SUFFIX = ".files"
TICKET_BYTES = 16
SECONDS = 5.0
"""How long either end waits for the other."""
TAKE: Final = b"take"
LEAVE: Final = b"left"
HERE: Final = b"here"
HAVE: Final = b"have"
NONE: Final = b"none"
WORD = 4
LONGEST = WORD + 2 * TICKET_BYTES
_FILE = struct.Struct("i")
_ROOM = socket.CMSG_SPACE(_FILE.size)
_CLOSED_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def new_ticket() -> str:
    """A name that nobody guesses."""
    return secrets.token_hex(TICKET_BYTES)


def fetch(path: str, ticket: str) -> BinaryIO:
    """Take a file by its ticket, to be read from its start; `NotFound` if there is none."""
    file = os.fdopen(_taken(path, ticket), "rb")
    file.seek(0)
    return file


def take(path: str, ticket: str) -> BinaryIO:
    """The same, to be read from where it stands."""
    return os.fdopen(_taken(path, ticket), "rb", buffering=0)


def _taken(path: str, ticket: str) -> int:
    with _connected(path) as peer:
        peer.sendall(TAKE + ticket.encode())
        said, files = received(peer, WORD)
    if said == HERE and files:
        return files[0]
    _close(files)
    raise NotFound(ticket, "ticket")


def leave(path: str, file: int) -> str:
    """Leave a file, and be given the ticket for it; `NotFound` if it is not taken."""
    with _connected(path) as peer:
        socket.send_fds(peer, [LEAVE], [file])
        said, files = received(peer, LONGEST)
    _close(files)
    if said[:WORD] != HAVE:
        raise NotFound("a file", "taker of")
    return said[WORD:].decode("ascii")


def received(peer: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Up to `size` bytes and one descriptor, or whatever came before the peer said no more."""
    said, files = b"", list[int]()
    try:
        while len(said) < size:
            # Not `socket.recv_fds`, which forgets its flags: no child may inherit what comes.
            data, control, _, _ = peer.recvmsg(size - len(said), _ROOM, _CLOSED_ON_EXEC)
            files += files_in(control)
            if not data:
                break
            said += data
            if said[:WORD] in {LEAVE, NONE}:
                break
    except BaseException:
        _close(files)
        raise
    _close(files[1:])
    return said, files[:1]


def files_in(control: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came beside some bytes; no program that is started inherits them."""
    files: list[int] = []
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % _FILE.size
            files += (file for (file,) in _FILE.iter_unpack(data[:whole]))
    for file in files:
        os.set_inheritable(file, False)  # noqa: FBT003 - os has it so
    return files


def _connected(path: str) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.settimeout(SECONDS)
        peer.connect(path)
    except BaseException:
        peer.close()
        raise
    return peer


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)
