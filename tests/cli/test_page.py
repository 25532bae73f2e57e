"""`docs/cli.md` is right: its schemas are what is printed, its codes and verbs are real."""

import io
import json
import re

import pytest

from lading import Digest
from lading.cli import transfers
from lading.cli.gc import _Line, _record
from lading.cli.outcome import Outcome
from lading.cli.program import VERBS
from lading.oci.progress import Waiting
from tests.architecture.pages import ROOT, rows
from tests.archives.building import archive
from tests.conformance.samples import ABSENT, begin
from tests.support.lying import lying
from tests.support.registry import image

PAGE = (ROOT / "docs" / "cli.md").read_text()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def is_digest(value):
    return isinstance(value, str) and Digest.parse(value) == value


TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "digest": is_digest,
    "time": lambda value: isinstance(value, str) and TIME.fullmatch(value),
    "object of strings": lambda value: (
        isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    ),
}


def section(heading):
    """The text under a heading, up to the next one."""
    (found,) = re.findall(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    return found


def schema(heading):
    """The fields of a kind of record, in their order, and the types that each may have."""
    return {field.strip("`"): kinds.split(" or ") for field, kinds, _ in rows(section(heading))}


def check(heading, line, *, without=()):
    record = json.loads(line)
    fields = {name: kinds for name, kinds in schema(heading).items() if name not in without}
    assert list(record) == list(fields)
    for name, kinds in fields.items():
        assert any(TYPES[kind](record[name]) for kind in kinds), (name, record[name])
    return record


def bad_blob(store):
    digest = store.add(b"good").digest
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(b"goof")
    return digest


def test_blobs_have_the_documented_form(run, store):
    digest = store.add(b"bytes").digest
    check("A blob", run("ls", "--json").stdout, without=["path"])
    check("A blob", run("info", digest, "--json").stdout)


def test_ingests_have_the_documented_form(run, store):
    begin(store, "unknown", b"bytes")
    with store.writer("known", total=5, expected=ABSENT):
        pass
    lines = run("active", "--json").stdout.splitlines()
    records = {record["ref"]: record for record in (check("An ingest", line) for line in lines)}
    assert records["unknown"]["total"] is records["unknown"]["expected"] is None
    assert (records["known"]["total"], records["known"]["expected"]) == (5, ABSENT)
    check("An ingest", run("info", "known", "--json").stdout)


def test_the_store_has_the_documented_form(run, root):
    check("The store", run("info", "--store", "--json").stdout)
    state = root.parent / "io.containerd.metadata.v1.bolt"
    state.mkdir()
    (state / "meta.db").write_bytes(b"")
    assert check("The store", run("info", "--store", "--json").stdout)["why_not_writable"]


def test_imported_images_have_the_documented_form(run):
    check("An imported image", run("import", "--json", stdin=archive()).stdout)


def test_what_is_gone_has_the_documented_form(run, store):
    digest = store.add(b"bytes").digest
    begin(store, "r", b"bytes")
    for heading, line in (
        ("A deleted blob", ["rm", digest, ABSENT]),
        ("An aborted ingest", ["abort", "r", "absent"]),
    ):
        gone, absent = run(*line, "--json").stdout.splitlines()
        assert check(heading, gone)["error"] is None
        assert check(heading, absent)["error"] is not None


def test_findings_have_the_documented_form(run, store, root):
    bad = bad_blob(store)
    (root / "blobs" / "stray").write_bytes(b"")
    *findings, total = run("verify", "--all", "--json").stdout.splitlines()
    missing, _ = run("verify", ABSENT, "--json").stdout.splitlines()
    records = [check("A finding", line) for line in [*findings, missing]]
    assert [record["kind"] for record in records] == ["bad", "stray", "missing"]
    assert records[0]["digest"] == bad
    check("The sum", total)
    for kind in (*(record["kind"] for record in records), "unread", "orphan"):
        assert f"`{kind}`" in section("A finding")


def test_what_a_namespace_has_has_the_documented_form(run):
    digest = run("--namespace", "default", "ingest", stdin=b"bytes").stdout.strip()
    check("A namespace", run("namespaces", "ls", "--json").stdout)
    check("A namespace", run("namespaces", "label", "other", "a=b", "--json").stdout)
    for words in (["create", "--id", "l"], ["renew", "l"], ["ls"]):
        check("A lease", run("leases", *words, "--json").stdout)
    forever = run("leases", "create", "--keep", "--json").stdout
    assert check("A lease", forever)["expires_at"] is None
    for words in (
        ["create", "a", digest],
        ["tag", "a", "b"],
        ["label", "a", "x=y"],
        ["ls", "name==a"],
    ):
        check("An image", run("images", *words, "--json").stdout)
    run("ingest", "--ref", "parts", "--keep-open", stdin=b"part")
    run("leases", "add", "l", digest, "--ref", "parts", "--image", "a")
    kinds = [
        check("A resource", line)["kind"]
        for line in run("leases", "resources", "l", "--json").stdout.splitlines()
    ]
    assert sorted(f"`{kind}`" for kind in kinds) == sorted(
        re.findall(r"`(?:content|ingests|images)`", section("A resource"))
    )
    check("What is gone", run("namespaces", "rm", "other", "--json").stdout)
    check("What is gone", run("images", "rm", "a", "--json").stdout)
    line = run("leases", "rm", "l", "--json").stdout
    check("What is gone", line.replace('"id"', '"name"'))


def test_a_collection_has_the_documented_form(run, store, metadata):
    keep = {"containerd.io/gc.root": "yes"}
    metadata.namespace("a").add(b"kept", labels=keep)
    metadata.namespace("b").add(b"loose")
    store.add(b"orphan")
    *lines, total = run("gc", "--dry-run", "--json").stdout.splitlines()
    records = [check("A line of the ledger", line) for line in lines]
    assert {(record["namespace"], record["goes"]) for record in records} == {
        ("a", False),
        ("b", True),
        (None, False),
    }
    check("The sum of the ledger", total)
    check("A collection", run("gc", "--json").stdout)


def test_an_idle_ingest_has_the_documented_form():
    line = _Line("ingest", "images", "stale", 4, goes=True, reason="idle")
    check("An idle ingest", json.dumps(_record(line)))


def test_a_rebuild_has_the_documented_form(run, store, metadata):
    kept = metadata.namespace("images").add(b"gone").digest
    store.path(kept).unlink()
    store.add(b"bytes")
    begin(store, "images/parts", b"part")
    begin(store, "x" * 600, b"part")
    *lines, total = run("metadata", "rebuild", "--json").stdout.splitlines()
    kinds = [check("An adoption", line)["kind"] for line in lines]
    assert sorted(kinds) == ["adopted", "missing", "orphan", "resumable"]
    check("The sum of a rebuild", total)


def test_what_a_registry_says_has_the_documented_form(run):
    with lying({"me/app:1": image({"a": b"bytes"})}) as registry:
        name = f"{registry.host}/me/app"
        check("A descriptor", run("resolve", name + ":1", "--json").stdout)
        check("A tag", run("tags", name, "--json").stdout)


@pytest.mark.parametrize("words", ["ingest {file}", "get {digest} -o {file}", "verify {digest}"])
def test_events_have_the_documented_form(run, store, tmp_path, words):
    file = tmp_path / "layer"
    file.write_bytes(b"layer")
    digest = store.add(b"bytes").digest
    line = words.format(file=file, digest=digest).split()
    done = run(*line, "--progress", "jsonl").stderr.splitlines()
    events = [check("An event", event) for event in done if event.startswith("{")]
    assert [event["event"] for event in events[:: len(events) - 1]] == ["begin", "end"]
    assert {event["verb"] for event in events} == {line[0]}
    assert events[-1]["digest"] == (Digest.of(b"layer") if line[0] == "ingest" else digest)


def test_an_ingest_that_starts_over_says_so_in_the_documented_form(run, store, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(b"layer")
    begin(store, "poisoned", b"LAY")
    words = ["ingest", file, "--ref", "poisoned", "--expected-digest", Digest.of(b"layer")]
    lines = run(*words, "--progress", "jsonl").stderr.splitlines()
    events = [check("An event", line) for line in lines]
    shown = [(event["event"], event["offset"]) for event in events if event["event"] != "progress"]
    assert shown == [("begin", 3), ("truncate", 0), ("end", 5)]


def test_events_of_many_blobs_have_the_documented_form(run):
    with lying({"me/app:1": image({"a": b"bytes"})}) as registry:
        name = f"{registry.host}/me/app:1"
        first = run("pull", name, "--progress", "jsonl").stderr.splitlines()
        second = run("pull", name, "--progress", "jsonl").stderr.splitlines()
    records = [check("An event of many blobs", line) for line in (*first, *second)]
    seen = {record["event"] for record in records}
    assert seen >= {"resolve", "plan", "begin", "end", "done", "found"}


def test_every_event_is_documented():
    documented = section("An event")
    for event in ("begin", "progress", "truncate", "end"):
        assert f"`{event}`" in documented
    documented = section("An event of many blobs")
    for event in (*transfers._EVENTS.values(), "done"):
        assert f"`{event}`" in documented


def test_an_event_of_a_wait_has_the_documented_form():
    stream = io.StringIO()
    with transfers._Events("pull", "redis", stream) as report:
        report(Waiting(None, 1.5, "reset"))
    event = check("An event of many blobs", stream.getvalue())
    assert (event["digest"], event["pause_ms"]) == (None, 1500)


def test_every_exit_code_is_documented_and_no_other():
    assert [int(code) for code, *_ in rows(section("Exit codes"))] == sorted(map(int, Outcome))


def test_every_verb_is_documented_in_its_order():
    table = rows(PAGE.partition("\n## ")[0].replace(r"\|", "/"))
    assert [name.strip("`").split()[0] for name, _ in table] == list(VERBS)
