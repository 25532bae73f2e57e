"""Who may write a ref. A lock is held by the object that took it, not by its name.

The lock is `flock` on a file in the ingest's folder: the kernel frees it the moment its process
dies, and it holds between threads, store objects and processes alike. The file says who
holds it, for the error message; what it says means nothing while it is not locked.

    take     make the folder, open `lock`, flock it, and see that folder and file are still the
             ones that have those names: their last holder may have ended the ingest meanwhile.
    trust    a lock is trusted if a second descriptor of ours cannot take it too. Where it can
             (a file system whose locks do nothing), the writer is told; it must not rely on it.
    fork     a child inherits descriptors, and with them the lock. It closes them at once.
"""

import contextlib
import fcntl
import os
import random
import sys
import threading
import time
import weakref
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lading.content.store import time_of
from lading.errors import RefLocked
from lading.stores.local.disk import FOLDER, NEW, Disk
from lading.stores.local.paths import LOCK

_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 0.05  # seconds between two looks at a held lock


class Holder(NamedTuple):
    """Who wrote last into a lock file."""

    who: str | None
    since_ns: int | None


class RefLock:
    """The right to write one ref, and the open folder of its ingest. It can be released twice."""

    def __init__(self, path: Path, folder: int, file: int, *, trusted: bool) -> None:
        self.path, self.folder = path, folder
        self.trusted = trusted
        self.names_had: set[str] = set()
        """The names of ingests that the folder has had before: see `spares`."""
        self._file = file
        self._guard = threading.Lock()
        self.held = True
        _held.add(self)

    def release(self) -> None:
        """Give the ref back, if this object still has it."""
        with self._guard:
            if not self.held:
                return
            self.held = False
        _held.discard(self)
        # Closing the last descriptor of a lock frees it; one that was inherited must not keep it.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        os.close(self.folder)

    def is_in_place(self) -> bool:
        """Whether folder and lock file are still the ones that have those names."""
        return _is_in_place(self.path, self._file)

    def handed_over(self) -> "RefLock | None":
        """The same lock for another owner, who has it in place of this one; None if released."""
        with self._guard:
            if not self.held:
                return None
            self.held = False
        _held.discard(self)
        new = RefLock(self.path, self.folder, self._file, trusted=self.trusted)
        new.names_had = self.names_had
        return new

    def sign(self, now_ns: int) -> None:
        """Say in the file who holds it, and since when."""
        _sign(self._file, now_ns)

    def move(self, disk: Disk, path: Path, *, exclusively: bool = False) -> None:
        """Give the folder another name, still locked; `exclusively` one that nothing has yet."""
        (disk.rename_exclusively if exclusively else disk.rename)(self.path, path)
        self.path = path

    def _left_behind_by_fork(self) -> None:
        self._guard = threading.Lock()
        if self.held:
            self.held = False
            # Only closed: unlocking would free the parent's lock, which is the same one.
            os.close(self._file)
            os.close(self.folder)


_held: "weakref.WeakSet[RefLock]" = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_held):
        lock._left_behind_by_fork()  # noqa: SLF001 - the same module, the other side of a fork
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)


def take(disk: Disk, path: Path, ref: str, *, wait: timedelta | None, now_ns: int) -> RefLock:
    """Take the lock of the ingest in `path`, making the folder, or raise `RefLocked`."""
    deadline = time.monotonic() + (wait.total_seconds() if wait else 0)
    pause = _SHORTEST_WAIT
    while True:
        lock = _try(disk, path, now_ns)
        if isinstance(lock, RefLock):
            return lock
        left = deadline - time.monotonic()
        if left <= 0:
            since = time_of(lock.since_ns) if lock.since_ns is not None else None
            raise RefLocked(ref, holder=lock.who, since=since)
        time.sleep(min(left, pause * random.uniform(0.5, 1)))  # noqa: S311 - spread, not secret
        pause = min(pause * 2, _LONGEST_WAIT)


def _try(disk: Disk, path: Path, now_ns: int) -> RefLock | Holder:
    """Take the lock, or tell who has it. Goes on while the folder is replaced under us."""
    while True:
        disk.make_folder(path)
        try:
            folder = os.open(path, FOLDER)
        except FileNotFoundError:
            continue
        try:
            file = disk.open(LOCK, NEW, folder=folder)
        except BaseException as error:
            os.close(folder)
            if isinstance(error, FileNotFoundError):
                continue
            raise
        lock: RefLock | None = None
        try:
            works = _flock(file)
            if works is False:
                return _holder(file)
            if _is_in_place(path, file):
                trusted = works is True and _holds_against_us(folder)
                _sign(file, now_ns)
                lock = RefLock(path, folder, file, trusted=trusted)
                return lock
        except FileNotFoundError:
            continue  # an abort has emptied the folder since
        finally:
            if lock is None:
                os.close(file)
                os.close(folder)


def _flock(file: int) -> bool | None:
    """True: taken. False: somebody has it. None: there are no locks here at all."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_in_place(path: Path, file: int) -> bool:
    # A lock file has one name, so whoever comes to it by the path comes to its folder too.
    try:
        return os.path.samestat(os.stat(f"{path}/{LOCK}"), os.fstat(file))
    except FileNotFoundError:
        return False


def _holds_against_us(folder: int) -> bool:
    """Whether the lock that we just took keeps out a second descriptor of our own."""
    second = os.open(LOCK, os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
    try:
        return _flock(second) is False
    finally:
        os.close(second)


@cache
def _name() -> str:
    """What a lock says of this program and its machine."""
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    return f"{os.uname().nodename} {program}"


def _sign(file: int, now_ns: int) -> None:
    text = f"{os.getpid()} {now_ns} {_name()}\n"
    with contextlib.suppress(OSError):  # a full disk must not keep anybody from resuming
        os.ftruncate(file, 0)
        os.pwrite(file, text.encode(errors="replace"), 0)


def _holder(file: int) -> Holder:
    try:
        process, since, host, program = os.pread(file, 4096, 0).decode().split(" ", 3)
        who = f"process {int(process)} ({program.strip()}) on {host}"
        return Holder(who, int(since))
    except (OSError, ValueError):
        return Holder(None, None)
