"""`lading images`: names for blobs, which keep them."""

import json

import pytest

from lading import Digest
from tests.conformance.samples import ABSENT

BYTES = b"bytes"
DIGEST = Digest.of(BYTES)
ROOT = "containerd.io/gc.root"


@pytest.fixture
def blob(run):
    """A blob that nothing keeps but a name."""
    run("ingest", stdin=BYTES)
    run("label", DIGEST, f"{ROOT}=")
    run("namespaces", "label", "default", "a=b")
    return DIGEST


def listed(run, *words):
    return [json.loads(line) for line in run("images", "ls", *words, "--json").stdout.splitlines()]


def test_a_name_keeps_its_blob(run, metadata, blob):
    done = run("images", "create", "app:1", blob, "--media-type", "text/plain", "team=web")
    assert (done.exit_code, done.stdout) == (0, f"{blob}\n")
    run("gc")
    assert run("ls", "-q").stdout == f"{blob}\n"
    (image,) = listed(run)
    assert (image["name"], image["digest"], image["size"]) == ("app:1", blob, 5)
    assert (image["media_type"], image["labels"]) == ("text/plain", {"team": "web"})
    assert run("images", "rm", "app:1").stdout == "app:1\n"
    run("leases", "rm", "adopted")
    run("gc")
    assert run("ls", "-q").stdout == ""


def test_they_are_listed_for_people(run, blob):
    run("images", "create", "app:1", blob)
    header, row = run("images", "ls").stdout.splitlines()
    assert header.split() == ["IMAGE", "DIGEST", "SIZE", "AGE", "MEDIA", "TYPE"]
    assert row.split()[:4] == ["app:1", blob, "5", "B"]
    assert row.endswith("application/octet-stream")
    assert run("images", "ls", "-q").stdout == "app:1\n"


def test_filters_choose(run, blob):
    for name in ("app:1", "app:2", "web:1"):
        run("images", "create", name, blob)
    assert run("images", "ls", "-q", "name~=^app").stdout == "app:1\napp:2\n"
    assert run("images", "ls", "name=").exit_code == 2


def test_a_second_name_is_for_the_same_target(run, blob):
    run("images", "create", "app:1", blob, "--media-type", "text/plain", "team=web")
    assert run("images", "tag", "app:1", "app:latest").exit_code == 0
    one, latest = listed(run)
    for name in ("digest", "media_type", "size", "labels"):
        assert one[name] == latest[name]
    assert latest["name"] == "app:latest"


def test_a_taken_name_is_a_failure_unless_it_is_forced(run, blob):
    other = run("ingest", stdin=b"other").stdout.strip()
    run("images", "create", "app:1", blob)
    done = run("images", "create", "app:1", other)
    assert done.exit_code == 1
    assert "already exists; --force" in done.stderr
    assert listed(run)[0]["digest"] == blob
    assert run("images", "create", "app:1", other, "--force").exit_code == 0
    assert listed(run)[0]["digest"] == other
    run("images", "create", "app:2", blob, "--force")
    assert run("images", "tag", "app:2", "app:1").exit_code == 1
    assert run("images", "tag", "app:2", "app:1", "--force").exit_code == 0
    assert listed(run, "name==app:1")[0]["digest"] == blob


def test_labels_are_set_deleted_and_shown(run, blob):
    run("images", "create", "app:1", blob, "a=1")
    assert run("images", "label", "app:1", "b.c/d=2").stdout == "a=1\nb.c/d=2\n"
    assert run("images", "label", "app:1", "a=").stdout == "b.c/d=2\n"
    assert run("images", "label", "app:1").stdout == "b.c/d=2\n"
    assert run("images", "label", "app:1", "--replace", "c=3").stdout == "c=3\n"
    assert json.loads(run("images", "label", "app:1", "--json").stdout)["labels"] == {"c": "3"}


@pytest.mark.parametrize("there", [True, False], ids=["with a database", "without one"])
def test_what_is_not_here_is_exit_3(run, database, there):
    if there:
        run("namespaces", "label", "default", "a=b")
    for words in (["tag", "app:1", "app:2"], ["label", "app:1", "a=b"], ["rm", "app:1"]):
        done = run("images", *words)
        assert (done.exit_code, done.stdout) == (3, ""), words
        assert "image 'app:1': not found" in done.stderr
    assert database.exists() == there
    assert run("images", "create", "app:1", ABSENT).exit_code == 3
    assert run("images", "rm", "app:1", "--ignore-missing").exit_code == 0


def test_a_name_needs_letters(run, blob):
    assert run("images", "create", "", blob).exit_code == 2
    assert run("images", "create", "app:1", "blob").exit_code == 2
