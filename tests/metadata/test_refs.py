"""Refs that a row or an index cannot hold, on both engines."""

import time

from lading.metadata.rebuild import rebuild

LONG = "long " * 200


def begin(store, ref):
    with store.writer(ref) as writer:
        writer.write(b"some")


def test_a_long_ref_is_listed_in_full_once_its_adopted_ingest_is_gone_on_with(
    metadata, namespace, content
):
    """The row that had it is lost; what the content store has only stands for it."""
    begin(namespace, LONG)
    (key,) = [ingest.ref for ingest in content.ingests()]
    other = metadata.namespace("other")
    other.add(b"makes it")
    namespace._database.write(lambda session: namespace._rows.remove_ingest(session, LONG))
    found = list(rebuild(metadata, "images", now_ns=time.time_ns()))
    assert [(each.kind, each.namespace) for each in found] == [("resumable", "images")]
    assert key == f"images/{found[0].name}"
    with namespace.writer(LONG) as writer:
        assert writer.offset == len(b"some")
    assert [ingest.ref for ingest in namespace.ingests()] == [LONG]


def test_an_ingest_of_others_whose_ref_no_row_can_hold_is_told_of_and_left(
    metadata, namespace, content
):
    namespace.add(b"makes the namespace", labels={"containerd.io/gc.root": "now"})
    begin(content, "nul\0")
    assert [ingest.ref for ingest in metadata.unknown_ingests()] == ["nul\0"]
    assert metadata.collect().failed == ()
    found = list(rebuild(metadata, "images", now_ns=time.time_ns()))
    assert [(each.kind, each.name) for each in found] == [("orphan", "nul\0")]
    assert content.ingest("nul\0").offset == len(b"some")
