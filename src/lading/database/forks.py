"""Forks: a connection must not cross one.

SQLite counts a process's locks in its memory. A child that inherits the count takes the parent's
locks for its own; and when the parent then closes what it takes for the last connection, it deletes
the log that the child writes to. So what is idle is closed before a fork, and what is in use is
waited for. PostgreSQL's child would speak on its parent's socket.
"""

import os
import threading
import time
import weakref
from typing import Any, Protocol

WAIT = 1.0
"""Seconds that a fork waits for transactions of other threads."""
_PAUSE = 0.001


class Resting(Protocol):
    """What has connections, and can do without for a moment."""

    def rest(self) -> bool:
        """Close every connection and make none until `wake`; False if some are in use."""

    def wake(self) -> None:
        """Go on."""

    def wake_in_child(self) -> None:
        """Forget what was inherited, without closing it."""


_databases: "weakref.WeakSet[Any]" = weakref.WeakSet()
_inherited: list[object] = []
"""What a child never touches again, not even by letting it be collected."""
_forking = threading.Lock()
_resting: list[Resting] = []


def watch(database: Resting) -> None:
    """Have a database rest while this process forks."""
    _databases.add(database)


def keep_unclosed(connections: object) -> None:
    """Keep what a child inherited from being closed in it."""
    _inherited.append(connections)


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
    _resting.clear()
    for database in list(_databases):
        database.wake_in_child()
    _forking.release()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
