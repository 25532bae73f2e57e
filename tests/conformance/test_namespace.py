import pytest

from lading.metadata import Metadata
from lading.stores.local.store import LocalStore
from tests.conformance.aborting import AbortingContract
from tests.conformance.adding import AddingContract
from tests.conformance.committing import CommittingContract
from tests.conformance.contract import StoreContract
from tests.conformance.labels import LabelContract
from tests.conformance.listing import ListingContract
from tests.conformance.locking import LockingContract
from tests.conformance.racing import RacingContract
from tests.conformance.reading import ReadingContract


class NamespaceStores:
    """The stores that the suite asks for, over the database at `url`."""

    @pytest.fixture
    def url(self):
        """The address of a database."""
        raise NotImplementedError

    @pytest.fixture
    def metadata(self, url, tmp_path):
        with Metadata(url, content=LocalStore(tmp_path / "root")) as metadata:
            yield metadata

    @pytest.fixture
    def store(self, metadata):
        return metadata.namespace("images")

    @pytest.fixture
    def twin(self, url, tmp_path, store):
        with Metadata(url, content=LocalStore(tmp_path / "root")) as metadata:
            yield metadata.namespace("images")


class TestNamespaceInSqlite(NamespaceStores, StoreContract, LabelContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/metadata.db"


class TestNamespaceInPostgresql(
    NamespaceStores,
    ReadingContract,
    ListingContract,
    AddingContract,
    CommittingContract,
    LockingContract,
    AbortingContract,
    RacingContract,
    LabelContract,
):
    """What touches the rows. The rest of the suite is about bytes, which SQLite's run covers."""

    @pytest.fixture
    def url(self, emptied_postgresql):
        return emptied_postgresql
