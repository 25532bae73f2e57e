"""The benchmarks run, from the command line to the table, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks.__main__ import GROUPS

from tests.support.peers import peer

ROOT = Path(__file__).parents[3]
WITHOUT_GO = ("reading", "listing", "startup", "memory")
WITH_CONTAINERD = ("service",)
WITH_PEERS = {
    "archives": ("skopeo",),
    "pulls": ("containerd", "ctr", "docker-registry", "openssl", "skopeo"),
    "pushes": ("containerd", "ctr", "docker-registry", "openssl", "skopeo"),
}
WITH_GO = tuple(name for name in GROUPS if name not in {*WITHOUT_GO, *WITH_CONTAINERD, *WITH_PEERS})
NEEDS_GO = pytest.mark.skipif(find_spec("go") is None, reason="needs the extra `bench`")
ROWS = {
    "ingest": 4,
    "resume": 2,
    "small": 4,
    "reading": 1,
    "listing": 1,
    "startup": 2,
    "memory": 2,
    "rows": 6,
    "collecting": 2,
    "service": 18,
    "archives": 2,
    "pulls": 13,
    "pushes": 3,
}
PATH = os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))


def command(*arguments):
    return [sys.executable, "-m", "benchmarks", *arguments]


def run(environment, *arguments):
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment | {"PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(WITHOUT_GO, id="without Go"),
        pytest.param(WITH_GO, id="with Go", marks=NEEDS_GO),
    ],
)
def test_a_trial_prints_every_row_and_judges_nobody(own_environment, tmp_path, names):
    done = run(own_environment, *names, "--quick", "--markdown", "--directory", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    heads, rule, *rows = done.stdout.partition("\n\n")[0].splitlines()
    assert heads == "| what | lading | rival | ratio (min to max) | target | met? |"
    assert set(rule) <= set("|-: ")
    assert len(rows) == sum(ROWS[name] for name in names)
    assert all(row.endswith("|  |") for row in rows)
    assert "A trial" in done.stdout
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
def test_a_trial_of_the_service_runs_both_servers_and_ends_them(own_environment, tmp_path):
    for name in ("containerd", "containerd's sources", "ctr", "go"):
        peer(name)
    done = run(own_environment, *WITH_CONTAINERD, "--quick", "--directory", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    _, *rows = done.stdout.partition("\n\n")[0].splitlines()
    assert len(rows) == ROWS["service"]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["archives", "pushes", pytest.param("pulls", marks=NEEDS_GO)])
def test_a_trial_against_peers_ends_with_its_rows(own_environment, tmp_path, name):
    for each in WITH_PEERS[name]:
        peer(each)
    done = run(own_environment, name, "--quick", "--directory", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    _, *rows = done.stdout.partition("\n\n")[0].splitlines()
    assert len(rows) == ROWS[name]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_nothing_behind(own_environment, tmp_path, number):
    arguments = command("memory", "--quick", "--directory", tmp_path / "work")
    with subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=own_environment | {"PYTHONPATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert "peak growth" in running.stderr.readline()  # its folder is made, its work begun
        assert list((tmp_path / "work").iterdir()) != []
        running.send_signal(number)
        said = running.communicate()[1]
    assert running.returncode == 130
    assert "interrupted; what was measured before" in said
    assert "Traceback" not in said
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rounds", "0"], "at least one round"),
        (["sprinting"], "there is no 'sprinting'; there is ingest, resume,"),
    ],
)
def test_a_wrong_usage_is_refused(own_environment, arguments, complaint):
    done = run(own_environment, *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
