"""What the command loads before it does anything, which is what its users wait for."""

import subprocess
import sys

import pytest

from lading.cli.program import _MODULES, VERBS

# Each costs milliseconds, and none is needed to list verbs or blobs.
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "ctypes",
    "email",
    "google.protobuf",
    "grpc",
    "http",
    "importlib.metadata",
    "json",
    "logging",
    "re2",
    "secrets",
    "shlex",
    "shutil",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "traceback",
    "unittest",
    "urllib3",
}

# Run in the way of an installed script, since `-m` loads modules of its own.
PROGRAM = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from lading.cli import main
sys.argv[0] = "lading"
main()
"""


def loaded(environment, *arguments):
    command = [sys.executable, "-S", "-c", PROGRAM, *arguments]
    site = [path for path in sys.path if path.endswith("site-packages")]
    path = ":".join([environment["PYTHONPATH"], *site])
    done = subprocess.run(
        command,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["ls"], ["ls", "-q"], ["active"]], ids=str)
def test_nothing_heavy_is_loaded(environment, store, arguments):
    store.add(b"bytes")
    modules = loaded(environment, *arguments)
    assert "click" in modules
    assert modules & HEAVY == set()


def test_the_overview_loads_no_verb_and_no_store(environment):
    modules = loaded(environment, "--help")
    assert modules & {f"lading.cli.{verb}" for verb in VERBS} == set()
    assert not any(name.startswith("lading.stores.local.") for name in modules)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_loads_no_other(environment, verb):
    names = {name: f"lading.cli.{_MODULES.get(name, name)}" for name in VERBS}
    modules = loaded(environment, verb, "--help")
    assert modules & set(names.values()) == {names[verb]}
    assert modules & {"urllib3", "grpc", "sqlalchemy"} == set()


def test_a_listing_loads_nothing_of_what_writes(environment, store):
    store.add(b"bytes")
    modules = loaded(environment, "ls")
    assert (
        modules & {"lading.stores.local.writer", "lading.model.hashing", "lading.cli.progress"}
        == set()
    )


def test_json_is_loaded_by_those_who_ask_for_it(environment, store):
    store.add(b"bytes")
    assert "json" in loaded(environment, "ls", "--json")


def test_a_listing_of_a_namespace_loads_no_sqlalchemy(environment, metadata):
    metadata.namespace("default").add(b"bytes")
    modules = loaded(environment, "ls")
    assert "sqlite3" in modules
    assert modules & {"sqlalchemy", "alembic", "psycopg"} == set()
