"""`lading leases`, and ingesting under one."""

import errno
import json
from datetime import datetime, timedelta

import pytest

from lading import Digest
from lading.metadata.writer import NamespaceWriter
from tests.conformance.samples import ABSENT

BYTES = b"bytes"
DIGEST = Digest.of(BYTES)


@pytest.fixture
def lease(run):
    return run("leases", "create", "--id", "pull").stdout.strip()


def listed(run):
    return [json.loads(line) for line in run("leases", "ls", "--json").stdout.splitlines()]


def test_a_lease_is_made_and_its_id_is_printed(run):
    done = run("leases", "create", "team=web")
    (found,) = listed(run)
    assert done.stdout == f"{found['id']}\n"
    assert found["labels"]["team"] == "web"
    made, ends = (
        datetime.fromisoformat(found[name][:26] + "+00:00") for name in ("created_at", "expires_at")
    )
    assert timedelta(hours=24) - timedelta(seconds=1) < ends - made <= timedelta(hours=24)


@pytest.mark.parametrize(
    ("words", "shown"), [(["--keep"], "never"), (["--expires-in", "2h30m"], "in 2 hours")]
)
def test_its_end_can_be_chosen(run, words, shown):
    run("leases", "create", "--id", "pull", *words)
    header, row = run("leases", "ls").stdout.splitlines()
    at = header.index("EXPIRES")
    assert row[at:].startswith(shown.replace("2 hours", ""))
    assert (listed(run)[0]["expires_at"] is None) == (shown == "never")


@pytest.mark.parametrize("words", [["--expires-in", "0"], ["--expires-in", "soon"], ["--id", ""]])
def test_what_cannot_be_a_lease_is_wrong_usage(run, words):
    assert run("leases", "create", *words).exit_code == 2
    assert listed(run) == []


def test_a_taken_id_is_a_failure(run, lease):
    done = run("leases", "create", "--id", lease)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "already exists" in done.stderr


def test_what_comes_in_under_it_is_kept_until_it_ends(run, lease):
    run("ingest", "--lease", lease, stdin=BYTES)
    run("gc")
    assert run("ls", "-q").stdout == f"{DIGEST}\n"
    assert run("leases", "rm", lease).stdout == f"{lease}\n"
    run("gc")
    assert run("ls", "-q").stdout == ""


def test_the_environment_names_a_lease_as_well(run, lease, monkeypatch):
    monkeypatch.setenv("LADING_LEASE", lease)
    run("ingest", stdin=BYTES)
    assert run("leases", "resources", lease).stdout.split() == ["KIND", "ID", "content", DIGEST]


def test_what_is_here_already_is_kept_as_well(run, lease):
    run("ingest", stdin=BYTES)
    run("ingest", "--lease", lease, "--expected-digest", DIGEST, stdin=BYTES)
    held = json.loads(run("leases", "resources", lease, "--json").stdout)
    assert held == {"kind": "content", "id": DIGEST}


@pytest.mark.parametrize("there", [True, False], ids=["with a database", "without one"])
def test_a_lease_that_is_not_there_is_exit_3_and_stores_nothing(run, database, there):
    if there:
        run("namespaces", "label", "default", "a=b")
    for words in (
        ["ingest", "--lease", "gone"],
        ["leases", "rm", "gone"],
        ["leases", "renew", "gone"],
        ["leases", "resources", "gone"],
        ["leases", "add", "gone", ABSENT],
    ):
        done = run(*words, stdin=BYTES)
        assert (done.exit_code, done.stdout) == (3, ""), words
        assert "lease 'gone': not found" in done.stderr
    assert run("ls", "-q").stdout == run("active", "--json").stdout == ""
    assert database.exists() == there


def test_a_renewed_lease_ends_later(run, lease):
    before = listed(run)[0]["expires_at"]
    printed = run("leases", "renew", lease, "--expires-in", "7d").stdout.strip()
    assert printed == listed(run)[0]["expires_at"] > before
    assert json.loads(run("leases", "renew", lease, "--json").stdout)["id"] == lease


def test_a_lease_keeps_more_when_told_to(run, lease):
    run("ingest", stdin=BYTES)
    run("ingest", "--ref", "parts", "--keep-open", stdin=b"part")
    run("images", "create", "app:1", DIGEST)
    assert run("leases", "add", lease, DIGEST, "--ref", "parts", "--image", "app:1").exit_code == 0
    held = [
        tuple(json.loads(line).values())
        for line in run("leases", "resources", lease, "--json").stdout.splitlines()
    ]
    assert held == [("content", DIGEST), ("images", "app:1"), ("ingests", "parts")]


@pytest.mark.parametrize("words", [[ABSENT], ["--ref", "absent"], ["--image", "absent"]])
def test_a_lease_keeps_nothing_that_is_not_here(run, lease, words):
    run("ingest", stdin=BYTES)
    assert run("leases", "add", lease, DIGEST, *words).exit_code == 3
    assert run("leases", "resources", lease, "--json").stdout == ""


def test_it_has_to_know_what_to_keep(run, lease):
    assert run("leases", "add", lease).exit_code == 2


def test_ids_alone_are_for_pipes(run, lease):
    assert run("leases", "ls", "-q").stdout == "pull\n"


def test_ending_one_of_several_goes_on_after_a_failure(run, lease):
    done = run("leases", "rm", "gone", lease)
    assert (done.exit_code, done.stdout) == (3, "pull\n")
    assert run("leases", "rm", "gone", "--ignore-missing").exit_code == 0


def test_leases_are_those_of_one_namespace(run, lease):
    assert run("--namespace", "other", "leases", "ls", "-q").stdout == ""
    assert run("--namespace", "other", "leases", "rm", lease).exit_code == 3


def test_what_to_do_next_names_the_lease(run, lease, tmp_path, monkeypatch):
    def fail(self, source, *, limit=None):
        raise OSError(errno.EIO, "Input/output error")

    file = tmp_path / "layer"
    file.write_bytes(BYTES)
    monkeypatch.setattr(NamespaceWriter, "copy_from", fail)
    done = run("--namespace", "default", "ingest", "--lease", lease, file)
    assert done.stderr.endswith(f"lading --namespace default ingest --lease pull {file}\n")


def test_a_verb_that_is_missing_or_wrong_is_wrong_usage(run):
    done = run("leases")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "lading: missing command; see `lading leases --help`\n"
    done = run("leases", "lst")
    assert done.exit_code == 2
    assert "there is no verb 'lst', did you mean 'ls'?" in done.stderr


@pytest.mark.parametrize("place", [1, 2, 3])
def test_the_root_may_stand_anywhere(run, lease, root, tmp_path, place):
    words = ["leases", "ls", "-q"]
    words[place - 1 : place - 1] = ["--root", root]
    assert run(*words, "--root", root).stdout == "pull\n"
    words[place] = tmp_path / "other"
    assert run(*words).stdout == ""
