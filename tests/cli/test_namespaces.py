"""`lading namespaces`, and which namespace a verb works in."""

import json

import pytest

from lading import Digest
from tests.conformance.samples import ABSENT, begin

BYTES = b"bytes"
DIGEST = Digest.of(BYTES)


@pytest.fixture
def other(run):
    """A blob in the namespace `other`, and in no other one."""
    assert run("--namespace", "other", "ingest", stdin=BYTES).exit_code == 0
    return DIGEST


def test_without_a_name_no_database_is_made(run, database):
    run("ingest", "--ref", "parts", "--keep-open", stdin=b"part")
    for words in (
        ["ingest"],
        ["ls"],
        ["active"],
        ["get", DIGEST],
        ["info", DIGEST],
        ["verify", "--all"],
        ["gc"],
        ["gc", "--dry-run"],
        ["label", DIGEST],
        ["namespaces", "ls"],
        ["leases", "ls"],
        ["images", "ls"],
        ["abort", "parts"],
        ["rm", DIGEST],
    ):
        assert run(*words, stdin=BYTES).exit_code == 0, words
    assert not database.exists()


def test_reading_a_namespace_makes_no_database(run, root, database):
    for there in (False, True):
        assert run("--namespace", "other", "ls", "-q").stdout == ""
        assert run("--namespace", "other", "active", "--json").stdout == ""
        assert run("--namespace", "other", "get", DIGEST).exit_code == 3
        assert run("--namespace", "other", "rm", DIGEST).exit_code == 3
        assert root.exists() == there
        assert not database.exists()
        run("ingest", stdin=BYTES)


def test_the_store_without_a_database_is_the_namespace_default(run, store):
    store.add(BYTES)
    assert run("ls", "-q", "--namespace", "default").stdout == f"{DIGEST}\n"
    assert run("ls", "-q", "--namespace", "other").stdout == ""


def test_naming_one_to_ingest_makes_the_database(run, other, database):
    assert database.exists()
    assert run("--namespace", "other", "ls", "-q").stdout == f"{other}\n"


def test_every_verb_sees_its_namespace_alone(run, other):
    run("--namespace", "other", "ingest", "--ref", "parts", "--keep-open", stdin=b"part")
    for words, code in (
        (["ls", "-q"], 0),
        (["active", "--json"], 0),
        (["get", other], 3),
        (["info", other], 3),
        (["verify", other], 3),
        (["abort", "parts"], 3),
        (["rm", other], 3),
    ):
        done = run(*words)
        assert done.exit_code == code, words
        assert done.stdout.replace(f"missing {other}: not found\n", "") == ""
        assert run("--namespace", "other", *words).exit_code == 0


@pytest.mark.parametrize("given", ["option", "environment", "both"])
def test_the_option_counts_before_the_environment(run, other, monkeypatch, given):
    words = ["ls", "-q"]
    if given != "environment":
        words += ["--namespace", "other"]
    if given != "option":
        monkeypatch.setenv("LADING_NAMESPACE", "other" if given == "environment" else "nobody")
    assert run(*words).stdout == f"{other}\n"


