"""PostgreSQL, for stores that several machines share. The driver is psycopg 3."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict

from lading.database import forks
from lading.database.engine import Database, Transaction
from lading.database.pool import Pool
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import (
    DatabaseFull,
    DataLoss,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)

T = TypeVar("T")
_AGAIN = (pg.SerializationFailure, pg.DeadlockDetected)
_FORBIDDEN = (pg.ReadOnlySqlTransaction, pg.InsufficientPrivilege)
_SPOILED = (pg.DataCorrupted, pg.IndexCorrupted, pg.IoError)
_ABSENT = (psycopg.OperationalError, *_AGAIN)
_TOO_MUCH = (psycopg.DataError, pg.ProgramLimitExceeded)
_ATTEMPTS = 10
# Who writes alone waits for the others to end; whoever comes later waits for him.
_BEGIN = "BEGIN; SELECT pg_advisory_xact_lock_shared(7310580)"
_BEGIN_ALONE = "BEGIN; SELECT pg_advisory_xact_lock(7310580)"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PAUSE = 0.005


class PostgresDatabase(Database):
    """A database on a server. Connections are made when they are needed, and kept."""

    name = "postgresql"

    def __init__(self, url: str, *, wait: timedelta) -> None:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # whose text may hold the password
            raise InvalidArgument("no address of a PostgreSQL database") from None
        host, port, name = (parts.get(key) for key in ("host", "port", "dbname"))
        self.url = f"postgresql://{host or ''}{f':{port}' if port else ''}/{name or ''}"
        self._address, self._wait = url, wait
        self._options = parts.get("options") or ""
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._durable = Pool(self._connected_session)
        self._quick = Pool(partial(self._connected_session, "-c synchronous_commit=off"))

    def read(self, transaction: Transaction[T]) -> T:
        return self._run(self._durable, transaction, _BEGIN_READING)

    def row(self, statement: Statement, /, **parameters: Any) -> Row | None:
        def look(session: Session) -> Row | None:
            return session.row(statement, **parameters)

        with self._session(self._durable, look) as (_, row):
            return row

    def write(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        return self._run(self._durable, transaction, _BEGIN_ALONE if alone else _BEGIN)

    def note(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        return self._run(self._quick, transaction, _BEGIN_ALONE if alone else _BEGIN)

    def relieve(self) -> None:
        """The server does that by itself."""

    @contextmanager
    def hold(self, name: str, wait: timedelta | None = None) -> Iterator[None]:
        deadline = time.monotonic() + (wait.total_seconds() if wait else 0)
        key = int.from_bytes(hashlib.sha256(f"lading {name}".encode()).digest()[:8], signed=True)
        connection = self.connected()  # and with the connection goes the lock
        try:
            while not self._has_locked(connection, key):
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"somebody else is at this database's {name}; try again later"
                    )
                time.sleep(_PAUSE)
            yield
        finally:
            connection.close()

    def close(self) -> None:
        pools = self._durable, self._quick
        self._begin()
        for pool in pools:
            pool.close()

    # Inside

    def _has_locked(self, connection: Any, key: int) -> bool:
        try:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        except psycopg.Error as error:
            raise self.translated(error) from error
        return bool(row == (True,))

    def _run(self, pool: Pool, transaction: Transaction[T], begin: str) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._attempted(pool, transaction, begin)
            except Unavailable as error:
                if not isinstance(error.__cause__, _AGAIN):
                    raise
        return self._attempted(pool, transaction, begin)

    def _attempted(self, pool: Pool, transaction: Transaction[T], begin: str) -> T:
        with self._session(pool, partial(_begun, begin)) as (session, _):
            result = transaction(session)
            session.connection.execute("COMMIT")
            return result

    @contextmanager
    def _session(self, pool: Pool, first: Callable[[Session], T]) -> Iterator[tuple[Session, T]]:
        """Lend a session and do `first` with it, on a new connection where the old one is dead.

        The server may have been started again since; before `first` nothing was lost with it.
        """
        session = pool.lend()
        try:
            try:
                done = first(session)
            except psycopg.OperationalError:
                if not session.connection.broken:
                    raise
                pool.discard(session)
                session = pool.lend_new()
                done = first(session)
            yield session, done
        except psycopg.Error as error:
            raise self.translated(error) from error
        finally:
            _rolled_back(session.connection)
            if session.connection.closed:
                pool.discard(session)
            else:
                pool.give_back(session)

    def connected(self) -> Any:
        return self._connected("")

    def _connected(self, options: str) -> Any:
        seconds = self._wait.total_seconds()
        try:
            return psycopg.connect(
                self._address,
                autocommit=True,  # `BEGIN` and `COMMIT` are ours
                connect_timeout=max(2, int(seconds)),
                prepare_threshold=1,
                options=f"{self._options} -c lock_timeout={max(1, int(seconds * 1000))} {options}",
            )
        except psycopg.Error as error:
            raise self.translated(error) from error

    def _connected_session(self, options: str = "") -> Session:
        return Session(self.name, self._connected(options))

    # Forks

    def rest(self) -> bool:
        if not self._durable.rest():
            return False
        if not self._quick.rest():
            self._durable.wake()
            return False
        return True

    def wake(self) -> None:
        self._durable.wake()
        self._quick.wake()

    def wake_in_child(self, *, rested: bool) -> None:
        forks.keep_unclosed((self._durable, self._quick))
        self._begin()

    # Errors

    def translated(self, error: Exception) -> Exception:
        text = (str(error).strip().splitlines() or ["no reason given"])[0]
        wait = f"{self._wait.total_seconds():g} seconds"
        for kinds, told in (
            (pg.DiskFull, DatabaseFull(self.url)),
            (_FORBIDDEN, PermissionDenied(self.url, text)),
            (_SPOILED, DataLoss(self.url, text)),
            (pg.LockNotAvailable, Unavailable(f"{self.url}: busy for {wait}; try again later")),
            (_ABSENT, Unavailable(f"{self.url} does not answer: {text}")),
            (_TOO_MUCH, InvalidArgument(f"{self.url} cannot take that: {text}")),
        ):
            if isinstance(error, kinds):
                return told
        return error


def _begun(begin: str, session: Session) -> None:
    session.connection.execute(begin)


def _rolled_back(connection: Any) -> None:
    """End a transaction that was not committed; a connection that cannot is closed."""
    try:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()
