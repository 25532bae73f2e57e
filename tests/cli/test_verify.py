"""`lading verify`: what is bad, what is missing, and what does not belong here."""

import json

import pytest

from lading import Digest
from lading.errors import NotFound, PermissionDenied
from tests.conformance.samples import ABSENT, digests_in


@pytest.fixture
def good(store):
    return store.add(b"good bytes").digest


@pytest.fixture
def bad(store):
    digest = store.add(b"bad bytes").digest
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"had bytes")
    return digest


def test_good_blobs_are_told_on_stderr_alone(run, good):
    done = run("verify", good)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "lading: verified 1 blob, 10 B: all good\n"


def test_a_bad_blob_is_a_line_and_exit_5(run, good, bad):
    done = run("verify", "--all")
    assert done.exit_code == 5
    assert done.stdout == f"bad {bad}: its 9 bytes are {Digest.of(b'had bytes')}\n"
    assert done.stderr == "lading: verified 2 blobs, 10 B: 1 bad\n"


def test_nothing_is_changed_by_looking(run, store, good, bad):
    run("verify", "--all")
    assert digests_in(store) == sorted([good, bad])


def test_one_can_be_asked_for_among_bad_ones(run, good, bad):
    assert run("verify", good).exit_code == 0
    assert run("verify", bad).exit_code == 5


def test_a_filter_chooses(run, good, bad):
    assert run("verify", "--filter", f"digest=={good}").exit_code == 0
    assert run("verify", "--filter", f"digest=={good}", "--filter", f"digest=={bad}").exit_code == 5


def test_a_missing_blob_is_a_line_and_exit_3(run, good):
    done = run("verify", ABSENT, good)
    assert (done.exit_code, done.stdout) == (3, f"missing {ABSENT}: not found\n")
    assert done.stderr == "lading: verified 1 blob, 10 B: 1 missing\n"


def test_bad_is_worse_than_missing(run, bad):
    assert run("verify", bad, ABSENT).exit_code == 5


def test_strays_are_reported_and_are_no_failure(run, root, good):
    (root / "blobs" / "sha256" / "notes\n.txt").write_bytes(b"")
    done = run("verify", "--all")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"stray {root}/blobs/sha256/notes\\n.txt: ")
    assert done.stderr.endswith("all good, 1 stray\n")


def test_strays_are_not_looked_for_when_blobs_are_named(run, root, good):
    (root / "blobs" / "sha256" / "notes").write_bytes(b"")
    assert run("verify", good).stdout == ""


def test_a_blob_that_is_deleted_while_all_are_read_is_no_finding(run, store, good, monkeypatch):
    gone = store.blob(good)._replace(digest=ABSENT)
    monkeypatch.setattr(type(store), "blobs", lambda self: iter([gone, store.blob(good)]))
    done = run("verify", "--all")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "verified 1 blob" in done.stderr


def test_a_blob_that_may_not_be_read_is_not_called_bad(run, store, good, monkeypatch):
    def refuse(self, digest):
        raise PermissionDenied(store.path(digest), "permission denied")

    monkeypatch.setattr(type(store), "open", refuse)
    done = run("verify", good)
    assert done.exit_code == 4
    assert done.stdout.startswith(f"unread {good}: ")
    assert "1 unread" in done.stderr


def test_json_has_the_findings_and_then_the_sum(run, root, store, good, bad):
    (root / "blobs" / "sha256" / "notes").write_bytes(b"")
    done = run("verify", "--all", "--json")
    finding, stray, summary = map(json.loads, done.stdout.splitlines())
    reason = f"its 9 bytes are {Digest.of(b'had bytes')}"
    path = str(store.path(bad))
    assert finding == {"kind": "bad", "digest": bad, "path": path, "reason": reason}
    assert (stray["kind"], stray["digest"]) == ("stray", None)
    assert stray["path"] == str(root / "blobs" / "sha256" / "notes")
    assert summary == {
        "kind": "summary",
        "checked": 2,
        "bytes": 10,
        "bad": 1,
        "missing": 0,
        "unread": 0,
        "stray": 1,
        "orphan": 0,
    }


def test_json_of_a_missing_blob_has_no_path(run):
    finding = json.loads(run("verify", ABSENT, "--json").stdout.splitlines()[0])
    assert finding == {"kind": "missing", "digest": ABSENT, "path": None, "reason": "not found"}


def test_lines_can_be_asked_for(run, good):
    done = run("verify", good, "--progress", "lines")
    assert done.stderr.startswith(f"good {good} (10 B in ")


def test_an_empty_root_is_all_good(run, root):
    done = run("verify", "--all")
    assert (done.exit_code, done.stdout) == (0, "")
    assert not root.exists()


@pytest.mark.parametrize(
    "arguments", [[], [ABSENT, "--all"], ["--all", "--filter", "digest"], [ABSENT, "--filter", "x"]]
)
def test_it_has_to_know_what_to_read(run, arguments):
    done = run("verify", *arguments)
    assert done.exit_code == 2
    assert "name DIGESTs, or --all, or --filter" in done.stderr


def test_a_blob_that_is_gone_when_it_is_opened_is_missing(run, store, good, monkeypatch):
    def gone(self, digest):
        raise NotFound(digest)

    monkeypatch.setattr(type(store), "open", gone)
    assert run("verify", good).exit_code == 3
