"""The scripts are programs that a plain `sh` can run."""

import os
import re
import subprocess

import pytest

from tests.architecture.pages import ROOT, repository_files

SCRIPTS = [path for path in repository_files() if path.parent == ROOT / "scripts"]
SHELL = [path for path in SCRIPTS if path.read_bytes().startswith(b"#!/bin/sh\n")]
CI = ROOT / ".ci" / "run"
NOT_POSIX = re.compile(
    r"\[\[|(?:^|;)\s*(?:local|function|source|declare|typeset)\s|pipefail|<<<|<\(|\$'|&>|=~",
    re.MULTILINE,
)


def name_of(path):
    return path.name


@pytest.mark.parametrize("script", [*SCRIPTS, CI], ids=name_of)
def test_a_script_can_be_started(script):
    assert script.read_bytes().startswith(b"#!")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SHELL, ids=name_of)
def test_a_script_is_posix_sh_that_stops_at_the_first_failure(script):
    text = script.read_text()
    assert subprocess.run(["/bin/sh", "-n", script], check=False).returncode == 0
    assert re.search(r"^set -eu$", text, re.MULTILINE)
    assert NOT_POSIX.findall(text) == []


def test_the_contributors_commands_are_here():
    assert {"check", "fix", "install", "test"} <= {path.name for path in SHELL}


def test_ci_runs_the_tests_and_nothing_else():
    commands = [line for line in CI.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec scripts/test"
    assert all(line.startswith(("set ", "cd ")) for line in commands[:-1])


@pytest.mark.slow
def test_the_demo_kills_an_ingest_and_a_pull_and_finishes_both(own_environment):
    ran = subprocess.run(
        [ROOT / "scripts" / "demo"],
        env=own_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^resumed, \d{9,} bytes are there already", ran.stderr, re.MULTILINE)
    assert "the same, byte for byte" in ran.stdout
    assert "./blobs/sha256/" in ran.stdout
    asked = re.search(r"asked for bytes=(\d+)-\d+.*; (\d+) bytes had been kept", ran.stdout)
    assert asked is not None, ran.stdout
    assert asked[1] == asked[2]
