"""What a collection would do, told before, and what it did, told after."""

from lading.model.descriptor import Descriptor
from lading.model.digest import Digest

REF = "containerd.io/gc.ref.content.0"


def test_the_ledger_says_why_each_blob_stays_and_changes_nothing(namespace, collector):
    goes = namespace.add(b"goes")
    leaf = namespace.add(b"leaf")
    middle = namespace.add(b"middle", labels={REF: leaf.digest})
    target = namespace.add(b"target", labels={REF: middle.digest})
    namespace.images.create("image", Descriptor("text/plain", target.digest, target.size))
    rooted = namespace.add(b"rooted", labels={"containerd.io/gc.root": "1"})
    held = namespace.lease("mine").add(b"held")
    for _ in range(2):
        assert {
            (line.namespace, line.digest, line.size, line.reason) for line in collector.ledger()
        } == {
            ("images", goes.digest, 4, None),
            ("images", leaf.digest, 4, f"referred to from {target.digest}: image image"),
            ("images", middle.digest, 6, f"referred to from {target.digest}: image image"),
            ("images", target.digest, 6, "image image"),
            ("images", rooted.digest, 6, "labelled as a root"),
            ("images", held.digest, 4, "lease mine"),
        }
    done = collector.collect()
    assert (done.blobs, done.bytes, done.rows) == (1, 4, 1)
    assert done.took.total_seconds() > 0


def test_the_ledger_has_the_bytes_that_wait_for_the_collector(metadata, namespace, collector):
    namespace.add(b"deleted")
    namespace.delete(Digest.of(b"deleted"))
    assert list(collector.ledger()) == [("", Digest.of(b"deleted"), 7, None)]
    metadata.namespace("other").add(b"deleted")
    assert [line.namespace for line in collector.ledger()] == ["other"]


def test_the_ledger_goes_namespace_by_namespace_in_the_order_of_digests(metadata, collector):
    for name in ("b", "a"):
        for number in range(3):
            metadata.namespace(name).add(bytes([number]))
    lines = [line[:2] for line in collector.ledger()]
    assert lines == sorted(lines)
    assert len(lines) == 6
