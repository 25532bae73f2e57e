"""Folders that commits have left behind, kept for the next ingests.

A small ingest needs a folder with two files in it for a millisecond. To make the three and to
remove them again takes as long as half of all else, and on some file systems several times as long.
So where one ingest follows another, a commit leaves them, and the next ingest takes them over.

    lend     a folder gets the name of the next ingest, in one step, and is locked from the first
             moment that anybody can see it there
    keep     when its data has become a blob, the folder goes into `scratch`, and stays locked

In such a folder are its lock and the `beginning` of another ref. So what a power cut leaves of it
is no ingest, whichever of the writes to it the disk has seen; and nobody gets a folder that has had
the same ref before, where an old `beginning` could be taken for the new one.
"""

import os
from contextlib import suppress
from pathlib import Path

from lading.stores.local import renaming
from lading.stores.local.disk import Disk
from lading.stores.local.locks import RefLock
from lading.stores.local.paths import BEGINNING, DATA, SPARE, StorePaths
from lading.stores.local.scratch import end

AFTER = 8
"""Ingests before a folder is kept: who begins few gains little, and shall leave nothing."""
_MOST = 16
"""Folders that wait at a time. Each has two open files."""
_LIVES = 256
"""Refs that a folder may have had."""


class Spares:
    """The folders of one store object in one process. Any thread may call at any time."""

    def __init__(self, disk: Disk, paths: StorePaths) -> None:
        self._disk, self._paths = disk, paths
        self._waiting: list[RefLock] = []
        self._wanted = -AFTER
        """Ingests that found none waiting: so many more may be kept."""

    def lend(self, path: Path, now_ns: int) -> RefLock | None:
        """A folder that is in place as `path`, locked; None if there is none for it."""
        if not self._waiting:
            self._wanted += 1
        elif os.path.lexists(path):
            return None  # the ref is taken up in its own
        for _ in range(len(self._waiting)):
            try:
                lock = self._waiting.pop(0)
            except IndexError:  # another thread was faster
                return None
            if path.name in lock.names_had:
                self._waiting.append(lock)
            elif lock.held:  # a fork's child has none of its parent's
                lock.sign(now_ns)
                return lock if self._moved(lock, path, exclusively=True) else None
        return None

    def keep(self, lock: RefLock) -> bool:
        """Take over the lock and the folder of an ingest that was young and is committed.

        False if they are still the writer's to end.
        """
        if not lock.names_had:
            if self._wanted <= 0 or len(self._waiting) >= _MOST or not lock.trusted:
                return False
            self._wanted -= 1
        lock.names_had.add(lock.path.name)
        if len(lock.names_had) > _LIVES:
            return False
        return _is_bare(lock.folder) and self._taken_over(lock)

    def clear(self) -> None:
        """Remove all that wait. Safe to call twice."""
        while self._waiting:
            with suppress(IndexError):
                self._end(self._waiting.pop())

    def _taken_over(self, lock: RefLock) -> bool:
        try:
            with renaming.beside_others(self._paths.ingests) as is_sure:
                # An abort that saw the data a moment before may have moved it, and what is in its
                # place is somebody else's.
                if not is_sure or not lock.is_in_place() or (own := lock.handed_over()) is None:
                    return False
                path = own.path
                if self._moved(own, self._paths.new_scratch(SPARE)):
                    self._put_down(own, path)
        except OSError:
            return False
        return True

    def _put_down(self, lock: RefLock, path: Path) -> None:
        """Have it wait, if it is what was moved; else give back what was."""
        with suppress(OSError):
            if lock.is_in_place():
                self._waiting.append(lock)
                return
            self._disk.rename_exclusively(lock.path, path)
        self._end(lock)

    def _moved(self, lock: RefLock, path: Path, *, exclusively: bool = False) -> bool:
        """Give a folder its next name. One that cannot have it ends here."""
        has_it = False
        try:
            lock.move(self._disk, path, exclusively=exclusively)
            has_it = True
        except OSError:
            pass
        finally:
            if not has_it:
                self._end(lock)
        return has_it

    def _end(self, lock: RefLock) -> None:
        if lock.held:
            end(self._disk, lock.folder, lock.path)
        lock.release()


def _is_bare(folder: int) -> bool:
    """Whether the data has left a folder, and no backup of hard links has a part in the rest."""
    try:
        os.stat(DATA, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    else:
        return False  # what was published is a copy, or was there already
    try:
        return os.stat(BEGINNING, dir_fd=folder, follow_symlinks=False).st_nlink == 1
    except OSError:
        return False
