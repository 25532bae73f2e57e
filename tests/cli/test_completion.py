"""`lading completion`: scripts that a shell takes, and that then complete."""

import shutil
import subprocess

import pytest

from tests.cli.conftest import COMMAND


@pytest.mark.parametrize(
    ("shell", "needed"),
    [
        ("bash", "complete -o nosort -F _lading_completion lading"),
        ("zsh", "compdef _lading_completion lading"),
        ("fish", "complete --no-files --command lading"),
    ],
)
def test_a_shell_gets_its_script(run, shell, needed):
    done = run("completion", shell)
    assert (done.exit_code, done.stderr) == (0, "")
    assert needed in done.stdout
    assert "_LADING_COMPLETE" in done.stdout


def test_another_shell_is_wrong_usage(run):
    assert run("completion", "tcsh").exit_code == 2
    assert run("completion").exit_code == 2


def completed(environment, shell, words, number):
    asked = {"_LADING_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": number}
    done = subprocess.run(COMMAND, env=environment | asked, capture_output=True, check=False)
    return done.stdout.decode().splitlines()


def test_verbs_and_options_are_completed(environment):
    assert completed(environment, "bash", "lading in", "1") == ["plain,ingest", "plain,info"]
    assert completed(environment, "bash", "lading ls --f", "2") == ["plain,--format"]
    assert completed(environment, "bash", "lading --ro", "1") == ["plain,--root"]
    assert completed(environment, "bash", "lading ls --format ", "3") == [
        "plain,table",
        "plain,json",
    ]
    assert completed(environment, "bash", "lading ingest ", "2") == ["file,"]
    assert completed(environment, "bash", "lading leases re", "2") == [
        "plain,renew",
        "plain,resources",
    ]
    assert completed(environment, "bash", "lading images create --me", "3") == [
        "plain,--media-type",
        "plain,--metadata",
    ]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_a_verb(run, environment, tmp_path):
    command = tmp_path / "bin" / "lading"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {COMMAND[0]} -m lading.cli "$@"\n')
    command.chmod(0o755)
    script = f"""{run("completion", "bash").stdout}
        COMP_WORDS=(lading acti) COMP_CWORD=1
        _lading_completion lading
        echo "${{COMPREPLY[@]}}"
    """
    path = f"{command.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],  # noqa: S607 - whichever bash the user has
        env=environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "active\n"
