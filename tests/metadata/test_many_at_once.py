"""Many threads on one namespace, each through a catalog of its own, as processes have them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from lading.content.events import BlobCreated
from lading.errors import NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest

THREADS, EACH = 4, 8
MANY = 16
KEYS = [f"{thread}-{number}" for thread in range(THREADS) for number in range(EACH)]
HELLO = b"hello, world"
RIGHT = Digest.of(HELLO)
TARGET = Descriptor("m", RIGHT, len(HELLO))
CHANGES = {
    "blob": lambda metadata, key: metadata.namespace("images").label(RIGHT, {key: "1"}),
    "namespace": lambda metadata, key: metadata.label_namespace("images", {key: "1"}),
    "image": lambda metadata, key: metadata.namespace("images").images.update(
        "n", labels={key: "1"}, fields=[f"labels.{key}"]
    ),
}
LABELS = {
    "blob": lambda metadata: metadata.namespace("images").blob(RIGHT).labels,
    "namespace": lambda metadata: next(metadata.namespaces()).labels,
    "image": lambda metadata: metadata.namespace("images").images.get("n").labels,
}
pytestmark = pytest.mark.slow


def run_in_threads(opened, work):
    """Have each thread work on its own catalog, all from one moment on."""
    begin = threading.Barrier(THREADS)

    def run(thread):
        metadata = opened()
        begin.wait()
        for number in range(EACH):
            work(metadata, f"{thread}-{number}")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


@pytest.mark.parametrize("what", CHANGES)
def test_no_label_is_lost_between_two_that_label_at_once(opened, metadata, namespace, what):
    namespace.add(HELLO)
    namespace.images.create("n", TARGET)
    run_in_threads(opened, CHANGES[what])
    assert sorted(LABELS[what](metadata)) == sorted(KEYS)


def test_each_of_many_that_add_has_its_blob(opened, namespace, content):
    run_in_threads(opened, lambda metadata, key: metadata.namespace("images").add(key.encode()))
    digests = sorted(Digest.of(key.encode()) for key in KEYS)
    assert [blob.digest for blob in namespace.blobs()] == digests
    assert sorted(blob.digest for blob in content.blobs()) == digests


def test_many_that_add_one_blob_under_leases_each_hold_it(opened, namespace):
    def add(metadata, key):
        lease = metadata.namespace("images").lease(key)
        lease.add(HELLO, labels={key: "1"})

    run_in_threads(opened, add)
    assert sorted(namespace.blob(RIGHT).labels) == sorted(KEYS)
    assert all(
        [resource.id for resource in namespace.leased(key).resources()] == [RIGHT] for key in KEYS
    )


def test_many_namespaces_add_and_delete_one_blob_and_its_bytes_go(opened, metadata, content):
    def add_and_delete(catalog, key):
        namespace = catalog.namespace(f"n{key[0]}")
        namespace.add(HELLO)
        assert namespace.read(RIGHT) == HELLO
        namespace.delete(RIGHT)

    run_in_threads(opened, add_and_delete)
    metadata.collect()
    assert list(content.blobs()) == []


def test_what_many_threads_add_to_one_namespace_is_there_with_the_labels_of_each(metadata):
    namespace = metadata.namespace("images")
    told = []
    with metadata.events.subscribe(told.append), ThreadPoolExecutor(MANY) as pool:
        added = list(pool.map(partial(add_some, namespace), range(MANY)))
    for thread, blobs in enumerate(added):
        for number, blob in enumerate(blobs[:-1]):
            assert namespace.read(blob.digest) == b"%d of %d" % (number, thread)
            assert blob.labels == namespace.blob(blob.digest).labels == {"thread": str(thread)}
    assert {blobs[-1].digest for blobs in added} == {RIGHT}
    assert dict(namespace.blob(RIGHT).labels) == {str(thread): "1" for thread in range(MANY)}
    created = [event.digest for event in told if isinstance(event, BlobCreated)]
    assert sorted(created) == sorted(blob.digest for blob in namespace.blobs())


def add_some(namespace, thread):
    """Add blobs of this thread alone, and one that all of them add, each with a label."""
    blobs = [
        namespace.add(b"%d of %d" % (number, thread), labels={"thread": str(thread)})
        for number in range(EACH)
    ]
    return [*blobs, namespace.add(HELLO, labels={str(thread): "1"})]


def test_a_lease_that_ended_is_told_to_each_of_many_threads(namespace):
    lease = namespace.lease("short")
    lease.end()
    with ThreadPoolExecutor(MANY) as pool:
        futures = [pool.submit(lease.add, b"%d" % number) for number in range(4 * MANY)]
    assert {type(future.exception()) for future in futures} == {NotFound}
    assert list(namespace.blobs()) == []
