import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
LIMIT = 64 << 20


@pytest.fixture
def folder(tmp_path):
    """A folder that is gone after the test, and not kept with those of the last runs."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def growth(folder, *deeds):
    """By how much a process had grown, at its peak, after each deed."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.memory.eating",
            folder / "root",
            folder / "source",
            *deeds,
        ],
        cwd=TREE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    grown = {name: int(size) for name, size in map(str.split, ran.stdout.splitlines())}
    assert list(grown) == list(deeds)
    return grown


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ingest_blocks", "ingest_file", "ingest_pipe"])
def test_a_gibibyte_is_ingested_and_read_in_64_mib(way, folder):
    grown = growth(folder, way, "read_blobs")
    assert {name: size for name, size in grown.items() if size > LIMIT} == {}


@pytest.mark.slow
def test_twenty_thousand_blobs_are_added_and_listed_in_64_mib(folder):
    grown = growth(folder, "add_many", "list_many")
    assert {name: size for name, size in grown.items() if size > LIMIT} == {}
