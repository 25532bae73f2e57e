"""What a collection keeps, and what goes."""

import pytest

from lading.content.catalog import Resource
from lading.errors import NotFound, Unavailable
from lading.metadata.collector import Collector
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.collector.clock import DAY, SECOND

REF = "containerd.io/gc.ref.content"
BACK = "containerd.io/gc.bref.content"
ROOT = {"containerd.io/gc.root": "now"}


def descriptor(blob):
    return Descriptor("application/octet-stream", blob.digest, blob.size)


def kept(namespace):
    return {namespace.read(blob.digest) for blob in namespace.blobs()}


def test_what_nothing_reaches_goes_with_its_bytes(namespace, content, collector):
    blob = namespace.add(b"nobody's")
    done = collector.collect()
    assert (done.blobs, done.bytes, done.rows, done.ingests, done.failed) == (1, 8, 1, 0, ())
    assert blob.digest not in namespace
    assert blob.digest not in content


def test_bytes_go_with_the_last_namespace_that_has_them(metadata, content, collector):
    here, there = metadata.namespace("here"), metadata.namespace("there")
    here.add(b"shared")
    digest = there.add(b"shared", labels=ROOT).digest
    assert collector.collect()[:3] == (0, 0, 1)
    assert there.read(digest) == b"shared"
    there.delete(digest)
    assert collector.collect()[:3] == (1, 6, 0)
    assert digest not in content


@pytest.mark.parametrize("label", ["", ".x", "/x", ".x.y"])
def test_a_root_label_and_its_fields_keep_a_blob(namespace, collector, label):
    namespace.add(b"root", labels={f"containerd.io/gc.root{label}": "1"})
    collector.collect()
    assert kept(namespace) == {b"root"}


@pytest.mark.parametrize("label", ["containerd.io/gc.rooted", "containerd.io/gc.root-x", "gc.root"])
def test_a_label_that_only_begins_like_a_root_keeps_nothing(namespace, collector, label):
    namespace.add(b"no root", labels={label: "1"})
    collector.collect()
    assert kept(namespace) == set()


@pytest.mark.parametrize("field", ["", ".0", "/a", ".m.0"])
def test_a_reference_keeps_what_it_points_to(namespace, collector, field):
    leaf = namespace.add(b"leaf")
    namespace.add(b"parent", labels={f"{REF}{field}": leaf.digest, **ROOT})
    collector.collect()
    assert kept(namespace) == {b"leaf", b"parent"}


def test_a_label_that_only_begins_like_a_reference_keeps_nothing(namespace, collector):
    leaf = namespace.add(b"leaf")
    namespace.add(b"parent", labels={f"{REF}x": leaf.digest, **ROOT})
    collector.collect()
    assert kept(namespace) == {b"parent"}


def test_a_back_reference_keeps_the_blob_that_has_it(namespace, collector):
    root = namespace.add(b"root", labels=ROOT)
    namespace.add(b"behind", labels={f"{BACK}.x": root.digest})
    collector.collect()
    assert kept(namespace) == {b"root", b"behind"}
    namespace.delete(root.digest)
    collector.collect()
    assert kept(namespace) == set()


def test_a_cycle_keeps_itself_alive_only_from_a_root(namespace, collector):
    one, two = Digest.of(b"one"), Digest.of(b"two")
    namespace.add(b"one", labels={f"{REF}.0": two, **ROOT})
    namespace.add(b"two", labels={f"{REF}.0": one})
    collector.collect()
    assert kept(namespace) == {b"one", b"two"}
    namespace.label(one, {"containerd.io/gc.root": ""})
    collector.collect()
    assert kept(namespace) == set()


def test_references_do_not_reach_into_another_namespace(metadata, collector):
    leaf = metadata.namespace("there").add(b"leaf")
    metadata.namespace("here").add(b"parent", labels={f"{REF}.0": leaf.digest, **ROOT})
    collector.collect()
    assert kept(metadata.namespace("there")) == set()


def test_an_image_keeps_its_target_until_it_is_deleted(namespace, collector):
    leaf = namespace.add(b"leaf")
    target = namespace.add(b"target", labels={f"{REF}.0": leaf.digest})
    namespace.images.create("image", descriptor(target))
    collector.collect()
    assert kept(namespace) == {b"leaf", b"target"}
    namespace.images.delete("image")
    collector.collect()
    assert kept(namespace) == set()


def test_an_image_whose_time_has_passed_keeps_nothing(namespace, collector, clock):
    expiry = {"containerd.io/gc.expire": clock.text(DAY)}
    namespace.images.create("image", descriptor(namespace.add(b"target")), labels=expiry)
    collector.collect()
    assert kept(namespace) == {b"target"}
    clock.pass_by(DAY)
    collector.collect()
    assert kept(namespace) == set()


def test_a_root_whose_time_has_passed_keeps_nothing(namespace, collector, clock):
    expiry = {"containerd.io/gc.expire": clock.text(DAY)}
    namespace.add(b"root", labels={**ROOT, **expiry})
    clock.pass_by(DAY - SECOND)
    collector.collect()
    assert kept(namespace) == {b"root"}
    clock.pass_by(SECOND)
    collector.collect()
    assert kept(namespace) == set()


