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
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from lading.database import forks
from lading.database import sqlite_faults as faults
from lading.database.engine import Database, Transaction
from lading.database.file_lock import FileLock
from lading.database.jobs import Job
from lading.database.pool import Pool
from lading.database.sealed import address_of as sealed_address
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import Error, InvalidArgument, Unavailable

T = TypeVar("T")
_PAUSE = 0.005  # seconds between two looks at a held lock
_CHECKPOINT = Statement("PRAGMA wal_checkpoint(PASSIVE)")


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
        self._queue: list[Job] = []
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
        cursor = session.cursor
        try:
            cursor.execute(statement.sql, parameters)
            return cursor.fetchone()
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            readers.give_back(session)

    def write(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        return self._ran(transaction, durable=True)

    def note(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        return self._ran(transaction, durable=False)

    def relieve(self) -> None:
        """Move pages from the log to the file, which a commit does when the log is long.

        On a reader's connection, so that writers go on. What they write meanwhile is little.
        """
        with suppress(Error, sqlite3.Error):  # a commit will do it, and say what is wrong
            self.row(_CHECKPOINT)

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

    def _ran(self, transaction: Transaction[T], *, durable: bool) -> T:
        """Run it alone if nobody writes or waits to, else together with those that do."""
        if self._is_led or self._turn.locked():
            result: T = self._submitted(Job(transaction, durable=durable))
            return result
        try:
            with self._turn:  # which another may have taken since; then we wait for that one alone
                return self._run_alone(transaction, durable=durable)
        except Exception as error:
            ours = self.translated(error)
            if ours is error:
                raise
            raise ours from error

    def _run_alone(self, transaction: Transaction[T], *, durable: bool) -> T:
        session = self._writing(durable=durable)
        connection = session.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = transaction(session)
            if connection.in_transaction:
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _submitted(self, job: Job) -> Any:
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

    def _leave(self, job: Job) -> None:
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

    def _run(self, jobs: list[Job], ours: Job) -> None:
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

    def _commit(self, jobs: list[Job]) -> None:
        session = self._writing(durable=any(job.durable for job in jobs))
        execute = session.connection.execute
        is_ending = False
        execute("BEGIN IMMEDIATE")
        try:
            if not self._run_all(session, jobs):
                execute("ROLLBACK")
                execute("BEGIN IMMEDIATE")
                for job in jobs:
                    self._run_one(session, execute, job)
            is_ending = True
            if session.connection.in_transaction:
                execute("COMMIT")
        except BaseException as error:
            if session.connection.in_transaction:
                execute("ROLLBACK")
            elif is_ending and not isinstance(error, Exception):
                for job in jobs:  # the interrupt was heard after the commit
                    job.done = True
            raise

    def _run_all(self, session: Session, jobs: list[Job]) -> bool:
        """Run them as one, without a savepoint for each; False if one fails, and all must again.

        Few fail, and each statement costs more than itself: for it the leader lets go of the
        interpreter, and has to get it back from all the threads that it works for.
        """
        for job in jobs:
            try:
                job.result = job.transaction(session)
            except Exception as error:
                if isinstance(error, sqlite3.Error) and faults.code_of(error) in faults.EVERYBODYS:
                    raise
                return False
        return True

    def _run_one(self, session: Session, execute: Callable[[str], Any], job: Job) -> None:
        execute("SAVEPOINT job")
        try:
            job.result = job.transaction(session)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and faults.code_of(error) in faults.EVERYBODYS:
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
            sealed = (
                sealed_address(self.path) if faults.code_of(error) in faults.FORBIDDEN else None
            )
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
                if faults.code_of(error) not in faults.BUSY or time.monotonic() >= deadline:
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
        return faults.translated(error, self.path, self._wait)
