import contextlib
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lading.content.catalog import Resource
from lading.database import migrate
from lading.database.engine import connect
from lading.database.schema import tables
from lading.database.statements import Statement
from lading.errors import FailedPrecondition
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

OLD = Path(__file__).with_name("revision_0001.sql")
RIGHT = Digest.of(b"hello, world")
CLAIM = Statement("SELECT token, digest, expires_ns FROM claims")
CONDEMNED = Statement("SELECT digest, size, going FROM condemned")
TOUCHED = Statement("SELECT namespace, digest FROM touched")
BROKEN = Statement("PRAGMA foreign_key_check")
REVISION = Statement("SELECT version_num FROM alembic_version")
NEWER = Statement("UPDATE alembic_version SET version_num = '9999'")
OPEN = """
    import sys
    from lading.metadata import Metadata
    from lading.stores.local.store import LocalStore
    sys.stdin.readline()
    with Metadata(sys.argv[1], content=LocalStore(sys.argv[2])) as metadata:
        metadata.namespace(f"n{sys.argv[3]}").add(sys.argv[3].encode())
"""


@pytest.fixture
def migrated(url):
    database = connect(url)
    migrate.bring_up_to_date(database)
    yield database
    database.close()


def test_the_schema_is_what_the_migrations_make(migrated):
    engine = migrate.engine_over(migrated)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables) == []
    engine.dispose()


def described(path):
    """Everything in a file: its tables and indexes as they were made, and its revision."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        made = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        )
        statements = [f"{sql.rstrip()};\n" for (sql,) in made]
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
    stamp = f"INSERT INTO alembic_version VALUES ('{revision}');\n"  # noqa: S608 - it is compared
    return "\n".join([*statements, stamp])


def test_a_new_file_is_made_as_the_migrations_would_make_it(tmp_path, monkeypatch):
    made, by_steps = tmp_path / "made.db", tmp_path / "steps.db"
    database = connect(f"sqlite:///{made}")
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_migrate", None)
        migrate.bring_up_to_date(database)
    database.close()
    database = connect(f"sqlite:///{by_steps}")
    migrate._migrate(database)
    database.close()
    should = described(by_steps)
    assert described(made) == should, should
    assert migrate._NEW.read_text() == should, should


def test_the_code_works_with_the_last_migration():
    script = ScriptDirectory.from_config(migrate._config())
    assert script.get_heads() == [migrate.SCHEMA]


def test_opening_again_changes_nothing(migrated, monkeypatch):
    monkeypatch.setattr(migrate, "_migrate", None)
    migrate.bring_up_to_date(migrated)
    assert migrated.row(REVISION) == (migrate.SCHEMA,)


def test_a_newer_schema_is_refused_in_one_sentence(migrated, url, tmp_path):
    migrated.write(lambda session: session.run(NEWER))
    with pytest.raises(FailedPrecondition, match="schema 9999 is newer than") as caught:
        Metadata(url, content=LocalStore(tmp_path / "root"))
    assert "\n" not in str(caught.value)
    assert migrated.row(REVISION) == ("9999",)


def test_a_migration_that_fails_leaves_nothing_behind(url):
    database = connect(url)
    database.write(lambda session: session.run(Statement("CREATE TABLE leases (id TEXT)")))
    with pytest.raises(FailedPrecondition, match="cannot be migrated"):
        migrate.bring_up_to_date(database)
    database.write(lambda session: session.run(Statement("DROP TABLE leases")))
    migrate.bring_up_to_date(database)
    assert database.row(REVISION) == (migrate.SCHEMA,)
    database.close()


@pytest.mark.slow
def test_of_many_that_open_at_once_one_migrates(url, tmp_path, start):
    root = tmp_path / "root"
    programs = [start(OPEN, url, root, number) for number in range(8)]
    for program in programs:
        program.stdin.write(b"go\n")
        program.stdin.flush()
    for program in programs:
        program.communicate(timeout=120)
        assert program.returncode == 0
    with Metadata(url, content=LocalStore(root)) as metadata:
        assert [each.name for each in metadata.namespaces()] == [
            f"n{number}" for number in range(8)
        ]


def test_an_old_file_is_opened_with_all_that_it_has(tmp_path):
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.execute("INSERT INTO claims VALUES ('new 1', ?, 7)", [RIGHT])
    connection.execute("INSERT INTO condemned VALUES (?, 12, 1)", [RIGHT])
    connection.execute("INSERT INTO touched VALUES ('images', ?)", [RIGHT])
    connection.commit()
    connection.close()
    content = LocalStore(tmp_path / "root")
    content.add(b"hello, world")
    with content.writer("images/w") as writer:
        writer.write(b"hello")
    with Metadata(f"sqlite:///{path}", content=content) as metadata:
        assert [(each.name, each.labels) for each in metadata.namespaces()] == [
            ("images", {"team": "web"})
        ]
        namespace = metadata.namespace("images")
        assert namespace.blob(RIGHT) == (RIGHT, 12, 1, 2, {"a": "1"})
        assert namespace.read(RIGHT) == b"hello, world"
        assert namespace.images.get("greeting").target.digest == RIGHT
        lease = namespace.leased("l")
        assert lease.record() == ("l", 1, None, {})
        assert lease.resources() == [Resource("content", RIGHT), Resource("ingests", "w")]
        with namespace.writer("w") as writer:
            assert (writer.offset, writer.status().expected) == (5, RIGHT)
        assert metadata.database.row(CLAIM) == ("new 1", RIGHT, 7)
        assert metadata.database.row(CONDEMNED) == (RIGHT, 12, 1)
        assert metadata.database.row(TOUCHED) == ("images", RIGHT)
        assert metadata.database.row(BROKEN) is None
        assert metadata.database.row(REVISION) == (migrate.SCHEMA,)
