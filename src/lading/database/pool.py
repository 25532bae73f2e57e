"""A pool of sessions: whoever is lent one has it alone, until it is given back.

There are as many as threads use at once, and no more for threads that have ended.
"""

import threading
from collections.abc import Callable

from lading.database.session import Session


class Pool:
    """Sessions of one kind. Any method may be called from any thread."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._idle: list[Session] = []  # its `pop` and `append` need no lock
        self._all: set[Session] = set()
        self._guard = threading.Lock()
        self._open = True

    def lend(self) -> Session:
        """A session that was used before, if one is idle, else a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.lend_new()

    def lend_new(self) -> Session:
        """A session that nobody has used."""
        with self._guard:
            session = self._connect()
            self._all.add(session)
        return session

    def give_back(self, session: Session) -> None:
        """Let others have it."""
        self._idle.append(session)
        if not self._open:
            self.close()

    def discard(self, session: Session) -> None:
        """Close a session that is of no use any more, instead of giving it back."""
        with self._guard:
            self._all.discard(session)
        session.connection.close()

    def close(self) -> None:
        """Close every session, those that are lent as soon as they come back."""
        self._open = False
        with self._guard:
            self._close_idle()

    def rest(self) -> bool:
        """Close every session and make no new one until `wake`; False if some are lent."""
        if not self._guard.acquire(blocking=False):
            return False
        self._close_idle()
        if self._all:
            self._guard.release()
            return False
        return True

    def wake(self) -> None:
        """Make sessions again."""
        self._guard.release()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:
                return  # somebody was quicker
            self._all.discard(session)
            session.connection.close()
