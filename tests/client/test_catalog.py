"""Namespaces, leases, images and collection are over the wire what they are at the other end."""

from datetime import timedelta

import pytest

from lading.content.catalog import Resource
from lading.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.rpc.client import RemoteCatalog
from tests.conformance.samples import ABSENT, HELLO, begin

RIGHT = Digest.of(HELLO)
TARGET = Descriptor("application/json", RIGHT, len(HELLO), {"a": "1"})


@pytest.fixture
def remote(service):
    with RemoteCatalog(service.address) as remote:
        yield remote


@pytest.fixture
def here(service):
    """The namespace as the daemon has it."""
    return service.catalog.namespace("web")


@pytest.fixture
def there(remote):
    """The same over the wire."""
    return remote.namespace("web")


# Namespaces


def test_namespaces_are_listed_labelled_and_deleted(remote, catalog):
    assert remote.label_namespace("b", {"x": "1", "y": "2"}).labels == {"x": "1", "y": "2"}
    assert remote.label_namespace("b", {"x": ""}).labels == {"y": "2"}
    assert remote.label_namespace("b", {}).labels == {"y": "2"}
    assert remote.label_namespace("b", {"z": "3"}, replace=True).labels == {"z": "3"}
    assert remote.label_namespace("a", {}).labels == {}
    assert [each.name for each in remote.namespaces()] == ["a", "b"]
    assert [each.labels for each in catalog.namespaces()] == [{}, {"z": "3"}]
    remote.delete_namespace("a")
    with pytest.raises(NotFound) as caught:
        remote.delete_namespace("a")
    assert (caught.value.what, caught.value.kind) == ("a", "namespace")


def test_a_namespace_that_is_not_empty_says_what_it_has(remote, here):
    here.add(HELLO)
    with pytest.raises(FailedPrecondition, match="1 blobs"):
        remote.delete_namespace("web")


def test_what_is_no_name_is_no_namespace(remote):
    with pytest.raises(InvalidArgument):
        list(remote.namespace("a/b").blobs())
    with pytest.raises(InvalidArgument):
        remote.label_namespace("a/b", {"x": "1"})


# Leases


def test_a_lease_is_made_listed_renewed_and_ended(here, there):
    lease = there.lease("l", expires_in=timedelta(hours=1), labels={"team": "web"})
    record = lease.record()
    assert record == here.leased("l").record()
    assert record.labels["team"] == "web"
    assert record.expires_ns - record.created_ns < 3600 * 10**9
    renewed = lease.renew(timedelta(days=3))
    assert renewed.labels == here.leased("l").record().labels
    assert renewed.expires_ns > record.expires_ns
    forever = there.lease(expires_in=None)
    assert forever.record().expires_ns is None
    listed = [(each.id, each.labels) for each in here.leases()]
    assert [(each.id, each.labels) for each in there.leases()] == listed
    lease.end()
    assert [each.id for each in there.leases()] == [forever.id]
    for call in (lease.end, lease.record, lease.renew, lease.resources, lambda: there.leased("l")):
        with pytest.raises(NotFound) as caught:
            call()
        assert (caught.value.what, caught.value.kind) == ("l", "lease")


def test_an_id_that_is_taken_is_not_given_again(there):
    there.lease("l")
    with pytest.raises(AlreadyExists):
        there.lease("l")


@pytest.mark.parametrize("span", [timedelta(0), timedelta(days=-1), timedelta(days=40_000)])
def test_a_lease_that_would_hold_nothing_is_not_made(there, span):
    with pytest.raises(InvalidArgument):
        there.lease(expires_in=span)


@pytest.mark.parametrize("name", ["l\u00e9", 'quo"te', "back\\slash"])
def test_any_name_that_a_header_can_say_is_an_id(there, name):
    if not name.isascii():
        with pytest.raises(InvalidArgument):
            there.lease(name)
        assert list(there.leases()) == []
        return
    assert there.lease(name).record().id == name
    assert there.leased(name).record().id == name