def test_an_expiry_that_is_no_moment_is_none(namespace, collector, clock):
    namespace.add(b"root", labels={**ROOT, "containerd.io/gc.expire": "soon"})
    clock.pass_by(1000 * DAY)
    collector.collect()
    assert kept(namespace) == {b"root"}


def test_a_lease_keeps_what_came_in_through_it_until_it_ends(namespace, collector):
    leaf = namespace.add(b"leaf")
    lease = namespace.lease()
    lease.add(b"held", labels={f"{REF}.0": leaf.digest})
    collector.collect()
    assert kept(namespace) == {b"leaf", b"held"}
    lease.end()
    collector.collect()
    assert kept(namespace) == set()


def test_a_lease_that_expires_frees_what_it_held(namespace, collector, clock):
    lease = namespace.lease(expires_in=DAY)
    lease.add(b"held")
    clock.pass_by(DAY - SECOND)
    collector.collect()
    assert kept(namespace) == {b"held"}
    clock.pass_by(SECOND)
    collector.collect()
    assert kept(namespace) == set()
    with pytest.raises(NotFound):
        lease.record()


def test_a_lease_keeps_a_blob_that_it_found_there(namespace, collector):
    blob = namespace.add(b"there", labels=ROOT)
    with namespace.lease() as lease:
        lease.add(b"there")
        namespace.label(blob.digest, {"containerd.io/gc.root": ""})
        collector.collect()
        assert kept(namespace) == {b"there"}


def test_a_flat_lease_keeps_what_it_holds_and_nothing_behind_it(namespace, collector):
    leaf = namespace.add(b"leaf")
    lease = namespace.lease(labels={"containerd.io/gc.flat": "true"})
    lease.add(b"held", labels={f"{REF}.0": leaf.digest})
    collector.collect()
    assert kept(namespace) == {b"held"}


def test_what_a_flat_lease_holds_is_followed_from_elsewhere(namespace, collector):
    leaf = namespace.add(b"leaf")
    lease = namespace.lease(labels={"containerd.io/gc.flat": "true"})
    held = lease.add(b"held", labels={f"{REF}.0": leaf.digest})
    namespace.images.create("image", descriptor(held))
    collector.collect()
    assert kept(namespace) == {b"leaf", b"held"}


def test_a_lease_keeps_an_image_whose_time_has_passed(namespace, collector, clock):
    expiry = {"containerd.io/gc.expire": clock.text(SECOND)}
    namespace.images.create("image", descriptor(namespace.add(b"target")), labels=expiry)
    namespace.lease(expires_in=DAY).hold(Resource("images", "image"))
    clock.pass_by(2 * SECOND)
    collector.collect()
    assert kept(namespace) == {b"target"}


def test_bytes_that_the_database_does_not_know_are_left(namespace, content, collector):
    stranger = content.add(b"somebody else's")
    namespace.add(b"nobody's")
    assert collector.collect().blobs == 1
    assert content.read(stranger.digest) == b"somebody else's"


def test_a_file_that_is_no_blob_does_not_stop_a_collection(namespace, content, collector):
    digest = namespace.add(b"nobody's").digest
    stray = content.path(digest).with_name("stray")
    stray.write_bytes(b"?")
    assert collector.collect().blobs == 1
    assert digest not in content
    assert stray.exists()


def test_a_store_without_any_folder_is_collected(collector, tmp_path):
    assert collector.collect()[:4] == (0, 0, 0, 0)
    assert not (tmp_path / "root").exists()


def test_a_row_whose_bytes_are_gone_is_collected_like_any(namespace, content, collector):
    digest = namespace.add(b"lost").digest
    content.delete(digest)
    done = collector.collect()
    assert (done.blobs, done.rows, done.failed) == (0, 1, ())
    assert digest not in namespace


class Stubborn(LocalStore):
    """Does not give up one of its blobs."""

    kept = None

    def delete(self, digest):
        if digest == self.kept:
            raise Unavailable(f"{digest} is busy")
        super().delete(digest)


def test_bytes_that_cannot_be_deleted_do_not_stop_a_collection(metadata, content, clock):
    digests = sorted(metadata.namespace("n").add(bytes([number])).digest for number in range(3))
    stubborn = Stubborn(content.root)
    stubborn.kept = digests[1]
    collector = Collector(metadata.database, stubborn, clock)
    done = collector.collect()
    assert (done.blobs, done.bytes, done.rows) == (2, 2, 3)
    assert done.failed == (f"{digests[1]} is busy",)
    metadata.namespace("n").add(content.read(digests[1]))  # nobody waits for what has failed
    stubborn.kept = None
    assert collector.collect()[:3] == (1, 1, 1)


def test_what_a_failed_deletion_left_goes_with_the_next_collection(metadata, content, clock):
    stubborn = Stubborn(content.root)
    stubborn.kept = metadata.namespace("n").add(b"nobody's").digest
    collector = Collector(metadata.database, stubborn, clock)
    collector.collect()
    stubborn.kept = None
    assert collector.collect()[:3] == (1, 8, 0)
