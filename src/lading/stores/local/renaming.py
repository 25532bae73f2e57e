"""Who may rename the folder of an ingest by its path, while somebody else does so too.

    a commit    renames the folder that it has locked, and that nobody writes to any more
    an abort    renames a folder whose lock somebody else has

An abort that sees an ingest and comes a moment after its commit could move the commit's folder;
then another ingest of the ref could get the path, and be moved by the commit. So either has a lock
on the folder of all ingests meanwhile, the abort alone. Neither can be made to wait by a process
that was stopped in there: the commit goes another way, and the abort goes on without after a
second. For that, and for a lading that knows no such lock, the commit looks afterwards at what it
has moved.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lading.stores.local.disk import FOLDER

PATIENCE_SECONDS = 1.0
"""How long an abort waits for commits."""
_PAUSE = 0.001  # seconds between two looks


@contextmanager
def beside_others(ingests: Path) -> Iterator[bool]:
    """For a commit. False where an abort is at it, or where nothing can be locked."""
    place = os.open(ingests, FOLDER)
    try:
        is_locked = False
        with suppress(OSError):
            is_locked = _is_locked(place, fcntl.LOCK_SH)
        yield is_locked
    finally:
        os.close(place)


@contextmanager
def alone(ingests: Path) -> Iterator[None]:
    """For an abort."""
    place = os.open(ingests, FOLDER)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        with suppress(OSError):  # nothing can be locked here, and so no commit renames anything
            while not _is_locked(place, fcntl.LOCK_EX) and time.monotonic() < until:
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(place)


def _is_locked(place: int, how: int) -> bool:
    try:
        fcntl.flock(place, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
