"""The command, run in this process or as one of its own."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

import lading
from lading import LocalStore
from lading.cli.program import program
from lading.metadata import Metadata

COMMAND = [sys.executable, "-m", "lading.cli"]
SOURCE = str(Path(lading.__file__).parents[1])


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def store(root):
    return LocalStore(root)


@pytest.fixture
def database(root):
    """Where a root's database is, once it is made."""
    return root / "metadata.db"


@pytest.fixture
def metadata(database, store):
    """The metadata of the root. Asking for it makes the database."""
    with Metadata(f"sqlite:///{database}", content=store) as opened:
        yield opened


@pytest.fixture
def images(metadata):
    """A namespace of the root."""
    return metadata.namespace("images")


@pytest.fixture
def run(root, monkeypatch):
    """Run a command line in this process, on the test's own root."""
    for name in ("ROOT", "ADDRESS", "PROGRESS", "NAMESPACE", "METADATA", "LEASE"):
        monkeypatch.delenv(f"LADING_{name}", raising=False)
    for name in ("COLUMNS", "CONTAINERD_ADDRESS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LADING_ROOT", str(root))

    def run_it(*arguments, stdin=b""):
        words = [os.fspath(word) for word in arguments]
        return CliRunner().invoke(program, words, input=stdin, catch_exceptions=False)

    return run_it


@pytest.fixture
def environment(own_environment, root):
    """An environment for real processes, with the package that is tested and the test's root."""
    return own_environment | {"LADING_ROOT": str(root), "PYTHONPATH": SOURCE}


@pytest.fixture
def start(environment, tmp_path):
    """Start a real `lading`; what is still running when the test ends is killed."""
    with ExitStack() as stack:

        def start_it(*arguments, **settings):
            settings = {
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "bufsize": 0,
                "env": environment,
                "cwd": tmp_path,
            } | settings
            words = [os.fspath(word) for word in arguments]
            process = stack.enter_context(subprocess.Popen([*COMMAND, *words], **settings))
            stack.callback(process.kill)
            return process

        yield start_it
