"""`lading tags`: the tags of a repository."""

import json

import pytest

from tests.support.lies import Status
from tests.support.lying import lying
from tests.support.registry import image

MADE = image({"a.txt": b"bytes"})
TAGS = ["1", "2.0", "latest"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home with nobody's files."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "LADING_HOSTS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def registry():
    with lying({f"me/app:{tag}": MADE for tag in TAGS}) as running:
        yield running


def test_the_tags_are_listed_one_a_line(run, registry):
    done = run("tags", f"{registry.host}/me/app")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "1\n2.0\nlatest\n", "")


def test_a_program_gets_the_references(run, registry):
    done = run("tags", f"docker://{registry.host}/me/app", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"reference": f"{registry.host}/me/app:{tag}", "tag": tag} for tag in TAGS
    ]


@pytest.mark.parametrize("end", [":1", ":latest", "@" + MADE.digest])
def test_one_image_is_no_repository(run, registry, end):
    done = run("tags", f"{registry.host}/me/app{end}")
    assert done.exit_code == 2
    assert done.stderr.endswith(f"write the repository alone: {registry.host}/me/app\n")
    assert registry.asked() == []


def test_a_repository_that_is_not_there_is_exit_3(run, registry):
    registry.lie({"GET tags": [Status(404, "NAME_UNKNOWN", "no such repository")]})
    done = run("tags", f"{registry.host}/me/none")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == f"lading: repository '{registry.host}/me/none': not found\n"


def test_what_a_registry_calls_a_tag_cannot_steer_a_terminal(run, registry):
    body = json.dumps({"tags": ["a\x1b[2J\nb"]}).encode()
    registry.lie({"GET tags": [Status(200, body=body)]})
    assert run("tags", f"{registry.host}/me/app").stdout == "a\\x1b[2J\\nb\n"
