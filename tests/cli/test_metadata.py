"""`lading metadata rebuild`, and what is said where the packages for it are missing."""

import contextlib
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from lading import Digest

OLD = Path(__file__).parent.parent / "database" / "revision_0001.sql"
BYTES = b"bytes"
DIGEST = Digest.of(BYTES)


@pytest.fixture
def lost(run, database):
    """A root whose database is lost, with a blob and an ingest of the namespace `images`."""
    run("--namespace", "images", "ingest", stdin=BYTES)
    run("--namespace", "images", "label", DIGEST, "team=web")
    run("--namespace", "images", "ingest", "--ref", "parts", "--keep-open", stdin=b"hello, ")
    for file in database.parent.glob("metadata.db*"):
        file.unlink()


def test_everything_comes_back_but_its_labels(run, lost):
    done = run("metadata", "rebuild")
    assert done.exit_code == 0
    assert done.stdout == (f"adopted {DIGEST}\nadopted ingest parts of namespace 'images'\n")
    assert done.stderr == (
        "lading: adopted 1 blob and 1 ingest, 0 missing; their labels and images are lost if they "
        "had any, and lease 'adopted' keeps them\n"
    )
    assert json.loads(run("ls", "--json").stdout)["labels"] == {}
    assert run("gc").stderr == "lading: freed 0 B of 0 blobs\n"
    done = run("--namespace", "images", "ingest", "--ref", "parts", "--append", stdin=b"world")
    assert done.stdout == f"{Digest.of(b'hello, world')}\n"


def test_the_namespace_can_be_chosen(run, lost):
    run("--namespace", "images", "metadata", "rebuild")
    assert run("--namespace", "images", "ls", "-q").stdout == f"{DIGEST}\n"
    assert run("ls", "-q").stdout == ""


def test_a_second_time_there_is_nothing_to_do(run, lost):
    run("metadata", "rebuild")
    done = run("metadata", "rebuild")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "lading: adopted 0 blobs and 0 ingests, 0 missing\n"


def test_a_row_without_its_bytes_is_told_and_is_exit_5(run, lost, store):
    run("metadata", "rebuild")
    store.path(DIGEST).unlink()
    done = run("metadata", "rebuild")
    assert done.exit_code == 5
    assert done.stdout == f"missing {DIGEST} of namespace 'default'\n"
    assert done.stderr == "lading: adopted 0 blobs and 0 ingests, 1 missing\n"
    run("ingest", stdin=BYTES)
    assert run("metadata", "rebuild").exit_code == 0


def test_an_ingest_that_no_namespace_can_have_is_told(run, store):
    ref = "x" * 600
    with store.writer(ref) as writer:
        writer.write(b"part")
    done = run("metadata", "rebuild")
    assert done.exit_code == 0
    assert done.stdout == f"orphan ingest {ref}, whose ref is too long for a namespace\n"
    assert store.ingest(ref).offset == 4


def test_json_has_the_findings_and_then_the_sum(run, lost):
    *found, total = map(json.loads, run("metadata", "rebuild", "--json").stdout.splitlines())
    assert found == [
        {"kind": "adopted", "namespace": "default", "name": DIGEST, "size": 5},
        {"kind": "resumable", "namespace": "images", "name": "parts", "size": 7},
    ]
    assert total == {"kind": "summary", "adopted": 1, "resumable": 1, "orphan": 0, "missing": 0}


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("sqlalchemy", f"label {DIGEST} a=b"),
        ("alembic", "namespaces label x a=b"),
        ("psycopg", "--metadata postgresql:///x ls"),
    ],
)
def test_a_missing_extra_is_one_sentence(run, database, monkeypatch, package, line):
    run("ingest", stdin=BYTES)
    # A new file needs none of them; one that was made by an older lading has steps to run.
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(OLD.read_text())
    for name in list(sys.modules):
        if name.partition(".")[0] in {"sqlalchemy", "alembic", "psycopg"} or name.startswith(
            ("lading.database", "lading.metadata")
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    done = run(*line.split())
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    extra = "postgresql" if package == "psycopg" else "metadata"
    assert done.stderr.endswith(f"run: pip install 'lading[{extra}]'\n")
