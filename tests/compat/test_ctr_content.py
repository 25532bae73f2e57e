"""Stock `ctr` says of lading what it says of containerd: content, leases and namespaces.

Each command runs twice, and what it answers is compared. What differs is in docs/service.md.
"""

import subprocess

import pytest

from tests.compat.ctr import normal
from tests.support.registry import digest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ctr")]

HELLO = b"hello, world\n"
WORLD = b"world, hello\n"
ABSENT = digest(b"absent")


def test_content_that_was_ingested_is_listed_and_read(both):
    first, second = both.add(HELLO), both.add(WORLD)
    assert both("content", "get", first).out.encode() == HELLO
    assert both("content", "get", second).out.encode() == WORLD
    assert len(both("content", "ls").out.splitlines()) == 3
    assert set(both("content", "ls", "-q").out.split()) == {first, second}
    assert both("content", "ls", "-q", f"digest=={first}").out.split() == [first]
    assert both("content", "ls", "-q", "labels.none").out == ""


def test_nothing_in_a_namespace_is_a_bare_heading(both):
    for verb in (("content", "ls"), ("content", "active"), ("images", "ls"), ("leases", "ls")):
        assert len(both(*verb).out.splitlines()) == 1


@pytest.mark.parametrize("data", [b"", b"a", HELLO * 500_000], ids=["empty", "byte", "6 MB"])
def test_an_ingest_may_say_what_it_expects(both, data):
    expected = ("--expected-digest", digest(data), "--expected-size", len(data))
    assert both("content", "ingest", *expected, "whole", data=data).code == 0
    assert both("content", "ingest", *expected, "whole", data=data).code == 0
    for server in (both.theirs, both.ours):
        got = subprocess.run(
            server.command("content", "get", digest(data), namespace=both.namespace),
            capture_output=True,
            check=True,
        )
        assert got.stdout == data


def test_an_ingest_of_something_else_is_refused_and_kept(both):
    assert both("content", "ingest", "--expected-digest", ABSENT, "a", data=HELLO).code == 1
    assert both("content", "ingest", "--expected-size", "99", "b", data=HELLO).code == 1
    assert len(both("content", "active").out.splitlines()) == 3
    assert len(both("content", "active", "ref==a").out.splitlines()) == 2
    assert both("content", "active", "a-b").code == 1
    # containerd forgets what was expected; here it belongs to the ingest until that is aborted.
    theirs, ours = both.each("content", "ingest", "a", data=HELLO)
    assert (theirs.code, ours.code, ours.condition) == (0, 1, "failed precondition")
    expected = ("--expected-size", "99")
    assert both("content", "ingest", *expected, "b", data=HELLO * 7 + b"12345678").code == 0


def test_an_ingest_that_is_longer_than_it_said_keeps_nothing_past_that_and_containerds_all(both):
    for said in both.each("content", "ingest", "--expected-size", "5", "a", data=HELLO):
        assert (said.code, said.condition) == (1, "failed precondition")
    theirs, ours = both.each("content", "active")
    assert normal(theirs.out)[1:] == ["a\t13B\tAGE"]
    assert normal(ours.out)[1:] == ["a\t0B\tAGE"]


def test_an_ingest_that_is_killed_goes_on_where_it_was(both):
    for server in (both.theirs, both.ours):
        half = subprocess.Popen(
            server.command("content", "ingest", "half", namespace=both.namespace),
            stdin=subprocess.PIPE,
        )
        half.stdin.write(HELLO * 400_000)
        half.stdin.flush()
        while "half" not in server("content", "active", namespace=both.namespace).out:
            assert half.poll() is None
        half.kill()
        half.wait()
        half.stdin.close()
        assert "half" in server("content", "active", namespace=both.namespace).out
    assert both("content", "ingest", "half", data=HELLO * 500_000).code == 0
    assert both("content", "ls", "-q").out.split() == [digest(HELLO * 500_000)]


def test_labels_are_set_shown_and_taken_away(both):
    blob = both.add(HELLO)
    both("content", "label", blob, "team=web", "stage=one")
    assert both("content", "label", blob).out.strip()
    assert both("content", "ls", "-q", "labels.team==web").out.split() == [blob]
    both("content", "label", blob, "team=")
    both("content", "ls")
    assert both("content", "ls", "-q", "labels.team==web").out == ""
    assert both("content", "label", blob, f"long={'x' * 5_000}").code == 1
    assert both("content", "label", ABSENT, "a=b").code == 1
    both("content", "ls")


