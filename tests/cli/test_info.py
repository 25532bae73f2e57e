"""`lading info`: one thing in full."""

import json

from tests.conformance.samples import ABSENT, begin


def test_a_blob_is_shown_in_full(run, store):
    blob = store.add(b"bytes")
    done = run("info", blob.digest)
    assert done.exit_code == 0
    assert dict(line.split(None, 1) for line in done.stdout.splitlines()) == {
        "digest:": blob.digest,
        "size:": "5",
        "created_at:": json.loads(run("ls", "--json").stdout)["created_at"],
        "updated_at:": json.loads(run("ls", "--json").stdout)["updated_at"],
        "labels:": "-",
        "path:": str(store.path(blob.digest)),
    }


def test_an_ingest_is_shown_in_full(run, store):
    with store.writer("layer", total=10, expected=ABSENT) as writer:
        writer.write(b"bytes")
    done = run("info", "layer", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads(run("active", "--json").stdout)
    shown = json.loads(done.stdout)
    assert shown["started_at"] <= shown["updated_at"]
    assert {name: shown[name] for name in ("ref", "offset", "total", "expected")} == {
        "ref": "layer",
        "offset": 5,
        "total": 10,
        "expected": ABSENT,
    }


def test_labels_are_shown_one_by_one_and_harmlessly(run, store, monkeypatch):
    blob = store.add(b"bytes")._replace(labels={"team": "web", "a\x1b": "\n"})
    monkeypatch.setattr(type(store), "blob", lambda self, digest: blob)
    lines = run("info", blob.digest).stdout.splitlines()
    at = lines.index("labels:")
    assert lines[at + 1 : at + 3] == [r"  a\x1b=\n", "  team=web"]


def test_a_ref_that_looks_like_a_digest_is_found_where_no_blob_is(run, store):
    begin(store, ABSENT, b"x")
    begin(store, "sha256:short", b"x")
    for ref in (ABSENT, "sha256:short"):
        assert json.loads(run("info", ref, "--json").stdout)["ref"] == ref


def test_several_are_shown_and_the_absent_does_not_stop_them(run, store):
    blob = store.add(b"bytes")
    begin(store, "layer", b"x")
    done = run("info", ABSENT, blob.digest, "nothing", "layer", "--json")
    assert done.exit_code == 3
    assert [set(json.loads(line)) & {"digest", "ref"} for line in done.stdout.splitlines()] == [
        {"digest"},
        {"ref"},
    ]
    assert [line.split(": not found")[0] for line in done.stderr.splitlines()] == [
        f"lading: {ABSENT}",
        "lading: ingest 'nothing'",
    ]


def test_facts_of_several_are_kept_apart(run, store):
    digests = [store.add(data).digest for data in (b"a", b"b")]
    assert run("info", *digests).stdout.count("\n\n") == 1


def test_a_digest_with_a_slip_is_wrong_usage(run):
    done = run("info", "sha256:abc")
    assert done.exit_code == 2
    assert "not a digest: 'sha256:abc'" in done.stderr


def test_the_store_is_shown(run, store, root):
    done = run("info", "--store")
    assert done.exit_code == 0
    assert f"root:             {root}\nexists:           no\n" in done.stdout
    shown = json.loads(run("info", "--store", "--json").stdout)
    assert shown == {**store.facts(), "metadata": None, "namespace": "default"}


def test_the_store_is_shown_with_its_database(run, root, metadata):
    shown = json.loads(run("--namespace", "images", "info", "--store", "--json").stdout)
    assert (shown["metadata"], shown["namespace"]) == (f"sqlite:///{root}/metadata.db", "images")


def test_it_shows_the_store_or_something_in_it(run):
    assert run("info").exit_code == 2
    assert run("info", "--store", ABSENT).exit_code == 2
