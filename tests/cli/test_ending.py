"""`lading rm` and `lading abort`: what is gone, what is not, and which code that is."""

import io
import json

import pytest

from lading.cli.ending import end_each
from lading.cli.session import Session
from lading.errors import Aborted, DataLoss, PermissionDenied
from tests.conformance.samples import ABSENT, begin, digests_in, refs_in


def test_deleted_blobs_are_printed(run, store):
    one, two, kept = (store.add(data).digest for data in (b"1", b"2", b"3"))
    done = run("rm", one, two)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{one}\n{two}\n", "")
    assert digests_in(store) == [kept]


def test_aborted_ingests_are_printed(run, store):
    for ref in ("one", "two\n", "kept"):
        begin(store, ref, b"x")
    done = run("abort", "one", "two\n")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "one\ntwo\\n\n", "")
    assert refs_in(store) == ["kept"]


def test_an_ingest_is_ended_under_its_writer(run, store):
    with store.writer("r") as writer:
        writer.write(b"x")
        assert run("abort", "r").stdout == "r\n"
        with pytest.raises(Aborted):
            writer.commit()


def test_a_ref_that_looks_like_an_option_is_named_after_two_dashes(run, store):
    begin(store, "--all", b"x")
    assert run("abort", "--", "--all").exit_code == 0
    assert refs_in(store) == []


@pytest.mark.parametrize("verb", ["rm", "abort"])
def test_the_absent_is_exit_3_and_does_not_stop_the_rest(run, store, verb):
    digest = store.add(b"bytes").digest
    begin(store, digest, b"x")
    done = run(verb, ABSENT, digest)
    assert (done.exit_code, done.stdout) == (3, f"{digest}\n")
    assert "not found" in done.stderr


@pytest.mark.parametrize("verb", ["rm", "abort"])
def test_the_absent_can_be_ignored(run, verb):
    done = run(verb, ABSENT, "--ignore-missing")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("verb", ["rm", "abort"])
def test_it_ends_what_is_named_and_nothing_else(run, verb):
    done = run(verb)
    assert done.exit_code == 2
    assert "missing argument" in done.stderr


def test_one_bad_digest_deletes_nothing(run, store):
    digest = store.add(b"bytes").digest
    assert run("rm", digest, "sha256:abc").exit_code == 2
    assert digests_in(store) == [digest]


def test_json_says_of_each_what_came_of_it(run, store):
    digest = store.add(b"bytes").digest
    done = run("rm", "--json", ABSENT, digest)
    absent, gone = map(json.loads, done.stdout.splitlines())
    assert gone == {"digest": digest, "gone": True, "size": 5, "error": None}
    assert (absent["digest"], absent["gone"], absent["size"]) == (ABSENT, False, None)
    assert absent["error"].startswith(f"{ABSENT}: not found")


def test_what_is_gone_is_printed_before_the_next_one_is_touched(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed))
    before = []

    def end(name):
        before.append(printed.getvalue())
        return 1

    end_each(Session(), ["a", "b"], end, key="ref", as_json=False, ignore_missing=False)
    assert before == [b"", b"a\n"]


def test_json_has_a_ref_exactly(run, store):
    begin(store, "a\x1b\n", b"four")
    assert json.loads(run("abort", "--json", "a\x1b\n").stdout) == {
        "ref": "a\x1b\n",
        "gone": True,
        "size": 4,
        "error": None,
    }


def test_json_of_the_absent_that_is_ignored_has_no_error(run):
    shown = json.loads(run("rm", "--json", "--ignore-missing", ABSENT).stdout)
    assert shown == {"digest": ABSENT, "gone": False, "size": None, "error": None}


def test_the_worst_of_several_failures_is_the_exit_code(run, store, monkeypatch):
    failures = iter([PermissionDenied("blob", "no"), DataLoss("blob", "rotten")])

    def fail(self, digest):
        raise next(failures)

    monkeypatch.setattr(type(store), "blob", fail)
    monkeypatch.setattr(type(store), "delete", fail)
    done = run("rm", ABSENT, ABSENT)
    assert done.exit_code == 5
    assert done.stderr.count("\n") == 2


def test_a_root_that_is_containerds_is_not_touched(run, store, root):
    digest = store.add(b"bytes").digest
    database = root.parent / "io.containerd.metadata.v1.bolt"
    database.mkdir()
    (database / "meta.db").write_bytes(b"")
    done = run("rm", digest, "--ignore-missing")
    assert done.exit_code == 4
    assert "use a root of your own" in done.stderr
    assert digests_in(store) == [digest]
