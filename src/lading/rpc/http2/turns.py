"""Whose turn it is, of the threads that answer one small call after another.

Python runs one thread at a time. Whoever receives, sends or asks the database lets go of the
interpreter for microseconds; where others want it, each of those is a change of threads, and a call
has half a dozen. So they take turns: one reads, answers and sends, and the others sleep.
"""

import threading
from typing import Final

PATIENCE_SECONDS: Final = 0.005
"""How long a thread waits for its turn: somebody's slow disk holds nobody up for longer."""
_ONE: Final = threading.Lock()
"""For all servers of the process, as the interpreter is."""
_MINE: Final = threading.local()


def take() -> None:
    """Wait until no other thread has its turn, or no longer than one should."""
    if not getattr(_MINE, "has_it", False):
        _MINE.has_it = _ONE.acquire(timeout=PATIENCE_SECONDS)


def end() -> None:
    """Let others have theirs; before whatever may wait. Safe to call twice."""
    if getattr(_MINE, "has_it", False):
        _MINE.has_it = False
        _ONE.release()
