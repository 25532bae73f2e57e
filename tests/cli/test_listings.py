"""`lading ls` and `lading active`: what there is, for people and for programs."""

import json
import os

import pytest

from lading.cli.listing import _ROWS_MEASURED, table
from tests.conformance.samples import begin, put


def aged(store, digest, seconds_ns):
    os.utime(store.path(digest), ns=(seconds_ns, seconds_ns))


def test_an_empty_root_lists_nothing_and_is_not_made(run, root):
    for verb, header in (("ls", "DIGEST SIZE AGE\n"), ("active", "REF SIZE TOTAL AGE\n")):
        done = run(verb)
        assert (done.exit_code, done.stdout, done.stderr) == (0, header, "")
        assert run(verb, "--json").stdout == ""
    assert not root.exists()


def test_blobs_are_rows_of_aligned_columns(run, store):
    digests = {store.add(b"small").digest, put(store, bytes(1_234_567), "sha512").digest}
    header, *rows = run("ls").stdout.splitlines()
    assert {row.split()[0] for row in rows} == digests
    column = header.index("SIZE")
    assert sorted(row[column:].split("  ")[0].split(" less")[0].strip() for row in rows) == [
        "1.235 MB",
        "5 B",
    ]
    assert all(row[header.index("AGE") :] == "less than a second" for row in rows)


def test_quiet_is_the_digests_alone(run, store):
    digests = [store.add(data).digest for data in (b"a", b"b")]
    assert sorted(run("ls", "-q").stdout.splitlines()) == sorted(digests)


def test_quiet_and_json_do_not_go_together(run):
    assert run("ls", "-q", "--json").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["--json"], ["--format", "json"], ["--format", "table", "--json"]]
)
def test_json_is_one_object_per_line(run, store, arguments):
    blob = store.add(b"bytes")
    aged(store, blob.digest, 1_700_000_000_123_456_789)
    (line,) = run("ls", *arguments).stdout.splitlines()
    assert json.loads(line) == {
        "digest": blob.digest,
        "size": 5,
        "created_at": "2023-11-14T22:13:20.123456789Z",
        "updated_at": "2023-11-14T22:13:20.123456789Z",
        "labels": {},
    }


def test_filters_choose_blobs_and_any_of_several_is_enough(run, store):
    one, two, _ = (store.add(data).digest for data in (b"1", b"2", b"3"))
    done = run("ls", "-q", f"digest=={one}", f"digest~=^{two}$")
    assert sorted(done.stdout.split()) == sorted([one, two])


@pytest.mark.parametrize("verb", ["ls", "active"])
def test_a_filter_that_is_none_is_wrong_usage_and_prints_no_header(run, verb):
    done = run(verb, "digest=")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("lading: filters: parse error")


def test_ingests_are_rows_of_aligned_columns(run, store):
    with store.writer("layer", total=2_000_000) as writer:
        writer.write(bytes(1500))
    begin(store, "a-much-longer-ref", b"")
    header, *rows = sorted(run("active").stdout.splitlines(), key=lambda row: row[0] != "R")
    assert header.split() == ["REF", "SIZE", "TOTAL", "AGE"]
    assert {row.split()[0]: row[header.index("SIZE") : header.index("AGE")] for row in rows} == {
        "layer": "1.5 kB 2 MB  ",
        "a-much-longer-ref": "0 B    -     ",
    }


def test_filters_choose_ingests(run, store):
    begin(store, "layer-1", b"")
    begin(store, "config", b"")
    done = run("active", "ref~=^layer", "--json")
    assert [json.loads(line)["ref"] for line in done.stdout.splitlines()] == ["layer-1"]


HOSTILE = "\x1b]0;owned\x07\x1b[2J\nDIGEST\t\u202e\x9b31m\u2028"


def test_a_hostile_ref_cannot_steer_a_terminal(run, store):
    begin(store, HOSTILE, b"")
    _, row = run("active").stdout.splitlines()
    assert row.startswith(r"\x1b]0;owned\x07\x1b[2J\nDIGEST\t\u202e\x9b31m\u2028 0 B")
    assert row.isprintable()


def test_a_hostile_ref_is_whole_in_json_and_still_ascii(run, store):
    begin(store, HOSTILE, b"")
    (line,) = run("active", "--json").stdout.splitlines()
    assert json.loads(line)["ref"] == HOSTILE
    assert line.isascii()
    assert line.isprintable()


def test_a_blob_from_beyond_the_calendar_does_not_stop_the_listing(run, store, monkeypatch):
    far = store.add(b"far")._replace(created_ns=2**63 - 1, updated_ns=-(2**63))
    monkeypatch.setattr(type(store), "blobs", lambda self, *filters: iter([far, far]))
    assert len(run("ls").stdout.splitlines()) == 3
    beyond = far._replace(created_ns=10**24)
    monkeypatch.setattr(type(store), "blobs", lambda self, *filters: iter([beyond]))
    assert json.loads(run("ls", "--json").stdout)["created_at"] is None


def test_a_stray_file_does_not_stop_the_listing(run, store, root):
    digest = store.add(b"bytes").digest
    (root / "blobs" / "sha256" / "junk").write_bytes(b"")
    (root / "ingest" / "junk").mkdir()
    assert run("ls", "-q").stdout == f"{digest}\n"
    assert run("active", "--json").stdout == ""


def test_a_table_shows_its_first_rows_before_it_has_its_last():
    asked = []

    def rows():
        for number in range(_ROWS_MEASURED):
            asked.append(number)
            yield ["x" * 10, str(number)]
        asked.append("more")
        yield ["y" * 20, "wide"]

    lines = table(["A", "B"], rows())
    assert next(lines) == "A          B"
    assert "more" not in asked
    *_, last = lines
    assert last == "y" * 20 + " wide"
