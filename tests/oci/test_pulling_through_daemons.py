"""Pulling through a daemon: lading's own, and Debian's containerd, whose `ctr` looks at it."""

import threading
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from lading import LocalStore
from lading.content.catalog import Scope
from lading.errors import NotFound
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.oci.progress import Begun, Done, Found, Waiting
from lading.oci.transport.patience import Patience
from lading.rpc.client import RemoteCatalog
from tests.compat.ctr import Ctr
from tests.oci.pulls import Watched, client, digests_in, target_of
from tests.support.containerd import running_containerd
from tests.support.lies import Always, Cut, Status
from tests.support.lying import Lying, lying
from tests.support.registry import Image, digest, image
from tests.support.served import served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pulling through daemons")]

NAME = "team/app:1"


@contextmanager
def lading(folder):
    content = LocalStore(folder / "root")
    with (
        Metadata(f"sqlite:///{folder}/metadata.db", content=content) as metadata,
        served(metadata, metadata.events, folder / "s") as address,
    ):
        yield address


@contextmanager
def containerd(folder):
    with running_containerd(folder, collects=False) as address:
        yield f"unix://{address}"


@pytest.fixture(scope="module", params=[lading, containerd], ids=["lading", "containerd"])
def address(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("d")) as address:
        yield address


class Place(NamedTuple):
    """A namespace of the test's own, and an image that no other namespace has."""

    namespace: Scope
    ctr: Ctr
    registry: Lying
    made: Image

    @property
    def reference(self):
        return f"{self.registry.host}/{NAME}"

    @property
    def layer(self):
        return digest(self.made.layers[0])

    @property
    def is_containerd(self):
        return self.ctr.address.endswith("containerd.sock")

    @property
    def leases(self):
        return [lease.id for lease in self.namespace.leases()]

    @property
    def rest(self):
        """The range that a pull asks for that goes on after 200 000 bytes."""
        return f"bytes=200000-{len(self.made.layers[0]) - 1}"

    def pull(self, **options):
        with client() as one:
            return one.pull(self.reference, into=self.namespace, **options)

    def break_off(self):
        """Have the registry break off after 200 000 bytes of the layer."""
        self.registry.lie({self.layer: [Cut(200_000), Always(Status(404))]})

    def mend(self):
        self.registry.lie({})

    def asked(self):
        return self.registry.asked(f"GET blobs {self.layer}")

    def ctr_does(self, *words):
        return self.ctr(*words, namespace=self.namespace.name)

    def is_whole(self):
        return digests_in(self.namespace) == sorted(self.made.blobs) and not self.leases


@pytest.fixture
def place(request, address):
    name = request.node.name.removeprefix("test_")[:60].partition("[")[0].replace("_", "-")
    made = image({name: bytes(range(256)) * 2000}, {name: b"b"})
    with lying({NAME: made}) as registry, RemoteCatalog(address) as catalog:
        yield Place(catalog.namespace(name), Ctr(address), registry, made)


def test_an_image_is_whole_and_named(place):
    assert place.pull() == target_of(place.made)
    assert place.is_whole()
    assert place.namespace.images.get(place.reference).target == target_of(place.made)
    labels = place.namespace.blob(Digest(place.made.digest)).labels
    assert labels["containerd.io/gc.ref.content.l.0"] == place.layer
    assert labels["containerd.io/distribution.source.127.0.0.1"] == "team/app"
    # That it asks for snapshots as well, which lading has not, is no matter of content.
    listed = place.ctr_does("images", "check").out.splitlines()
    (row,) = (line for line in listed if line.startswith(place.reference))
    assert "complete (3/3)" in row


def test_an_image_can_be_unpacked_where_somebody_can(place):
    place.pull()
    words = ("snapshots", "--snapshotter", "native", "unpack", place.made.digest)
    unpacked = place.ctr_does(*words)
    if place.is_containerd:
        assert unpacked.code == 0, unpacked.err
        assert unpacked.out.endswith("...done\n")
    else:
        assert "not implemented" in unpacked.err


def test_a_second_pull_finds_it_all(place):
    place.pull()
    watched = Watched()
    place.pull(progress=watched)
    assert {step.blob.digest for step in watched.of(Found)} == set(place.made.blobs)
    assert not watched.of(Done)
    assert place.is_whole()


def test_a_failed_pull_keeps_its_bytes_and_the_next_one_goes_on(place):
    place.break_off()
    with pytest.raises(NotFound):
        place.pull()
    assert place.leases == [f"pull-{place.reference}"]
    assert place.namespace.ingest(f"layer-{place.layer}").offset == 200_000
    place.mend()
    place.pull()
    assert place.asked()[-1].range == place.rest
    assert place.is_whole()


def test_two_pulls_at_once_both_succeed_and_each_blob_moves_once(place):
    begun, waited = threading.Event(), threading.Event()

    def stand_still(step):
        begun.set()
        assert waited.wait(30)

    failures = []

    def pull_first():
        try:
            place.pull(progress=Watched().on(Begun, stand_still))
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            failures.append(failure)

    thread = threading.Thread(target=pull_first)
    thread.start()
    assert begun.wait(30)
    with client(patience=Patience()) as other:
        watched = Watched().on(Waiting, lambda _: waited.set())
        other.pull(place.reference, into=place.namespace, progress=watched)
    thread.join()
    assert failures == []
    for blob in (place.made.config, *place.made.layers):
        assert len(place.registry.asked(f"GET blobs {digest(blob)}")) == 1
    assert place.is_whole()


def test_a_pull_whose_lease_another_one_has_ended_makes_sure_of_everything(place):
    lease = f"pull-{place.reference}"
    place.pull(progress=Watched().on(Done, lambda _: place.namespace.leased(lease).end()))
    assert place.is_whole()
    assert place.namespace.images.get(place.reference).target.digest == place.made.digest


def test_what_ctr_has_begun_lading_goes_on_with(place):
    place.break_off()
    assert place.ctr_does("content", "fetch", "--plain-http", place.reference).code != 0
    assert place.namespace.ingest(f"layer-{place.layer}").offset == 200_000
    place.mend()
    place.pull()
    assert place.asked()[-1].range == place.rest
    assert digests_in(place.namespace) == sorted(place.made.blobs)


def test_what_lading_has_begun_ctr_goes_on_with(place):
    place.break_off()
    with pytest.raises(NotFound):
        place.pull()
    place.mend()
    fetched = place.ctr_does("content", "fetch", "--plain-http", place.reference)
    assert fetched.code == 0, fetched.err
    assert place.asked()[-1].range == "bytes=200000-"
    assert digests_in(place.namespace) == sorted(place.made.blobs)
