"""The front door is light, and its names are the ones that were chosen."""

import subprocess
import sys

import lading
from tests.architecture.pages import SOURCE

PUBLIC_NAMES = [
    "Aborted",
    "AlreadyExists",
    "Blob",
    "ContentStore",
    "DataLoss",
    "Digest",
    "DigestMismatch",
    "Error",
    "Ingest",
    "LocalStore",
    "NotFound",
    "RefLocked",
    "ResourceExhausted",
    "SizeMismatch",
    "Writer",
    "ingest",
    "verify",
]

# Each costs a start several milliseconds, or more, and none has to do with storing bytes.
HEAVY = {"asyncio", "ctypes", "email", "http", "logging", "sqlite3", "ssl", "unittest"}

# What a program that only reads loads: first by the import, then by a look into a store.
READING = """
import sys
sys.path.insert(0, sys.argv[1])
import lading
print(*sys.modules)
store = lading.LocalStore(sys.argv[2])
assert list(store.blobs()) == list(store.ingests()) == []
print(*sys.modules)
"""
WRITING = READING + "assert store.read(store.add(b'bytes').digest) == b'bytes'; print(*sys.modules)"


def loaded_by(program, root):
    """The modules' top-level names, as each `print` of the program saw them.

    The interpreter is isolated and has no site-packages: an import of somebody else's package is
    an error there, not only an entry in a list.
    """
    command = [sys.executable, "-I", "-S", "-c", program, SOURCE.parent, root]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [{name.partition(".")[0] for name in line.split()} for line in run.stdout.splitlines()]


def test_the_front_door_and_the_local_store_need_the_standard_library_only(tmp_path):
    for loaded in loaded_by(WRITING, tmp_path):
        assert loaded - set(sys.stdlib_module_names) == {"__main__", "lading"}


def test_importing_and_reading_load_nothing_heavy(tmp_path):
    imported, reading = loaded_by(READING, tmp_path)
    assert imported & HEAVY == set()
    assert reading & HEAVY == set()


def test_the_public_names_are_the_listed_ones():
    assert lading.__all__ == PUBLIC_NAMES


def test_the_public_names_are_sorted_and_real():
    assert lading.__all__ == sorted(set(lading.__all__))
    assert [name for name in lading.__all__ if not hasattr(lading, name)] == []


def test_nothing_else_of_ours_can_be_seen_through_the_front_door():
    seen = {name: getattr(lading, name) for name in dir(lading) if not name.startswith("_")}
    ours = {
        name
        for name, value in seen.items()
        if getattr(value, "__module__", "").startswith("lading.")  # which a module has not
    }
    assert ours <= set(PUBLIC_NAMES)
    assert len(ours) > len(PUBLIC_NAMES) / 2
