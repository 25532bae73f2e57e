"""Bringing a database up to the schema of this code, at opening, once for all who open it.

A database that is up to date costs one lookup. Else the steps that it lacks are run under a lock
that every opener takes, all of them or none. An SQLite file in which nothing is yet gets at once
what all the steps together would leave in it: to load what runs the steps takes half a second,
which everybody's first command would pay.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from lading.database.engine import Database
from lading.database.extras import extra
from lading.database.session import Session
from lading.database.statements import Statement
from lading.errors import FailedPrecondition

SCHEMA = "0003"
"""The revision that this code works with; the last of `migrations.versions`."""

_NEW = Path(__file__).with_name("migrations") / "new_sqlite.sql"
"""What the steps leave in a new file, table by table. A test compares it with what they do leave,
and prints what it should be."""
_ANYTHING = Statement("SELECT 1 FROM sqlite_master LIMIT 1")
_WAIT = timedelta(minutes=1)
_REVISION = Statement("SELECT version_num FROM alembic_version")
_TABLES = {
    "sqlite": Statement("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"),
    "postgresql": Statement("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL"),
}
_DRIVERS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}


def bring_up_to_date(database: Database) -> None:
    """Make sure that `database` has the schema of this code, or raise.

    `FailedPrecondition` where newer code made it. After any failure it is what it was.
    """
    if database.read(_revision) == SCHEMA:
        return
    with database.hold("migration", _WAIT):
        found = database.read(_revision)
        is_new = found is None and database.name == "sqlite"
        if found == SCHEMA or (is_new and database.write(_made, alone=True)):
            return
        with extra("metadata", "alembic", "sqlalchemy"):
            if found is not None and found not in _revisions():
                raise FailedPrecondition(
                    f"{database.url}: its schema {found} is newer than {SCHEMA}, all that this "
                    "lading knows; use a newer lading"
                )
            _migrate(database)


def _revision(session: Session) -> str | None:
    if session.row(_TABLES[session.engine]) is None:
        return None
    row = session.row(_REVISION)
    return row[0] if row else None


def _made(session: Session) -> bool:
    """Fill a file in which nothing is yet; False for any other."""
    if session.rows(_ANYTHING):
        return False
    for statement in _NEW.read_text().split(";\n"):
        if statement.strip():
            session.run(Statement(statement))
    return True


def _config() -> Any:
    from alembic.config import Config  # noqa: PLC0415 - for the few that have to migrate

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def _revisions() -> set[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - ditto

    return {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}


def _migrate(database: Database) -> None:
    from alembic import command  # noqa: PLC0415 - ditto
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - ditto

    engine = engine_over(database)
    try:
        with engine.connect() as connection, connection.begin():
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        cause = error.orig if isinstance(error.orig, Exception) else error
        told = database.translated(cause)
        if told is not cause:
            raise told from error
        raise FailedPrecondition(f"{database.url}: cannot be migrated: {cause}") from error
    finally:
        engine.dispose()


def engine_over(database: Database) -> Any:
    """SQLAlchemy's engine over a database, whose steps are one transaction on either driver."""
    from sqlalchemy import NullPool, create_engine, event  # noqa: PLC0415 - ditto

    def connect() -> Any:
        connection = database.connected()
        if database.name == "postgresql":
            connection.autocommit = False
        return connection

    engine = create_engine(_DRIVERS[database.name], creator=connect, poolclass=NullPool)
    if database.name == "sqlite":  # whose driver begins nothing before a change of the schema
        event.listen(
            engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
    return engine
