"""Pulls from registries that lie, and looks at what a store has then."""

from contextlib import contextmanager
from datetime import timedelta

from lading.oci.access.credentials import GivenCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.client import BLOBS_AT_ONCE, RegistryClient
from lading.oci.transport.patience import Patience
from tests.support.lies_table import IMAGE, scene
from tests.support.lying import Lying
from tests.support.registry import digest


@contextmanager
def played(needs="", context=None):
    """A registry with the image of the table, and another one beside it."""
    registry = Lying(scene(), tokens=needs == "tokens", context=context)
    registry.other = Lying()
    try:
        yield registry
    finally:
        registry.close()
        registry.other.close()


class Puller:
    """Pulls, each time with a new client, as another process would."""

    def __init__(self, store, registry, *, secure=False, streams=6, one_by_one=False, **patience):
        self.store, self.registry, self.secure, self.streams = store, registry, secure, streams
        self.one_by_one = one_by_one
        self.patience = Patience(
            **{
                "sleep": lambda pause_s: None,
                "first_pause": timedelta(0),
                "idle": timedelta(seconds=30),
                **patience,
            }
        )
        self.steps = []

    def __call__(self, tag="1"):
        """Pull the image."""
        with self._client() as client:
            reference = f"{self.registry.host}/team/app:{tag}"
            return client.pull(reference, into=self.store, progress=self.steps.append)

    def fetch(self, name):
        """Fetch one blob."""
        with self._client() as client:
            reference = f"{self.registry.host}/team/app@{name}"
            return client.fetch(reference, into=self.store, progress=self.steps.append)

    def _client(self):
        self.steps = []
        return RegistryClient(
            credentials=GivenCredentials(None),
            hosts=Hosts([], plain_http=not self.secure, verifies=False),
            patience=self.patience,
            streams=self.streams,
            # One after the other, where one that takes tokens back would hit another's.
            blobs_at_once=1 if self.one_by_one else BLOBS_AT_ONCE,
        )


def check_is_whole(store, made=IMAGE):
    """Everything is there, nothing is under way, and whatever can be seen is right."""
    assert {blob.digest for blob in store.blobs()} == set(made.blobs)
    assert list(store.ingests()) == []
    check_is_right(store)


def check_is_right(store):
    for blob in store.blobs():
        assert digest(store.read(blob.digest)) == blob.digest
