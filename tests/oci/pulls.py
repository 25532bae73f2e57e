"""Pulls of the tests: from a registry that lies, into whatever can hold an image."""

import contextlib
import json
import threading
from typing import Any

from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX, OCI_MANIFEST
from lading.oci.access.credentials import GivenCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.client import RegistryClient
from lading.oci.transport.patience import Patience
from tests.support.registry import digest


@contextlib.contextmanager
def client(**options):
    """A client that does not wait for what will not come."""
    settings: dict[str, Any] = {
        "credentials": GivenCredentials(None),
        "hosts": Hosts([], plain_http=True),
        "patience": Patience(attempts=2, sleep=lambda _: None),
        "streams": 1,
    }
    with RegistryClient(**settings | options) as registry:
        yield registry


class Watched:
    """Progress that is remembered; `on` calls something when a kind of step is told, once."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self._calls: dict[type, list[Any]] = {}
        self.main = threading.current_thread()

    def on(self, kind, call):
        self._calls.setdefault(kind, []).append(call)
        return self

    def __call__(self, step):
        self.steps.append(step)
        if calls := self._calls.get(type(step)):
            calls.pop(0)(step)

    def of(self, kind):
        return [step for step in self.steps if isinstance(step, kind)]


def described(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def index_of(*manifests):
    """An index as bytes; each of its manifests is bytes and a platform, which may be none."""
    entries = []
    for data, platform in manifests:
        more = {}
        if platform:
            os, architecture = platform.split("/")
            more["platform"] = {"os": os, "architecture": architecture}
        entries.append(described(OCI_MANIFEST, data, **more))
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def digests_in(store):
    return sorted(blob.digest for blob in store.blobs())


def target_of(made):
    return Descriptor(OCI_MANIFEST, Digest(made.digest), len(made.manifest))
