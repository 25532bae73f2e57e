"""A database by its address, and the transactions that run in it.

    read     one snapshot; waits for nobody
    row      one statement that only reads, the quick way
    write    durable when it returns, in that order; `alone` keeps off all others meanwhile
    note     like `write`, but a power cut may lose it, and then loses all that came later: for what
             means nothing after one, and for what a `write` will follow
    relieve  do now what one of the next writers would have to do
    hold     a lock that is free the moment its process dies

What a transaction does is a function, since it may be run together with others under one sync, or
once more after the engine asked for that. It must have no effect but through its session.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeVar

from lading.database.extras import extra
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import InvalidArgument

T = TypeVar("T")
Transaction = Callable[[Session], T]

WAIT = timedelta(seconds=30)
"""How long a busy database is waited for, before `Unavailable`."""


class Database(ABC):
    """Made by `connect`. Any method may be called from any thread at any time."""

    name: str
    """The engine, a key of `Statement.texts`."""
    url: str
    """Without a password: messages show it."""

    @abstractmethod
    def read(self, transaction: Transaction[T]) -> T:
        """Run what only reads, on one snapshot."""

    @abstractmethod
    def row(self, statement: Statement, /, **parameters: Any) -> Row | None:
        """The first row that a statement gives, which only reads."""

    @abstractmethod
    def write(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        """Run what writes. After an error nothing of it happened."""

    @abstractmethod
    def note(self, transaction: Transaction[T], *, alone: bool = False) -> T:
        """Run what writes and need not outlive a power cut."""

    @abstractmethod
    def relieve(self) -> None:
        """After many changes, do what one of the next writers would have to do on his way."""

    @abstractmethod
    def hold(self, name: str, wait: timedelta | None = None) -> AbstractContextManager[None]:
        """Hold the lock `name` among all that use this database, or raise `Unavailable`."""

    @abstractmethod
    def connected(self) -> Any:
        """A driver's connection that nobody else has, for `migrate`, which closes it."""

    @abstractmethod
    def translated(self, error: Exception) -> Exception:
        """What the driver raised, in our words; other errors as they are."""

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection, of whichever thread. Safe to call twice."""


def connect(url: str, *, wait: timedelta = WAIT) -> Database:
    """Open `sqlite:///path` or `postgresql://…`, which is not looked at before it is used."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from lading.database.sqlite import SqliteDatabase  # noqa: PLC0415 - one engine is enough

        return SqliteDatabase(rest.removeprefix("/"), wait=wait)
    if separator and scheme.partition("+")[0] in {"postgresql", "postgres"}:
        with extra("postgresql", "psycopg"):
            from lading.database.postgresql import PostgresDatabase  # noqa: PLC0415 - ditto

        return PostgresDatabase(f"postgresql://{rest}", wait=wait)
    raise InvalidArgument(f"{url!r}: a database is sqlite:///path or postgresql://host/name")
