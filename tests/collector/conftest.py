"""A store over a real database, with a clock that stands still until it is told to go on."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from lading.content.events import Events
from lading.database.schema import tables
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


class Databases:
    """Gives databases of one engine that have the tables of this code and no rows.

    On PostgreSQL it is the same one each time, emptied: whoever had it before has closed it. It
    waits for no disk there, since these tests are of the order of steps and of dead processes; of
    power cuts are others.
    """

    def __init__(self, engine, address):
        self.engine, self.address = engine, address

    def new(self, folder):
        """The address of one, whose files are in the folder if it has any."""
        if self.engine == "sqlite":
            return f"sqlite:///{shutil.copy(self.address, folder)}"
        with psycopg.connect(self.address) as connection:
            for table in reversed(tables.sorted_tables):
                connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - the schema's names
        return self.address


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request):
    if request.param == "sqlite":
        return Databases("sqlite", request.getfixturevalue("empty_database"))
    address = request.getfixturevalue("emptied_postgresql")
    return Databases("postgresql", f"{address}&options=-csynchronous_commit%3Doff")


@pytest.fixture
def quick_folder():
    """A folder in memory, where the system has such: for tests that make many stores."""
    memory = "/dev/shm"  # noqa: S108 - what is made there has a name of its own
    has_memory = os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if has_memory else None) as folder:
        yield Path(folder)


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
