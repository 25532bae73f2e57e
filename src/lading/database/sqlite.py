"""SQLite: one file, many threads and processes.

Readers are lent a connection each, and with write-ahead logging wait for nobody. Writers of this
process share one connection, since SQLite has one writer at a time and lets others poll. Those that
wait together are run together, each in a savepoint, under one commit and so one sync.
"""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from lading.database import forks
from lading.database.engine import Database, Transaction
from lading.database.file_lock import FileLock
from lading.database.pool import Pool
from lading.database.sealed import address_of as sealed_address
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import (
    DatabaseFull,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)

T = TypeVar("T")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FORBIDDEN = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
_SPOILED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
_EVERYBODYS = _BUSY | _FORBIDDEN | _SPOILED | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM}
"""Errors that concern the file, and so whoever writes to it now."""
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_PAUSE = 0.005  # seconds between two looks at a held lock


class _Job:
    """One transaction that waits for its turn."""

    __slots__ = (
        "done", "durable", "error", "group", "leads", "result", "transaction", "woken",
    )  # fmt: skip

    def __init__(self, transaction: Callable[[Session], Any], *, durable: bool) -> None:
        self.transaction, self.durable = transaction, durable
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = self.leads = False
        self.group: list[_Job] = []  # those that ended with it, if its thread leads
        self.woken = threading.Lock()
        self.woken.acquire()  # until it is done, or the turn of its thread to lead has come


