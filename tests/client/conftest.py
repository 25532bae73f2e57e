"""A server of this process and a client of it."""

from typing import NamedTuple

import pytest

from lading.metadata import Metadata
from lading.rpc.client import RemoteStore
from lading.stores.local.store import LocalStore
from tests.support.served import served


class Service(NamedTuple):
    """A server that runs, and what it serves."""

    address: str
    catalog: Metadata


@pytest.fixture
def catalog(tmp_path):
    content = LocalStore(tmp_path / "root")
    with Metadata(f"sqlite:///{tmp_path}/metadata.db", content=content) as catalog:
        yield catalog


@pytest.fixture
def service(catalog, tmp_path):
    with served(catalog, catalog.events, tmp_path / "s") as address:
        yield Service(address, catalog)


@pytest.fixture
def store(service):
    store = RemoteStore(service.address)
    yield store
    store.close()
