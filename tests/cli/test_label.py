"""`lading label`: labels are set, shown and deleted, and need a database then and not before."""

import json

import pytest

from tests.conformance.samples import ABSENT


def test_labels_are_set_deleted_and_shown(run, store):
    digest = store.add(b"bytes").digest
    assert run("label", digest, "team=web", "a=b=c").stdout == "a=b=c\nteam=web\n"
    assert run("label", digest, "a=", "b=1").stdout == "b=1\nteam=web\n"
    assert run("label", digest).stdout == "b=1\nteam=web\n"
    assert run("label", digest, "--replace", "c=2").stdout == "c=2\n"
    assert json.loads(run("ls", "--json").stdout)["labels"] == {"c": "2"}


def test_showing_labels_makes_no_database(run, store, database):
    done = run("label", store.add(b"bytes").digest, "--json")
    assert (done.exit_code, json.loads(done.stdout)["labels"]) == (0, {})
    assert not database.exists()


def test_an_absent_blob_is_exit_3(run):
    for words in ([], ["team=web"]):
        done = run("label", ABSENT, *words)
        assert (done.exit_code, done.stdout) == (3, "")


@pytest.mark.parametrize("word", ["team", "=web", "="])
def test_what_is_no_label_is_wrong_usage_and_makes_no_database(run, store, database, word):
    done = run("label", store.add(b"bytes").digest, word)
    assert done.exit_code == 2
    assert done.stderr == f"lading: {word!r} is no label; write KEY=VALUE, or KEY= to delete it\n"
    assert not database.exists()


def test_a_label_beyond_the_limit_is_wrong_usage_and_sets_nothing(run, store):
    digest = store.add(b"bytes").digest
    assert run("label", digest, "a=b", "long=" + "x" * 4096).exit_code == 2
    assert run("label", digest).stdout == ""


def test_a_hostile_label_cannot_steer_a_terminal(run, store):
    digest = store.add(b"bytes").digest
    assert run("label", digest, "a=\x1b[2J").stdout == "a=\\x1b[2J\n"


def test_labels_are_those_of_one_namespace(run, store):
    digest = store.add(b"bytes").digest
    run("label", digest, "team=web")
    assert run("label", digest, "--namespace", "other").exit_code == 3
