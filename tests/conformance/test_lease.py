from datetime import timedelta

import pytest

from tests.conformance.committing import CommittingContract
from tests.conformance.contract import StoreContract
from tests.conformance.labels import LabelContract
from tests.conformance.listing import ListingContract
from tests.conformance.samples import digests_in
from tests.conformance.test_namespace import NamespaceStores


class LeaseStores(NamespaceStores):
    @pytest.fixture
    def store(self, metadata):
        """A lease, which at the end must hold every blob that came in through it."""
        lease = metadata.namespace("images").lease("suite", expires_in=timedelta(hours=1))
        yield lease
        held = {resource.id for resource in lease.resources() if resource.kind == "content"}
        assert held == set(digests_in(metadata.namespace("images")))

    @pytest.fixture
    def twin(self, metadata, store):
        return metadata.namespace("images").leased("suite")


class TestLeaseInSqlite(LeaseStores, StoreContract, LabelContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/metadata.db"


class TestLeaseInPostgresql(LeaseStores, CommittingContract, ListingContract, LabelContract):
    """What a lease adds to a namespace is in these."""

    @pytest.fixture
    def url(self, emptied_postgresql):
        return emptied_postgresql