class SqliteDatabase(Database):
    """A file. Made, with its folder, when it is first used."""

    name = "sqlite"

    def __init__(self, path: str, *, wait: timedelta) -> None:
        if not path or path == ":memory:":
            raise InvalidArgument("a database in memory would forget; write sqlite:///path")
        self.path = str(Path(path).absolute())
        self.url = f"sqlite:///{self.path}"
        self._wait = wait
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._readers = Pool(self._connected_session)
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._queue: list[_Job] = []
        self._is_led = False
        self._writer: Session | None = None
        self._is_durable = True

    def read(self, transaction: Transaction[T]) -> T:
        readers = self._readers
        session = readers.lend()
        connection = session.connection
        try:
            connection.execute("BEGIN")
            try:
                return transaction(session)
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            readers.give_back(session)

    def row(self, statement: Statement, /, **parameters: Any) -> Row | None:
        # The hot path of every lookup: no context manager, no function more than there must be.
        readers = self._readers
        session = readers.lend()
        try:
            return session.row(statement, **parameters)
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            readers.give_back(session)

    def write(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        result: T = self._submitted(_Job(transaction, durable=True))
        return result

    def note(self, transaction: Transaction[T]) -> T:
        result: T = self._submitted(_Job(transaction, durable=False))
        return result

    @contextmanager
    def hold(self, name: str, wait: timedelta | None = None) -> Iterator[None]:
        deadline = time.monotonic() + (wait.total_seconds() if wait else 0)
        try:
            self._make_folder()
            lock = FileLock(f"{self.path}-{name}")
        except OSError as error:
            raise self.translated(error) from error
        try:
            while not lock.take():
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"{self.path}: somebody else is at its {name}; try again later"
                    )
                time.sleep(_PAUSE)
            yield
        finally:
            lock.release()

    def close(self) -> None:
        with self._turn:
            self._close_writer()
            readers, self._readers = self._readers, Pool(self._connected_session)
            readers.close()

    # Writing

    def _submitted(self, job: _Job) -> Any:
        """Wait until somebody has run it. Of those who wait, one leads and runs what all want.

        Who is done goes at once, and so may be in the next group while that still gathers.
        """
        try:
            with self._guard:
                self._queue.append(job)
                job.leads, self._is_led = not self._is_led, True
            if not job.leads:
                job.woken.acquire()
            if not job.done:
                with self._turn:
                    with self._guard:
                        jobs, self._queue = self._queue, []
                    self._run(jobs, job)
        finally:
            try:
                self._leave(job)
            except BaseException:  # an interrupt must not leave the others without a leader
                self._leave(job)
                raise
        if job.error is not None:
            raise job.error
        return job.result

    def _leave(self, job: _Job) -> None:
        """Tell the group that it is done, and have another one lead. May be called once more."""
        for each in job.group:
            each.done = True
            if each is not job and each.woken.locked():
                each.woken.release()
        with self._guard:
            if not job.done and job in self._queue:
                self._queue.remove(job)  # it was interrupted while it waited
            if not job.leads:
                return
            job.leads, self._is_led = False, bool(self._queue)
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].woken.release()

    def _run(self, jobs: list[_Job], ours: _Job) -> None:
        """Run what waits in one transaction; its end is the end of each."""
        try:
            self._commit(jobs)
        except Exception as error:  # noqa: BLE001 - each gets its own, where it can act
            for job in jobs:
                job.error = job.error or self.translated(error)
        except BaseException:
            # An interrupt is for this thread alone; the others run again without it.
            ours.group = [job for job in jobs if job.done or job is ours]
            with self._guard:
                for job in jobs:
                    if job not in ours.group:
                        job.result = job.error = None
                        self._queue.append(job)
            raise
        ours.group = jobs

    def _commit(self, jobs: list[_Job]) -> None:
        session = self._writing(durable=any(job.durable for job in jobs))
        execute = session.connection.execute
        run = self._run_alone if len(jobs) == 1 else self._run_one
        execute("BEGIN IMMEDIATE")
        try:
            for job in jobs:
                run(session, execute, job)
            if session.connection.in_transaction:
                execute("COMMIT")
        except BaseException as error:
            if session.connection.in_transaction:
                execute("ROLLBACK")
            elif not isinstance(error, Exception):
                for job in jobs:  # the interrupt was heard after the commit
                    job.done = True
            raise

    def _run_alone(self, session: Session, execute: Callable[[str], Any], job: _Job) -> None:
        """Run the only one that waits, which needs no savepoint."""
        try:
            job.result = job.transaction(session)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and _code_of(error) in _EVERYBODYS:
                raise
            job.error = self.translated(error)
            execute("ROLLBACK")

    def _run_one(self, session: Session, execute: Callable[[str], Any], job: _Job) -> None:
        execute("SAVEPOINT job")
        try:
            job.result = job.transaction(session)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and _code_of(error) in _EVERYBODYS:
                raise
            job.error = self.translated(error)
            execute("ROLLBACK TO job")
        execute("RELEASE job")

    def _writing(self, *, durable: bool) -> Session:
        if self._writer is None:
            self._writer = self._connected_session()
            self._is_durable = True
        if durable != self._is_durable:
            level = "FULL" if durable else "NORMAL"
            self._writer.connection.execute(f"PRAGMA synchronous={level}")
            self._is_durable = durable
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.connection.close()
            self._writer = None

    # Connections

    def connected(self) -> sqlite3.Connection:
        forks.check_usable(self.path)
        try:
            self._make_folder()
            connection = self._connected(self.path)
        except (OSError, sqlite3.Error) as error:
            raise self.translated(error) from error
        try:
            self._set_up(connection)
        except BaseException as error:
            connection.close()
            if not isinstance(error, sqlite3.Error):
                raise
            sealed = sealed_address(self.path) if _code_of(error) in _FORBIDDEN else None
            if sealed is None:
                raise self.translated(error) from error
            return self._connected(sealed, uri=True)
        return connection

    def _connected(self, address: str, *, uri: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(
            address,
            timeout=self._wait.total_seconds(),
            isolation_level=None,
            check_same_thread=False,  # they are lent, each to one thread at a time
            cached_statements=256,
            uri=uri,
        )

    def _set_up(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._wait.total_seconds()
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as error:
                # For this one step SQLite does not wait, when somebody else makes the file.
                if _code_of(error) not in _BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    def _connected_session(self) -> Session:
        return Session(self.name, self.connected())

    def _make_folder(self) -> None:
        """Make the folder, and have its name survive a power cut; the file's name is SQLite's."""
        folder = Path(self.path).parent
        if folder.is_dir():
            return
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)  # somebody else may be at it, too
            above = os.open(each.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(above)
            finally:
                os.close(above)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))

    # Forks

    def rest(self) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        self._close_writer()
        if not self._readers.rest():
            self._turn.release()
            return False
        return True

    def wake(self) -> None:
        self._readers.wake()
        self._turn.release()

    def wake_in_child(self, *, rested: bool) -> None:
        forks.keep_unclosed((self._readers, self._writer))
        if not rested:
            forks.give_up(self.path)
        self._begin()

    # Errors

    def translated(self, error: Exception) -> Exception:
        """What the driver or the system raised, in our words; other errors as they are."""
        if isinstance(error, OSError):
            return self._translated_from_system(error)
        code = _code_of(error)
        if code in _BUSY:
            return Unavailable(
                f"{self.path}: busy for longer than {self._wait.total_seconds():g} seconds; "
                "try again later"
            )
        if code in _NO_ROOM or getattr(error, "sqlite_errorcode", 0) in _NO_ROOM:
            return DatabaseFull(self.path)
        if code in _FORBIDDEN:
            return PermissionDenied(self.path, str(error))
        if code in _SPOILED:
            return DataLoss(self.path, f"{error}; put back a copy, or rebuild it from the blobs")
        return error

    def _translated_from_system(self, error: OSError) -> Exception:
        if error.errno in _FULL:
            return DatabaseFull(self.path)
        if error.errno in _READ_ONLY:
            return PermissionDenied(error.filename or self.path, str(error.strerror))
        if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}:
            return FailedPrecondition(f"{error.filename or self.path}: {error.strerror}")
        return error


def _code_of(error: Exception) -> int:
    """SQLite's primary code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
