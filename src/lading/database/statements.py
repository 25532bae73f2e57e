"""Statements: SQL that both engines speak, each in its driver's own spelling.

They run on the driver's own cursor: for a lookup by key, what SQLAlchemy does around a call costs
more than the call. Parameters are written `:name`.
"""

import re

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")


class Statement:
    """One statement. `locking` is how it locks the rows that it reads, `UPDATE` or `KEY SHARE`.

    SQLite has one writer at a time and needs no such locks.
    """

    __slots__ = ("postgresql", "sql", "texts")

    def __init__(self, sql: str, *, locking: str = "") -> None:
        self.sql = sql
        pyformat = _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))
        self.postgresql = f"{pyformat} FOR {locking}" if locking else pyformat
        self.texts = {"sqlite": sql, "postgresql": self.postgresql}
        """By engine, as its driver takes it."""