def test_content_is_deleted(both):
    first, second = both.add(HELLO), both.add(WORLD)
    assert both("content", "rm", first).out.split() == [first]
    assert both("content", "ls", "-q").out.split() == [second]
    assert both("content", "rm", ABSENT).code == 0
    assert both("content", "rm", "nonsense", second).code == 1
    assert both("content", "ls", "-q").out == ""


@pytest.mark.parametrize("name", [ABSENT, "nonsense", "sha256:zz"], ids=["absent", "text", "short"])
def test_what_is_not_there_cannot_be_read(both, name):
    assert both("content", "get", name).code == 1


@pytest.mark.parametrize("filter_", ["labels.a==", "x=1", "a b", 'labels."a', "digest~=x"])
def test_a_filter_means_the_same(both, filter_):
    both.add(HELLO)
    both("content", "ls", filter_)


def test_a_bad_regular_expression_matches_nothing_there_and_is_refused_here(both):
    both.add(HELLO)
    theirs, ours = both.each("content", "ls", "-q", "digest~=[")
    assert (theirs.code, theirs.out) == (0, "")
    assert (ours.code, ours.condition) == (1, "invalid argument")


def test_a_blob_is_edited(both, tmp_path):
    blob = both.add(HELLO)
    editor = tmp_path / "editor"
    # In place: `ctr` holds the file open, and would not see another one under its name.
    editor.write_text('#!/bin/sh\nprintf edited >>"$1"\n')
    editor.chmod(0o755)
    edited = both("content", "edit", "--editor", editor, blob)
    assert edited.code == 0, edited
    assert edited.out.split() == [digest(HELLO + b"edited")]


@pytest.mark.parametrize("name", ["-", "a/b", "x" * 77])
def test_a_bad_namespace_is_refused(both, name):
    assert both("content", "ls", namespace=name).code == 1
    assert both("content", "ingest", "a", data=HELLO, namespace=name).code == 1


def test_a_lease_keeps_what_nothing_else_keeps_until_it_is_deleted(both):
    blob = both.add(HELLO)
    both("leases", "create", "--id", "first", "--expires", "1h", "team=web")
    both("leases", "create", "--id", "second", "--expires", "0")
    both("leases", "ls")
    both("leases", "ls", "-q")
    both("leases", "ls", "-q", "id==second")
    both("leases", "ls", "-q", "labels.team==web")
    assert both("leases", "create", "--id", "first").code == 1
    both("content", "label", blob, "containerd.io/gc.root=now")
    assert both("leases", "rm", "--sync", "first").code == 0
    assert both("content", "ls", "-q").out.split() == [blob]
    both("content", "label", blob, "containerd.io/gc.root=")
    assert both("leases", "rm", "--sync", "second").code == 0
    assert both("content", "ls", "-q").out == ""
    assert both("leases", "rm", "first").code == both("leases", "rm", "absent").code
    both("leases", "ls")


def test_a_lease_without_an_id_is_given_one(both):
    for said in both.each("leases", "create"):
        assert said.code == 0
        assert said.out.strip()
    assert len(both.ours("leases", "ls", "-q", namespace=both.namespace).out.split()) == 1


def test_namespaces_are_made_labelled_listed_and_removed(both):
    def listed():
        found = both.each("namespaces", "ls")
        theirs, ours = ([n for n in normal(said.out) if n.startswith("ns-")] for said in found)
        assert ours == theirs
        return ours

    both("namespaces", "create", "ns-made", "team=web", "stage=one")
    assert both("namespaces", "create", "ns-made").code == 1
    assert listed() == ["ns-made\tstage=one,team=web"]
    both("namespaces", "label", "ns-made", "team=", "stage=two")
    assert listed() == ["ns-made\tstage=two"]
    assert both("namespaces", "create", "ns/bad").code == 1

    both("content", "ingest", "a", data=HELLO, namespace="ns-made")
    refused = both.each("namespaces", "rm", "ns-made")
    assert [said.code for said in refused] == [1, 1]
    both("content", "rm", digest(HELLO), namespace="ns-made")
    assert both("namespaces", "rm", "ns-made").code == 0
    assert listed() == []
    both("namespaces", "rm", "ns-made")


def test_a_version_and_the_services_are_told(both):
    for said in both.each("version"):
        assert said.code == 0
        assert "Server:" in said.out
        assert "UUID:" in said.out
    theirs, ours = both.each("plugins", "ls")
    assert ours.code == theirs.code == 0
    theirs, ours = (
        {tuple(row.split("\t")[:2]) for row in normal(said.out)} for said in (theirs, ours)
    )
    assert ours - theirs == {("io.containerd.metadata.v1", "lading")}
