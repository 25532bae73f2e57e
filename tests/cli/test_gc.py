"""`lading gc`: what goes, what stays, and what is told of either."""

import errno
import json
import os
import time

import pytest

from lading import Digest
from lading.errors import DiskFailed
from lading.metadata import Metadata
from lading.stores.local.store import LocalStore

ROOT = "containerd.io/gc.root"


def ledger(run):
    *lines, total = map(json.loads, run("gc", "--dry-run", "--json").stdout.splitlines())
    return lines, total


@pytest.fixture
def three(images):
    """A blob that is a root, one that it refers to, and one that nothing keeps."""
    kept, loose = images.add(b"kept").digest, images.add(b"loose one").digest
    labels = {ROOT: "yes", "containerd.io/gc.ref.content.l.0": kept}
    return images.add(b"a root", labels=labels).digest, kept, loose


def test_what_nothing_keeps_goes_and_the_rest_stays(run, images, three):
    root, kept, loose = three
    done = run("gc")
    assert (done.exit_code, done.stdout, done.stderr) == (
        0,
        "",
        "lading: freed 9 B of 1 blob, namespaces lost 1 blob\n",
    )
    assert {blob.digest for blob in images.blobs()} == {root, kept}
    assert loose not in images
    assert run("gc").stderr == "lading: freed 0 B of 0 blobs\n"


def test_a_dry_run_says_why_and_changes_nothing(run, images, three):
    root, kept, loose = three
    header, *rows = run("gc", "--dry-run").stdout.splitlines()
    assert header.split() == ["WHAT", "NAMESPACE", "NAME", "SIZE", "WHY"]
    told = {row.split()[2]: (row.split()[0], row.split("B ", 1)[1].strip()) for row in rows}
    assert told == {
        root: ("stays", "labelled as a root"),
        kept: ("stays", f"referred to from {root}: labelled as a root"),
        loose: ("goes", "nothing keeps it"),
    }
    assert len(list(images.blobs())) == 3


def test_the_ledger_sums_up_in_bytes(run, three):
    done = run("gc", "--dry-run")
    assert done.stderr == "lading: 1 blob (9 B) would go; 2 blobs (10 B) stay\n"
    lines, total = ledger(run)
    assert [line["goes"] for line in lines].count(True) == total["rows"] == 1
    assert total == {
        "kind": "summary",
        "blobs": 1,
        "bytes": 9,
        "rows": 1,
        "ingests": 0,
        "kept": 2,
        "kept_bytes": 10,
        "orphans": 0,
    }


def test_the_sums_come_true(run, metadata, three):
    # The same bytes are in a second namespace, where they are kept: the row goes, they stay.
    metadata.namespace("other").add(b"loose one", labels={ROOT: "yes"})
    metadata.namespace("images").add(b"loose as well")
    _, promised = ledger(run)
    kept = json.loads(run("gc", "--json").stdout)
    assert kept.pop("milliseconds") >= 0
    assert kept == {"kind": "collection"} | {
        name: promised[name] for name in ("blobs", "bytes", "rows", "ingests")
    }
    assert kept == {"kind": "collection", "blobs": 1, "bytes": 13, "rows": 2, "ingests": 0}


def test_what_was_deleted_from_its_namespace_is_told_to_go(run, images, three):
    _, _, loose = three
    images.delete(loose)
    lines, total = ledger(run)
    (line,) = [line for line in lines if line["digest"] == loose]
    assert (line["namespace"], line["goes"], line["size"]) == (None, True, 9)
    assert (total["blobs"], total["bytes"], total["rows"]) == (1, 9, 0)
    assert run("gc").stderr == "lading: freed 9 B of 1 blob\n"


def test_a_blob_that_no_namespace_has_is_told_and_left(run, store, three):
    orphan = store.add(b"orphan").digest
    lines, total = ledger(run)
    (line,) = [line for line in lines if line["namespace"] is None]
    assert (line["digest"], line["goes"]) == (orphan, False)
    assert "lading metadata rebuild" in line["reason"]
    assert total["orphans"] == 1
    assert run("gc", "--dry-run").stderr.endswith("1 orphan among them\n")
    run("gc")
    assert orphan in store


def test_an_ingest_that_nobody_goes_on_with_is_told_and_ended(run, root, database, metadata):
    two_days_ago = time.time_ns() - 2 * 24 * 3600 * 1_000_000_000
    content = LocalStore(root, clock=lambda: two_days_ago)
    with Metadata(f"sqlite:///{database}", content=content) as before:
        for ref in ("stale", "fresh"):
            with before.namespace("images").writer(ref) as writer:
                writer.write(b"part")
    for data in root.glob("ingest/*/data"):
        if (data.parent / "ref").read_text() == "images/stale":
            os.utime(data, ns=(two_days_ago, two_days_ago))
    (line,), total = ledger(run)
    assert (line["kind"], line["ref"], line["size"], line["goes"]) == ("ingest", "stale", 4, True)
    assert total["ingests"] == 1
    assert run("gc", "--dry-run").stderr.startswith("lading: 0 blobs (0 B) and 1 ingest would go")
    assert run("gc").stderr == "lading: freed 0 B of 0 blobs, ended 1 ingest\n"
    assert [ingest.ref for ingest in metadata.namespace("images").ingests()] == ["fresh"]


def test_what_is_stored_by_hand_stays_until_it_is_deleted(run, metadata):
    digest = run("ingest", stdin=b"bytes").stdout.strip()
    assert digest == Digest.of(b"bytes")
    run("gc")
    assert run("ls", "-q").stdout == f"{digest}\n"
    run("rm", digest)
    run("gc")
    assert run("ls", "-q").stdout == ""


def test_what_is_stored_again_by_hand_stays_as_well(run, metadata):
    metadata.namespace("default").add(b"bytes")
    run("ingest", stdin=b"bytes")
    assert run("gc").stderr == "lading: freed 0 B of 0 blobs\n"


def test_what_cannot_be_deleted_is_told_and_is_exit_7(run, images, three, monkeypatch):
    def fail(self, digest):
        raise DiskFailed(digest, OSError(errno.EIO, "Input/output error"))

    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "delete", fail)
        done = run("gc")
    assert done.exit_code == 7
    assert "the next collection tries again" in done.stderr
    assert run("gc").stderr == "lading: freed 9 B of 1 blob\n"


def test_a_collection_that_runs_is_exit_7(run, metadata, three):
    with metadata.database.hold("collector"):
        done = run("gc")
    assert done.exit_code == 7


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--json"], ["--dry-run", "--json"]])
def test_a_root_without_a_database_has_nothing_to_collect(run, store, words):
    digest = store.add(b"bytes").digest
    done = run("gc", *words)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "lading: this root has no metadata, so that nothing in it is collected\n"
    assert digest in store
