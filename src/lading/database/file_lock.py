"""A lock that the system frees the moment its process dies: `flock` on a file of its own."""

import contextlib
import fcntl
import os
import weakref


class FileLock:
    """The file, made if it is not there, and not yet locked. For one thread.

    A child of a fork inherits the descriptor, and with it would hold the lock for as long as it
    lives, whatever becomes of its parent. So it closes it at once.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _open.add(self)

    def take(self) -> bool:
        """Take it; False if somebody else has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it back, if it was taken, and close the file. Safe to call twice, and in a child."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        _open.discard(self)
        if file >= 0:
            os.close(file)


_open: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_open):
        lock._close()  # noqa: SLF001 - the same module; to unlock would free the parent's


os.register_at_fork(after_in_child=_after_fork)
