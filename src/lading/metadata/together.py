"""What several threads want at once, done for all of them by one.

Threads that each do a little, and hand the interpreter on at every call of the system, spend more
on handing it on than on what they do; and each waits for a disk that could serve all of them by one
wait. So only some are at work at a time. Who comes meanwhile waits, and the first of those who wait
does what all of them want.
"""

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
AT_WORK = 2
"""Threads at work at a time: one waits for the disk while another has the interpreter."""
PATIENCE_SECONDS = 1.0
"""How long a thread waits for others before it does all by itself."""


class _Wish(Generic[T, R]):
    """What one thread wants, and what it waits for."""

    __slots__ = ("leads", "results", "what", "woken")

    def __init__(self, what: T) -> None:
        self.what = what
        self.leads = False
        self.results: list[R] = []
        self.woken = threading.Lock()
        self.woken.acquire()


class Together(Generic[T, R]):
    """Safe to call from any thread."""

    def __init__(
        self, alone: Callable[[T], R], together: Callable[[Sequence[T]], Sequence[R]], most: int
    ) -> None:
        """`together` does for up to `most` what `alone` does for one; it may fail for all."""
        self._alone, self._together, self._most = alone, together, most
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._at_work = 0
        self._waiting: deque[_Wish[T, R]] = deque()

    def do(self, what: T) -> R:
        """Have it done, by this thread or by another. Raises what `alone` raises."""
        wish: _Wish[T, R] | None = None
        is_at_work = False
        try:
            with self._guard:
                if self._at_work < AT_WORK:
                    self._at_work += 1
                    is_at_work = True
                else:
                    wish = _Wish(what)
                    self._waiting.append(wish)
            if wish is not None:
                if not wish.woken.acquire(timeout=PATIENCE_SECONDS):
                    if self._is_withdrawn(wish):  # those at work have met something that lasts
                        return self._alone(what)
                    wish.woken.acquire()
                is_at_work = wish.leads
                if is_at_work:
                    self._lead(wish)
                if wish.results:
                    return wish.results[0]
            return self._alone(what)
        except BaseException:
            if wish is not None and not is_at_work:
                self._is_withdrawn(wish)
                is_at_work = wish.leads  # an interrupt has come when its turn had
            raise
        finally:
            if is_at_work:
                self._hand_on()

    def _is_withdrawn(self, wish: "_Wish[T, R]") -> bool:
        """Have it wait no more; False if somebody is at it already."""
        with self._guard:
            if wish not in self._waiting:
                return False
            self._waiting.remove(wish)
            return True

    def _lead(self, wish: "_Wish[T, R]") -> None:
        """Do what the first of those who wait want; if that fails, nobody has a result."""
        group = [wish]
        try:
            with self._guard:
                while self._waiting and len(group) < self._most:
                    group.append(self._waiting[0])
                    del self._waiting[0]
            # What goes wrong is met again, and told, by each that goes on alone.
            with contextlib.suppress(Exception):
                if len(group) > 1:
                    results = self._together([each.what for each in group])
                    for each, result in zip(group, results, strict=True):
                        each.results.append(result)
        finally:
            try:
                _wake(group)
            except BaseException:  # an interrupt must not leave the others asleep
                _wake(group)
                raise

    def _hand_on(self) -> None:
        with self._guard:
            if self._waiting:
                following = self._waiting[0]
                del self._waiting[0]
                following.leads = True
                following.woken.release()
            else:
                self._at_work -= 1


def _wake(group: "Sequence[_Wish[Any, Any]]") -> None:
    """Have all but the first go on. May be called once more."""
    for each in group[1:]:
        with contextlib.suppress(RuntimeError):
            each.woken.release()


_all: "weakref.WeakSet[Together[Any, Any]]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each._begin()  # noqa: SLF001 - a child has none of the threads that were at work


os.register_at_fork(after_in_child=_after_fork)
