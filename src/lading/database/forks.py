"""Forks: a connection must not cross one.

SQLite counts a process's locks in its memory. A child that inherits the count takes the parent's
locks for its own; and when the parent then closes what it takes for the last connection, it deletes
the log that the child writes to. So what is idle is closed before a fork, and what is in use is
waited for. Where that takes too long, the child has no part in the database: what SQLite has in its
memory cannot be told to forget, and a child that went on would lose what it was told is kept.
PostgreSQL's child would speak on its parent's socket, and gets one of its own.
"""

import contextlib
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Protocol

from lading.errors import FailedPrecondition

WAIT = 1.0
"""Seconds that a fork waits for transactions of other threads."""
_PAUSE = 0.001


class Resting(Protocol):
    """What has connections, and can do without for a moment."""

    def rest(self) -> bool:
        """Close every connection and make none until `wake`; False if some are in use."""

    def wake(self) -> None:
        """Go on."""

    def wake_in_child(self, *, rested: bool) -> None:
        """Forget what was inherited, without closing it; `rested` is what `rest` said last."""


_databases: "weakref.WeakSet[Any]" = weakref.WeakSet()
_inherited: list[object] = []
"""What a child never touches again, not even by letting it be collected."""
_given_up: set[tuple[int, int]] = set()
_forking = threading.Lock()
_resting: list[Resting] = []


def watch(database: Resting) -> None:
    """Have a database rest while this process forks."""
    _databases.add(database)


def keep_unclosed(connections: object) -> None:
    """Keep what a child inherited from being closed in it."""
    _inherited.append(connections)


def give_up(path: str) -> None:
    """Have this process, a child, never open a file again, by whichever name."""
    with contextlib.suppress(OSError):
        _given_up.add(_identity(path))


def check_usable(path: str) -> None:
    """Raise `FailedPrecondition` for a file that was given up."""
    if _given_up:
        with contextlib.suppress(OSError):
            if _identity(path) in _given_up:
                raise FailedPrecondition(
                    f"{path}: this process was forked while its parent was in a long transaction,"
                    " and cannot use the database; fork before or after it, or start a new program"
                )


def _identity(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _before() -> None:
    _forking.acquire()
    deadline = time.monotonic() + WAIT
    waiting: list[Resting] = list(_databases)
    while waiting:
        for database in list(waiting):
            if database.rest():
                waiting.remove(database)
                _resting.append(database)
        if not waiting or time.monotonic() > deadline:
            return
        time.sleep(_PAUSE)


def _after_in_parent() -> None:
    while _resting:
        _resting.pop().wake()
    _forking.release()


def _after_in_child() -> None:
    for database in list(_databases):
        database.wake_in_child(rested=database in _resting)
    _resting.clear()
    _forking.release()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
