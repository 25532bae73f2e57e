"""Courtesy of a long loop to the threads that wait for the interpreter.

Python takes the interpreter from a thread only after five milliseconds. A writer gives it up for
each of its statements, and so would wait as long for each while somebody else computes: forty
milliseconds for a label, with locks in its hands that others wait for.
"""

import time

_WORK_NS = 1_000_000
_PAUSE = 1e-5  # seconds; the system makes some 60 microseconds of it, in which others wake up


class Courtesy:
    """For one loop in one thread."""

    __slots__ = ("_until_ns",)

    def __init__(self) -> None:
        self._until_ns = time.monotonic_ns() + _WORK_NS

    def give_way(self) -> None:
        """Let others go on, if this thread has worked for a millisecond."""
        if time.monotonic_ns() >= self._until_ns:
            time.sleep(_PAUSE)
            self._until_ns = time.monotonic_ns() + _WORK_NS
