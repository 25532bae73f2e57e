"""The options that every verb has: where they may stand, and which of them counts."""

import importlib.metadata

import pytest

from lading import LocalStore
from lading.cli.program import VERBS
from lading.cli.session import root_of
from tests.conformance.samples import ABSENT

DIGEST = "sha256:98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"


@pytest.fixture
def other(tmp_path):
    """A root with one blob, which is not the one that the environment names."""
    root = tmp_path / "other"
    LocalStore(root).add(b"hi\n")
    return root


@pytest.mark.parametrize(
    "words",
    [
        ["--root", "{other}", "ls", "-q"],
        ["ls", "-q", "--root", "{other}"],
        ["ls", "--root={other}", "-q"],
        ["--root", "{root}", "ls", "-q", "--root", "{other}"],
    ],
)
def test_the_root_may_stand_before_or_after_the_verb_and_the_last_one_counts(
    run, root, other, words
):
    done = run(*(word.format(root=root, other=other) for word in words))
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")


def test_without_the_option_the_environment_counts(run, other, monkeypatch):
    assert run("ls", "-q").stdout == ""
    monkeypatch.setenv("LADING_ROOT", str(other))
    assert run("ls", "-q").stdout == f"{DIGEST}\n"


@pytest.mark.parametrize("words", [["--root", "", "ls"], ["ls", "--root", ""]])
def test_a_root_without_a_name_is_wrong_usage(run, words):
    done = run(*words)
    assert done.exit_code == 2
    assert "lading: --root: a root needs a name" in done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "/home/me/.local/share/lading"),
        ({"XDG_DATA_HOME": "/data"}, "/data/lading"),
        ({"XDG_DATA_HOME": "data"}, "/home/me/.local/share/lading"),
        ({"XDG_DATA_HOME": ""}, "/home/me/.local/share/lading"),
        ({"XDG_DATA_HOME": "/data", "LADING_ROOT": "here"}, "here"),
        ({"LADING_ROOT": ""}, "/home/me/.local/share/lading"),
    ],
)
def test_the_default_root_is_in_the_users_data(monkeypatch, environment, expected):
    monkeypatch.setenv("HOME", "/home/me")
    assert root_of(None, environment) == expected
    assert root_of("given", environment) == "given"


@pytest.mark.parametrize("words", [["--debug", "get", ABSENT], ["get", ABSENT, "--debug"]])
def test_debug_shows_a_traceback_before_the_sentence(run, words):
    done = run(*words)
    assert done.exit_code == 3
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1].startswith(f"lading: {ABSENT}: not found")


def test_without_debug_there_is_the_sentence_alone(run):
    assert run("get", ABSENT).stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_in_the_words_of_the_overview(run, verb, option):
    done = run(verb, option)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: lading {verb} ")
    # The listing does not load the verbs, so that it has to say the same by itself.
    first = done.stdout.split("\n\n")[1]
    assert " ".join(first.split()) == VERBS[verb]
    for name in ("--root", "--debug", "--help"):
        assert name in done.stdout


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_overview_names_every_verb_in_its_order(run, option):
    done = run(option)
    assert done.exit_code == 0
    listed = done.stdout.partition("Verbs:\n")[2].splitlines()[: len(VERBS)]
    assert [line.split(None, 1) for line in listed] == [list(verb) for verb in VERBS.items()]


def test_help_fits_a_narrow_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    for words in ([], *([verb] for verb in VERBS)):
        lines = run(*words, "--help").stdout.splitlines()
        assert max(map(len, lines)) <= 44
    monkeypatch.setenv("COLUMNS", "1")
    assert run("--help").exit_code == 0


def test_nothing_to_do_is_wrong_usage_and_shows_the_overview(run):
    done = run()
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == run("--help").stdout


def test_an_unknown_verb_is_wrong_usage_and_a_near_one_is_named(run):
    done = run("verfy")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "lading: there is no verb 'verfy', did you mean 'verify'?; see `lading --help`\n"
    )
    assert run("xyz").stderr == "lading: there is no verb 'xyz'; see `lading --help`\n"


def test_an_unknown_option_is_wrong_usage(run):
    for words, help_ in ((["ls", "--xyz"], "lading ls --help"), (["--xyz"], "lading --help")):
        done = run(*words)
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert f"see `{help_}`" in done.stderr


def test_the_version_is_the_packages(run, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name} 1.2")
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, "lading lading 1.2\n")
