"""A clock that stands still, and the catalog that goes by it."""

import pytest

from lading.metadata import Metadata
from lading.stores.local.store import LocalStore


class Clock:
    """Time as an argument. It moves when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, span) -> None:
        """Go on by a `timedelta`."""
        self.now_ns += int(span.total_seconds()) * 1_000_000_000


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of a database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/metadata.db"
    return request.getfixturevalue("emptied_postgresql")


@pytest.fixture
def content(tmp_path):
    """The content store under all namespaces."""
    return LocalStore(tmp_path / "root")


@pytest.fixture
def opened(url, content, clock):
    """Open the catalog; what is opened twice is as if two processes had it."""
    catalogs = []

    def open_catalog(**options):
        catalogs.append(Metadata(url, content=content, clock=clock, **options))
        return catalogs[-1]

    yield open_catalog
    for each in catalogs:
        each.close()


@pytest.fixture
def metadata(opened):
    return opened()


@pytest.fixture
def namespace(metadata):
    return metadata.namespace("images")
