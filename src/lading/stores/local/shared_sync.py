"""A folder's sync, shared by the threads that wait for it.

Each thread has given a file its name, and returns when a sync of the folder that began after that
has ended. A sync takes as long for one name as for many. So whoever comes while one runs is covered
by the next, which one of them makes for all.
"""

import os
import threading
import weakref
from collections.abc import Callable


class SharedSync:
    """Made from what syncs the folder. Called from any thread; returns or raises as that does."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._gathering: _Group | None = None

    def __call__(self) -> None:
        with self._guard:
            group = self._gathering
            if group is None:
                ours = self._gathering = _Group()
        if group is None:
            self._lead(ours)
            return
        with group.ended:
            pass
        if not group.is_synced:
            # Each has an error of its own; and an interrupt was for the one that led alone.
            self._sync()

    def _lead(self, group: "_Group") -> None:
        try:
            with self._turn:
                with self._guard:
                    self._gathering = None  # who comes from here on may be too late for this one
                self._sync()
                group.is_synced = True
        finally:
            if self._gathering is group:  # interrupted before its turn came
                self._gathering = None
            group.ended.release()

    def _begin_in_child(self) -> None:
        self._begin()


class _Group:
    """Those that one sync is for."""

    __slots__ = ("ended", "is_synced")

    def __init__(self) -> None:
        self.is_synced = False
        self.ended = threading.Lock()
        self.ended.acquire()


_all: "weakref.WeakSet[SharedSync]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each._begin_in_child()  # noqa: SLF001 - the same module, the other side of a fork


os.register_at_fork(after_in_child=_after_fork)
