"""Unix sockets: whose a path is, and when what lies there may be taken away.

    lock    PATH.lock, held by flock for as long as the daemon lives, says whose the path is
    look    what lies there is refused if somebody answers, or if it is no socket
    bind    the server does, and only we may connect, from the first moment on
    end     the socket goes, then the lock's file, then the lock

A daemon that was killed leaves its socket and its lock's file, and the kernel frees the lock: the
next daemon takes the path over. Two that start at the same moment meet at the lock.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from lading.daemon.listeners import Listener, UnixListener
from lading.errors import Error, FailedPrecondition, PermissionDenied, Unavailable
from lading.model.closing import Closing
from lading.rpc.file_socket import SUFFIX

_NOBODY = {errno.ECONNREFUSED, errno.ENOENT}
_PID_LIMIT = 20


class SocketPath(Closing):
    """The right to listen on a path, from here to `close`.

    Raises `Unavailable` where another process listens, `FailedPrecondition` where something else
    lies there, which stays, and `PermissionDenied`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bound: os.stat_result | None = None
        self._lock_path = path.with_name(f"{path.name}.lock")
        with _in_our_words(path):
            # Who makes the directory decides who may come in, and that is this user alone.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take()
            try:
                _check_is_free(path)
            except BaseException:
                self.close()
                raise

    @contextlib.contextmanager
    def binding(self) -> Iterator[None]:
        """Have whoever binds the path in this block make a socket that is ours alone.

        The server takes away a socket that lies there, and makes one by the process's mask; to
        narrow it later would leave a moment in which others may connect.
        """
        before = os.umask(0o177)
        try:
            yield
            self._bound = self.path.lstat()
        finally:
            os.umask(before)

    def close(self) -> None:
        """Take the socket away, if there is one, and let go of the path. Safe to call twice."""
        if self._lock < 0:
            return
        # The server takes its socket away; this is for one that it has left. What somebody else has
        # put there meanwhile is not ours to take.
        with contextlib.suppress(OSError):
            if self._bound and os.path.samestat(self.path.lstat(), self._bound):
                self.path.unlink()
        with contextlib.suppress(OSError):
            self._lock_path.unlink()
        os.close(self._lock)
        self._lock = -1

    def _take(self) -> int:
        while True:
            lock = os.open(
                self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(lock, _PID_LIMIT, 0).decode(errors="replace").strip()
                os.close(lock)
                who = f"process {holder}" if holder.isdecimal() else "another process"
                raise Unavailable(
                    f"{self.path}: {who} listens there; stop it, or listen somewhere else"
                ) from None
            if _is_same_file(lock, self._lock_path):
                os.truncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
                return lock
            # The one before us took the file away as it ended: a lock on it holds nobody back.
            os.close(lock)


def taken_paths(listeners: Sequence[Listener], begun: ExitStack) -> dict[Listener, SocketPath]:
    """Take the paths of all those that have one, until the stack is closed."""
    return {
        each: begun.enter_context(SocketPath(each.path))
        for each in listeners
        if isinstance(each, UnixListener)
    }


def beside(path: Path, number: int = 0) -> Path:
    """Where files are handed over beside a socket; each child of a daemon has a number."""
    return path.with_name(f"{path.name}{SUFFIX}{f'.{number}' if number else ''}")


def sweep(path: Path) -> None:
    """Take away the socket that a dead process has left at a path; nobody else's."""
    if path.is_socket():
        with contextlib.suppress(Error), SocketPath(path):
            path.unlink(missing_ok=True)


def _check_is_free(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FailedPrecondition(
            f"{path} is no socket, and stays as it is; listen somewhere else, or move it away"
        )
    if _somebody_answers(path):
        raise Unavailable(
            f"{path}: another program listens there; stop it, or listen somewhere else"
        )


def _somebody_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(0)
        try:
            caller.connect(os.fspath(path))
        except OSError as error:
            # A full queue answers "later", and belongs to somebody.
            return error.errno not in _NOBODY
    return True


def _is_same_file(file: int, path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(file))


@contextlib.contextmanager
def _in_our_words(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PermissionDenied(path, f"cannot listen there: {error.strerror}") from error
    except OSError as error:
        raise FailedPrecondition(f"{path}: cannot listen there: {error.strerror}") from error
