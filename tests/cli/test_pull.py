"""`lading pull`: what it prints, where it puts things, and how it ends."""

import json
import re

import pytest

from lading import LocalStore
from lading.cli.quantities import size_text
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.oci.client import RegistryClient
from lading.oci.transport.patience import Patience
from tests.support.lies import Always, Cut, Status
from tests.support.lying import lying
from tests.support.registry import digest, image
from tests.support.served import served

MADE = image({"a": bytes(range(256)) * 2000}, {"b": b"b"})
LAYER = digest(MADE.layers[0])
SIZE = size_text(sum(map(len, MADE.blobs.values())))


@pytest.fixture
def registry(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with lying({"team/app:1": MADE}) as registry:
        yield registry


@pytest.fixture
def reference(registry):
    return f"{registry.host}/team/app:1"


@pytest.fixture
def pull(run, reference):
    return lambda *words: run("pull", "--plain-http", *words, reference)


def names(run):
    return [json.loads(line)["name"] for line in run("images", "ls", "--json").stdout.splitlines()]


def test_it_prints_the_repository_and_the_digest_alone(pull, run, registry, reference, store):
    done = pull()
    assert (done.exit_code, done.stdout) == (0, f"{registry.host}/team/app@{MADE.digest}\n")
    assert names(run) == [reference]
    assert all(store.read(Digest(name)) == data for name, data in MADE.blobs.items())


def test_what_it_printed_can_be_pulled(pull, run):
    printed = pull().stdout.strip()
    again = run("pull", "--plain-http", printed)
    assert again.stdout.strip() == printed
    assert names(run) == [*names(run)[:1], printed]


def test_it_may_be_named_otherwise_and_be_in_another_namespace(pull, run):
    assert pull("--namespace", "web", "--name", "app").exit_code == 0
    assert names(run) == []
    listed = run("--namespace", "web", "images", "ls", "--json").stdout
    assert json.loads(listed)["name"] == "app"


@pytest.mark.parametrize("mode", ["lines", "auto", "jsonl", "none", "bar"])
def test_progress_is_on_stderr(pull, mode):
    done = pull("--progress", mode)
    assert done.stdout.count("\n") == 1
    lines = done.stderr.splitlines()
    match mode:
        case "none":
            assert lines == []
        case "jsonl":
            events = [json.loads(line) for line in lines]
            assert [events[0]["event"], events[-1]["event"]] == ["resolve", "done"]
            assert events[-1]["moved"] == sum(map(len, MADE.blobs.values()))
        case _:
            last = lines[-1].rpartition("\x1b[J")[2]
            assert re.fullmatch(rf"pulled \S+/team/app:1: 4 blobs, {SIZE} in \S+ s", last)


def test_a_second_pull_says_that_all_was_there(pull):
    pull()
    assert pull().stderr.splitlines()[-1].endswith(f"4 blobs, {SIZE}, all there already")


def test_a_failed_pull_that_may_be_tried_again_says_how(pull, registry, reference, monkeypatch):
    registry.lie({LAYER: [Cut(300_000), Always(Status(503))]})
    _impatient(monkeypatch)
    done = pull("-j", "1", "--platform", "linux/amd64", "--name", "app")
    assert (done.exit_code, done.stdout) == (7, "")
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith(f"lading: {registry.host}: it answered 503")
    command = f"lading pull --name app --platform linux/amd64 --plain-http {reference}"
    assert re.search(rf"; 300(?:\.\d+)? kB of {SIZE} are here; go on with: {command}$", sentence)
    registry.lie({})
    again = pull("--name", "app")
    assert re.search(rf"; resumed: 300(?:\.\d+)? kB of {SIZE} were there$", again.stderr.strip())
    assert registry.asked(f"GET blobs {LAYER}")[-1].range.startswith("bytes=300000-")


def test_a_failed_pull_of_which_nothing_came_says_so(run, registry, monkeypatch):
    registry.lie({"HEAD manifests": [Always(Status(503))]})
    _impatient(monkeypatch)
    done = run("pull", "--plain-http", f"{registry.host}/team/app:1")
    assert done.exit_code == 7
    assert "; nothing was pulled yet; start over with: lading pull --plain-http " in done.stderr


@pytest.mark.parametrize(
    ("reference", "code", "sentence"),
    [
        ("{host}/team/app:2", 3, "manifest '{host}/team/app:2': not found; `lading tags` lists"),
        ("{host}/no/app:1", 3, "not found"),
        ("{host}/Team/app:1", 2, "a repository is in lower case"),
    ],
)
def test_what_will_not_go_away_is_said_without_advice_to_go_on(
    run, registry, reference, code, sentence
):
    done = run("pull", "--plain-http", reference.format(host=registry.host))
    assert done.exit_code == code
    assert sentence.format(host=registry.host) in done.stderr
    assert "go on with" not in done.stderr
    assert "start over" not in done.stderr


def test_what_there_is_not_makes_nothing(run, registry, root):
    assert run("pull", "--plain-http", f"{registry.host}/team/app:2").exit_code == 3
    assert not root.exists()


def test_wrong_bytes_are_exit_code_5(pull, registry):
    registry.blobs["team/app"][LAYER] = bytes(len(MADE.layers[0]))
    done = pull()
    assert done.exit_code == 5
    assert "unexpected commit digest" in done.stderr


@pytest.mark.parametrize(
    "words", [["--platform", "a/b/c/d"], ["-j", "0"], ["--streams", "0"], ["--progress", "x"]]
)
def test_wrong_usage_is_exit_code_2(pull, registry, words):
    assert pull(*words).exit_code == 2
    assert registry.log == []


def test_so_many_blobs_and_streams_as_were_asked_for(pull, monkeypatch):
    settings = {}
    made = RegistryClient.__init__

    def remember(self, **options):
        settings.update(options)
        made(self, **options)

    monkeypatch.setattr(RegistryClient, "__init__", remember)
    assert pull("-j", "3", "--streams", "2").exit_code == 0
    assert (settings["blobs_at_once"], settings["streams"]) == (3, 2)


def test_it_pulls_through_a_daemon(run, reference, tmp_path):
    content = LocalStore(tmp_path / "other")
    with (
        Metadata(f"sqlite:///{tmp_path}/other.db", content=content) as metadata,
        served(metadata, metadata.events, tmp_path / "s") as address,
    ):
        done = run("--address", address, "pull", "--plain-http", reference)
        assert done.exit_code == 0, done.stderr
        namespace = metadata.namespace("default")
        assert namespace.images.get(reference).target.digest == MADE.digest
        assert namespace.read(Digest(LAYER)) == MADE.layers[0]
        assert list(namespace.leases()) == []


def _impatient(monkeypatch):
    """Have the command not wait between its attempts."""
    monkeypatch.setattr(
        "lading.oci.client.Patience", lambda: Patience(attempts=2, sleep=lambda _: None)
    )
