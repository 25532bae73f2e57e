"""A lease at the other end of the wire."""

from datetime import timedelta

import pytest

from lading.rpc.client import RemoteStore
from tests.conformance.aborting import AbortingContract
from tests.conformance.adding import AddingContract
from tests.conformance.committing import CommittingContract
from tests.conformance.labels import LabelContract
from tests.conformance.listing import ListingContract
from tests.conformance.samples import digests_in
from tests.conformance.test_remote import RemoteStores


class TestRemoteLease(
    RemoteStores,
    AddingContract,
    CommittingContract,
    ListingContract,
    AbortingContract,
    LabelContract,
):
    """What a lease adds to a store is in these."""

    @pytest.fixture
    def namespace(self, address):
        store = RemoteStore(address, "images")
        yield store
        store.close()

    @pytest.fixture
    def store(self, namespace):
        """A lease, which at the end must hold every blob that came in through it."""
        lease = namespace.lease("suite", expires_in=timedelta(hours=1))
        yield lease
        held = {resource.id for resource in lease.resources() if resource.kind == "content"}
        assert held == set(digests_in(namespace))

    @pytest.fixture
    def twin(self, namespace, store):
        return namespace.leased("suite")
