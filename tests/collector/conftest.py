"""A store over a real database, with a clock that stands still until it is told to go on."""

import shutil

import pytest

from lading.content.events import Events
from lading.metadata.catalog import Metadata
from lading.metadata.collector import Collector
from lading.stores.local.store import LocalStore
from tests.collector.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def content(tmp_path, clock):
    return LocalStore(tmp_path / "root", clock=clock)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A file with the tables, made once: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "metadata.db"
    Metadata(f"sqlite:///{path}", content=LocalStore(path.parent / "root")).close()
    return path


@pytest.fixture
def metadata(tmp_path, content, clock, empty_database):
    url = f"sqlite:///{shutil.copy(empty_database, tmp_path)}"
    with Metadata(url, content=content, clock=clock) as metadata:
        yield metadata


@pytest.fixture
def namespace(metadata):
    return metadata.namespace("images")


@pytest.fixture
def collector(metadata, content, clock, events):
    return Collector(metadata.database, content, clock, events)
