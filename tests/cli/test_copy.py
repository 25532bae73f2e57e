"""`lading copy`: what it moves, what it prints, and how it ends."""

import json

import pytest

from tests.support.lies import Always, Status
from tests.support.lying import lying
from tests.support.registry import digest, image

MADE = image({"a": b"a" * 10_000}, {"b": b"b"})


@pytest.fixture(autouse=True)
def _nobody(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def source():
    with lying({"team/app:1": MADE}) as registry:
        yield registry


@pytest.fixture
def target():
    with lying() as registry:
        yield registry


@pytest.fixture
def copy(run):
    return lambda *words: run("copy", "--plain-http", *words)


def has_it(registry, repository, tag):
    return registry.manifests[repository][tag][1] == MADE.manifest and all(
        digest(layer) in registry.blobs[repository] for layer in MADE.layers
    )


def test_it_prints_where_the_copy_is(copy, source, target, root):
    done = copy(f"{source.host}/team/app:1", f"docker://{target.host}/other/app:2")
    assert (done.exit_code, done.stdout) == (0, f"{target.host}/other/app@{MADE.digest}\n")
    assert has_it(target, "other/app", "2")
    assert not root.exists()


def test_within_one_registry_nothing_is_moved(copy, source):
    done = copy(f"{source.host}/team/app:1", f"{source.host}/other/app:2", "--progress", "lines")
    assert done.exit_code == 0
    assert done.stderr.count("mounted sha256:") == 3
    assert has_it(source, "other/app", "2")


def test_progress_names_both_ends(copy, source, target):
    words = f"{source.host}/team/app:1", f"{target.host}/other/app:2"
    done = copy(*words, "--progress", "jsonl")
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["verb"], last["subject"]) == ("copy", " to ".join(words))


@pytest.mark.parametrize("kind", ["oci:folder:1", "oci-archive:a.tar", "docker-archive:a.tar"])
def test_archives_lead_to_their_own_verbs(copy, source, kind):
    done = copy(kind, f"{source.host}/team/app:1")
    assert done.exit_code == 2
    assert "lading import" in done.stderr
    done = copy(f"{source.host}/team/app:1", kind)
    assert done.exit_code == 2
    assert "lading export" in done.stderr


def test_what_is_not_there_is_exit_code_3(copy, source, target):
    done = copy(f"{source.host}/team/app:none", f"{target.host}/other/app:2")
    assert done.exit_code == 3
    assert "team/app:none" in done.stderr


def test_what_is_no_reference_is_exit_code_2(copy, source):
    assert copy(f"{source.host}/team/app:1", "UPPER CASE").exit_code == 2


def test_who_may_not_write_is_exit_code_4(copy, source, target):
    target.lie({"POST uploads": [Always(Status(403, "DENIED"))]})
    done = copy(f"{source.host}/team/app:1", f"{target.host}/other/app:2")
    assert done.exit_code == 4


def test_what_is_attached_comes_along_where_it_is_asked_for(copy, source, target):
    words = f"{source.host}/team/app:1", f"{target.host}/other/app:2"
    assert copy("--referrers", *words).exit_code == 0
    assert len(source.asked("referrers")) == 1