def test_a_lease_holds_and_lets_go(here, there):
    held = [
        Resource("content", str(there.add(HELLO).digest)),
        Resource("images", "an image"),
        Resource("ingests", "w"),
    ]
    lease = there.lease("l")
    for resource in reversed(held):
        lease.hold(resource)
    assert lease.resources() == held == here.leased("l").resources()
    lease.release(held[1])
    assert lease.resources() == [held[0], held[2]]
    with pytest.raises(NotFound):
        lease.release(held[1])


def test_what_comes_in_through_a_lease_stays_and_goes_with_it(remote, there):
    with there.lease("l") as lease:
        lease.add(HELLO)
        assert remote.collect().blobs == 0
        assert RIGHT in there
    assert remote.collect().blobs == 1
    assert RIGHT not in there


def test_a_lease_that_has_ended_takes_nothing_in(there):
    lease = there.lease("l")
    lease.end()
    for call in (lambda: lease.writer("w"), lambda: lease.add(HELLO)):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.kind == "lease"


# Images


def test_images_are_what_they_are_there(here, there):
    there.add(HELLO)
    image = there.images.create("b", TARGET, labels={"x": "1", "y": "2"})
    assert image == here.images.get("b") == there.images.get("b")
    assert image.target == TARGET
    with pytest.raises(AlreadyExists):
        there.images.create("b", TARGET)
    changed = there.images.update("b", labels={"x": "9"}, fields=["labels.x"])
    assert changed.labels == {"x": "9", "y": "2"}
    assert there.images.update("b", labels={"z": "3"}).labels == {"z": "3"}
    other = TARGET._replace(media_type="text/plain")
    changed = there.images.update("b", target=other)
    assert (changed.target, changed.labels) == (other, {"z": "3"})
    assert there.images.update("b", target=TARGET, labels={}).labels == {}
    there.images.create("a", TARGET)
    assert [each.name for each in there.images.list()] == ["a", "b"]
    assert [each.name for each in there.images.list("name==b")] == ["b"]
    there.images.delete("b")
    for call in (there.images.get, there.images.delete):
        with pytest.raises(NotFound) as caught:
            call("b")
        assert (caught.value.what, caught.value.kind) == ("b", "image")
    with pytest.raises(NotFound):
        there.images.update("b", labels={"x": "1"})


# Collection


def test_the_ledger_and_its_collection_are_what_they_are_there(remote, catalog, here):
    here.add(HELLO)
    kept = here.add(b"kept", labels={"containerd.io/gc.root": "1"})
    catalog.content.add(b"orphan")
    begin(catalog.content, "nobody's", HELLO)
    assert sorted(remote.ledger()) == sorted(catalog.ledger())
    assert {line.digest: line.reason is None for line in remote.ledger()} == {
        RIGHT: True,
        kept.digest: False,
    }
    assert list(remote.orphans()) == list(catalog.orphans())
    assert list(remote.idle_ingests()) == list(catalog.idle_ingests())
    assert list(remote.unknown_ingests()) == list(catalog.unknown_ingests()) != []
    done = remote.collect()
    assert (done.blobs, done.bytes, done.rows, done.ingests) == (1, len(HELLO), 1, 0)
    assert done.took > timedelta(0)
    assert [blob.digest for blob in here.blobs()] == [kept.digest]


def test_a_rebuild_tells_what_it_finds(remote, catalog, there):
    digest = catalog.content.add(b"orphan").digest
    (found,) = remote.rebuild("web")
    assert (found.kind, found.namespace, found.name) == ("adopted", "web", digest)
    assert digest in there


def test_the_daemon_tells_its_version_and_who_it_is(remote):
    facts = remote.facts()
    assert facts["address"].startswith("unix:///")
    assert facts["version"]
    assert len(facts["uuid"]) == 36


# Files that are sent


def test_a_blob_that_is_sent_is_read_forward_and_from_anywhere(remote, there, here):
    remote._handing.stop()
    data = bytes(range(256)) * 40_000
    digest = here.add(data).digest
    with there.open(digest) as file:
        for place in (5, 9_000_000, 0, 10_239_999, 1_000_000, 1_000_010, 4_000_000):
            file.seek(place)
            assert file.read(300_000) == data[place : place + 300_000]
        assert file.seek(-3, 2) == len(data) - 3
        assert file.read() == data[-3:]
        with pytest.raises(ValueError, match="before the beginning"):
            file.seek(-1)
    assert ABSENT not in there
