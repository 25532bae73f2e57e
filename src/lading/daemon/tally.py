"""Tally: what the processes of a daemon see of each other, in memory that they share.

    over     of each child, how many of its connections have ended; written by the child
    hears    of each child, who in it listens to events; written by the child

Nobody is asked and nobody waits: whoever has told a client that its subscription stands has written
that before, so that what another child does from then on is told.
"""

import mmap
import threading
from enum import IntEnum
from typing import Final

_COUNT: Final = 8


class Hearing(IntEnum):
    """Who listens: nobody, one who counts what happens, or one who tells it on."""

    NOBODY = 0
    COUNTS = 1
    STREAMS = 2


class Tally:
    """Made by the parent before its children. Each number is written by one process alone."""

    def __init__(self, processes: int) -> None:
        shared = memoryview(mmap.mmap(-1, processes * (_COUNT + 1)))
        self._over = shared[: processes * _COUNT].cast("Q")
        self._hears = shared[processes * _COUNT :]
        self._guard = threading.Lock()

    def over(self, number: int) -> int:
        """How many connections of a child have ended."""
        return self._over[number]

    def end_one(self, number: int) -> None:
        """One more has."""
        with self._guard:
            self._over[number] += 1

    def hears(self, number: int) -> bool:
        """Whether somebody in a child listens to events."""
        return self._hears[number] != Hearing.NOBODY

    def hear(self, number: int, who: Hearing) -> None:
        """Say who does: the one who wants to know most."""
        self._hears[number] = who

    def heard_beside(self, number: int) -> Hearing:
        """Who does in all other children."""
        hears = self._hears.tobytes()
        return Hearing(max(hears[:number] + hears[number + 1 :]))

    def forget(self, number: int) -> None:
        """Begin anew for a child that has died. The parent's."""
        self._over[number] = self._hears[number] = 0
