"""Session: what a transaction's function is given to run its statements with."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from lading.database.courtesy import Courtesy
from lading.database.statements import Statement

Row = tuple[Any, ...]


class Cursor(Protocol):
    """What we use of a driver's cursor."""

    rowcount: int

    def execute(self, text: str, parameters: dict[str, Any], /) -> Any: ...
    def executemany(self, text: str, parameters: Iterable[dict[str, Any]], /) -> Any: ...
    def fetchone(self) -> Row | None: ...
    def fetchall(self) -> list[Row]: ...
    def fetchmany(self, size: int, /) -> list[Row]: ...


class Session:
    """One connection, inside a transaction. For the thread that was given it, until that ends."""

    def __init__(self, engine: str, connection: Any) -> None:
        self.engine, self.connection = engine, connection
        self.cursor: Cursor = connection.cursor()

    def row(self, statement: Statement, /, **parameters: Any) -> Row | None:
        """The first row, or None."""
        self.cursor.execute(statement.texts[self.engine], parameters)
        return self.cursor.fetchone()

    def rows(self, statement: Statement, /, **parameters: Any) -> list[Row]:
        """Every row. For results whose size something else limits."""
        self.cursor.execute(statement.texts[self.engine], parameters)
        return self.cursor.fetchall()

    def each(self, statement: Statement, step: int = 100, /, **parameters: Any) -> Iterator[Row]:
        """The rows one after another, on a cursor of their own, giving way to other threads."""
        cursor: Cursor = self.connection.cursor()
        cursor.execute(statement.texts[self.engine], parameters)
        courtesy = Courtesy()
        while rows := cursor.fetchmany(step):
            yield from rows
            courtesy.give_way()

    def run(self, statement: Statement, /, **parameters: Any) -> int:
        """Run it; say how many rows it changed."""
        self.cursor.execute(statement.texts[self.engine], parameters)
        return self.cursor.rowcount

    def run_many(self, statement: Statement, parameters: Iterable[dict[str, Any]]) -> None:
        """Run it once for each set of parameters."""
        self.cursor.executemany(statement.texts[self.engine], parameters)