def test_another_database_can_be_named(run, database, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/else.db"
    assert run("--metadata", url, "ls").exit_code == 0
    assert not (tmp_path / "else.db").exists()
    run("--metadata", url, "ingest", stdin=BYTES)
    assert (tmp_path / "else.db").exists()
    assert not database.exists()
    monkeypatch.setenv("LADING_METADATA", url)
    run("label", DIGEST, "team=web")
    assert json.loads(run("ls", "--json").stdout)["labels"]["team"] == "web"
    monkeypatch.setenv("LADING_METADATA", "")
    assert json.loads(run("ls", "--json").stdout)["labels"] == {}


def test_a_server_is_a_database_as_well(run, database, emptied_postgresql):
    words = ["--metadata", emptied_postgresql, "--namespace", "other"]
    assert run(*words, "ingest", stdin=BYTES).stdout == f"{DIGEST}\n"
    assert run(*words, "ls", "-q").stdout == f"{DIGEST}\n"
    assert run(*words, "gc").stderr == "lading: freed 0 B of 0 blobs\n"
    assert not database.exists()


def test_a_server_that_does_not_answer_is_exit_7(run, tmp_path):
    done = run("--metadata", f"postgresql://me:secret@/name?host={tmp_path}", "ls")
    assert done.exit_code == 7
    assert "secret" not in done.stderr


def test_an_address_that_is_none_is_wrong_usage(run):
    done = run("--metadata", "mysql://host/name", "ls")
    assert done.exit_code == 2
    assert "a database is sqlite:///path or postgresql://host/name" in done.stderr


def test_a_name_that_is_none_is_wrong_usage(run, other):
    for words in (["ls"], ["ingest"]):
        assert run("--namespace", "a/b", *words, stdin=b"").exit_code == 2
    assert run("namespaces", "label", "a/b", "x=y").exit_code == 2
    assert run("namespaces", "ls", "-q").stdout == "other\n"


def test_they_are_listed_for_people_and_for_programs(run, other):
    run("namespaces", "label", "other", "b=2", "a=1")
    header, row = run("namespaces", "ls").stdout.splitlines()
    assert header.split() == ["NAMESPACE", "AGE", "LABELS"]
    assert (row.split()[0], row.split()[-1]) == ("other", "a=1,b=2")
    record = json.loads(run("namespaces", "ls", "--json").stdout)
    assert (record["name"], record["labels"]) == ("other", {"a": "1", "b": "2"})


def test_labelling_makes_a_namespace_and_shows_its_labels(run):
    assert run("namespaces", "label", "fresh", "a=1", "b=2").stdout == "a=1\nb=2\n"
    assert run("namespaces", "label", "fresh", "a=").stdout == "b=2\n"
    assert run("namespaces", "label", "fresh", "--replace", "c=3").stdout == "c=3\n"
    assert json.loads(run("namespaces", "label", "fresh", "--json").stdout)["name"] == "fresh"
    assert run("namespaces", "ls", "-q").stdout == "fresh\n"


def test_one_that_is_not_empty_is_not_deleted_and_the_others_are(run, other):
    run("namespaces", "label", "fresh", "a=1")
    done = run("namespaces", "rm", "other", "fresh")
    assert (done.exit_code, done.stdout) == (1, "fresh\n")
    assert "namespace 'other' is not empty" in done.stderr
    run("--namespace", "other", "rm", other)
    assert run("namespaces", "rm", "other").exit_code == 0


@pytest.mark.parametrize("words", [["--json"], []])
def test_deleting_one_that_is_not_there_is_exit_3(run, other, words):
    assert run("namespaces", "rm", "nobody", *words).exit_code == 3
    assert run("namespaces", "rm", "nobody", "--ignore-missing", *words).exit_code == 0


def test_a_namespace_of_no_database_is_not_found(run, database):
    assert run("namespaces", "rm", "nobody").exit_code == 3
    assert not database.exists()


def test_what_the_store_had_is_adopted_when_the_database_is_made(run, store):
    digests = {store.add(data).digest for data in (b"1", b"2")}
    done = run("--namespace", "other", "ingest", stdin=BYTES)
    assert done.stderr.startswith(
        "lading: namespace 'default' has adopted 2 blobs and 0 ingests, "
        "which lease 'adopted' keeps\n"
    )
    assert set(run("ls", "-q").stdout.split()) == digests
    run("gc")
    assert set(run("ls", "-q").stdout.split()) == digests
    assert "adopted" not in run("ls").stderr


def test_an_ingest_of_before_goes_on_in_the_namespace_default(run, store, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(b"hello, world")
    begin(store, "a/layer", b"hello, ")
    done = run("namespaces", "label", "other", "a=b")
    assert done.stderr == (
        "lading: namespace 'default' has adopted 0 blobs and 1 ingest, "
        "which lease 'adopted' keeps\n"
    )
    assert json.loads(run("active", "--json").stdout)["ref"] == "a/layer"
    done = run("ingest", "--ref", "a/layer", file)
    assert (done.exit_code, done.stdout) == (0, f"{Digest.of(b'hello, world')}\n")
    assert "resumed, 7 bytes" in done.stderr


def test_a_root_that_is_not_ours_gets_no_database(run, root, database):
    state = root.parent / "io.containerd.metadata.v1.bolt"
    state.mkdir()
    (state / "meta.db").write_bytes(b"")
    done = run("namespaces", "label", "x", "a=b")
    assert done.exit_code == 4
    assert "no metadata can be made" in done.stderr
    assert not database.exists()


def test_ingests_go_on_in_their_namespace(run, other, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(b"hello, world")
    run("--namespace", "other", "ingest", "--ref", "r", "--keep-open", stdin=b"hello, ")
    assert run("ingest", "--ref", "r", file, "--progress", "jsonl").stderr.startswith(
        '{"event": "begin", "verb": "ingest", "subject": "layer", "ref": "r", "offset": 0'
    )
    done = run("--namespace", "other", "ingest", "--ref", "r", file)
    assert done.stdout == f"{Digest.of(b'hello, world')}\n"
    assert "resumed, 7 bytes" in done.stderr


def test_what_to_do_next_names_the_namespace(run, other):
    done = run(
        *("--namespace", "other", "ingest", "--ref", "r", "--expected-digest", ABSENT), stdin=b"x"
    )
    assert done.exit_code == 5
    assert "lading --namespace other abort -- r" in done.stderr


def test_a_row_without_its_bytes_is_shown_and_found(run, other, store):
    store.path(other).unlink()
    shown = json.loads(run("--namespace", "other", "info", other, "--json").stdout)
    assert shown["path"] is None
    done = run("--namespace", "other", "verify", "--all")
    assert done.exit_code == 5
    assert done.stdout.startswith(f"bad {other}: its bytes are gone")
    run("--namespace", "other", "ingest", stdin=BYTES)
    assert run("--namespace", "other", "verify", "--all").exit_code == 0


def test_verify_reports_blobs_that_no_namespace_has(run, other, store):
    digest = store.add(b"orphan").digest
    done = run("verify", "--all")
    assert done.exit_code == 0
    assert done.stdout == (
        f"orphan {digest}: no namespace has it; `lading metadata rebuild` adopts it\n"
    )
    assert done.stderr == "lading: verified 0 blobs, 0 B: all good, 1 orphan\n"


def test_a_password_is_not_shown(run, other):
    address = "postgresql://me:secret@host/name"
    shown = json.loads(run("--metadata", address, "info", "--store", "--json").stdout)
    assert shown["metadata"] == "postgresql://me@host/name"
