import os

import pytest

from lading.stores.local.paths import StorePaths


@pytest.fixture
def folder(tmp_path):
    """A folder, opened."""
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


@pytest.fixture
def paths(tmp_path):
    """A root with its standing folders."""
    paths = StorePaths(tmp_path)
    for each in (paths.algorithm("sha256"), paths.ingests, paths.scratch):
        each.mkdir(parents=True)
    return paths
