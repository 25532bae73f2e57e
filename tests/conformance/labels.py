"""What a store promises that keeps labels, and what one does that keeps none."""

import time

import pytest

from lading.content import transfer
from lading.errors import FailedPrecondition, InvalidArgument, NotFound
from lading.model.digest import Digest
from tests.conformance.samples import ABSENT, HELLO, digests_in, put

RIGHT = Digest.of(HELLO)
LABELS = {"k1": "v1", "k2": "v2", "containerd.io/gc.ref.content.0": "sha256:abc"}
LONG = {
    "value": {"a": "1", "k": "v" * 4096},
    "key": {"a": "1", "k" * 4096: "v"},
    "both": {"a": "1", "k" * 2048: "v" * 2049},
    "bytes": {"a": "1", "k": "\u00e9" * 2048},
}
TOO_LONG = pytest.mark.parametrize("labels", LONG.values(), ids=LONG)


def labels_of(store):
    """The labels of HELLO."""
    return dict(store.blob(RIGHT).labels)


class LabelContract:
    # With the blob

    def test_labels_come_with_a_commit(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            blob = writer.commit(labels=LABELS)
        assert blob.labels == LABELS
        assert twin.blob(RIGHT) == blob
        assert list(twin.blobs()) == [blob]

    def test_labels_come_with_an_added_blob(self, store, twin):
        blob = store.add(HELLO, labels=LABELS)
        assert blob.labels == LABELS
        assert twin.blob(RIGHT) == blob

    def test_labels_come_with_a_source(self, store, twin):
        blob = transfer.ingest(store, "w", HELLO, labels={"a": "1", "b": "1"})
        assert twin.blob(RIGHT) == blob
        assert blob.labels == {"a": "1", "b": "1"}
        for expected in (None, RIGHT):
            transfer.ingest(store, "w", HELLO, expected=expected, labels={"b": "2"})
            assert labels_of(twin) == {"a": "1", "b": "2"}
        assert transfer.ingest(store, "w", HELLO) == store.blob(RIGHT)

    def test_adding_a_known_blob_adds_its_labels(self, store, twin):
        store.add(HELLO, labels={"a": "1", "b": "1"})
        blob = store.add(HELLO, labels={"b": "2", "c": "2"})
        assert blob.labels == {"a": "1", "b": "2", "c": "2"}
        assert store.add(HELLO).labels == blob.labels
        assert twin.blob(RIGHT) == blob

    def test_a_label_without_a_value_is_no_label(self, store):
        with store.writer("w") as writer:
            writer.write(HELLO)
            assert writer.commit(labels={"a": "", "b": "1"}).labels == {"b": "1"}
        assert labels_of(store) == {"b": "1"}

    def test_a_refused_commit_sets_no_labels(self, store):
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(FailedPrecondition):
                writer.commit(expected=ABSENT, labels=LABELS)
            assert writer.commit(labels={"a": "1"}).labels == {"a": "1"}

    def test_blobs_have_labels_of_their_own(self, store):
        other = put(store, HELLO, "sha512")
        store.add(HELLO, labels=LABELS)
        assert store.blob(other.digest).labels == {}

    # Changing them

    @pytest.mark.parametrize(
        ("labels", "replace", "after"),
        [
            ({}, False, {"a": "1", "b": "2"}),
            ({"c": "3"}, False, {"a": "1", "b": "2", "c": "3"}),
            ({"a": "9"}, False, {"a": "9", "b": "2"}),
            ({"a": ""}, False, {"b": "2"}),
            ({"a": "", "b": "", "c": ""}, False, {}),
            ({"b": "9", "c": "3"}, True, {"b": "9", "c": "3"}),
            ({"a": "", "c": "3"}, True, {"c": "3"}),
            ({}, True, {}),
        ],
    )
    def test_labels_are_set_deleted_and_replaced(self, store, twin, labels, replace, after):
        store.add(HELLO, labels={"a": "1", "b": "2"})
        blob = store.label(RIGHT, labels, replace=replace)
        assert blob.labels == after
        assert twin.blob(RIGHT) == blob

    def test_a_change_of_labels_moves_only_the_time_of_the_update(self, store):
        first = store.add(HELLO, labels=LABELS)
        before = time.time_ns()
        second = store.label(RIGHT, {"k1": "changed"})
        after = time.time_ns()
        assert second == first._replace(labels=second.labels, updated_ns=second.updated_ns)
        assert before <= second.updated_ns <= after

    def test_labels_may_be_any_text(self, store, twin):
        labels = {"a b": "c\nd", 'quote"d': "'", "\u00e9": "\U0001f6a2", "=,": "~=", "": "no key"}
        store.add(HELLO)
        store.label(RIGHT, labels)
        assert twin.blob(RIGHT).labels == labels

    def test_labels_are_the_stores_own(self, store):
        mine = {"a": "1"}
        blob = store.add(HELLO, labels=mine)
        mine["a"] = "2"
        assert labels_of(store) == {"a": "1"}
        store.label(RIGHT, {"a": "3"})
        assert blob.labels == {"a": "1"}

    def test_a_blob_that_is_not_there_has_no_labels(self, store):
        with pytest.raises(NotFound):
            store.label(ABSENT, LABELS)
        assert list(store.blobs()) == []

    # Limits

    def test_a_label_of_4096_bytes_is_taken(self, store):
        labels = {"k": "v" * 4095, "k" * 4095: "v", "\u00e9": "\u00e9" * 2047}
        assert store.add(HELLO, labels=labels).labels == labels

    @TOO_LONG
    @pytest.mark.parametrize("replace", [False, True])
    def test_a_longer_label_is_refused_and_nothing_changed(self, store, labels, replace):
        before = store.add(HELLO, labels=LABELS)
        with pytest.raises(InvalidArgument):
            store.label(RIGHT, labels, replace=replace)
        assert store.blob(RIGHT) == before

    @TOO_LONG
    def test_a_commit_with_a_longer_label_is_refused_and_the_ingest_kept(self, store, labels):
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(InvalidArgument):
                writer.commit(labels=labels)
            assert RIGHT not in store
            assert store.ingest("w").offset == len(HELLO)
            assert writer.commit().labels == {}

    @TOO_LONG
    def test_adding_with_a_longer_label_adds_nothing(self, store, labels):
        with pytest.raises(InvalidArgument):
            store.add(HELLO, labels=labels)
        assert list(store.blobs()) == []
        assert list(store.ingests()) == []

    # Their end

    def test_labels_go_with_the_blob_and_do_not_come_back(self, store):
        store.add(HELLO, labels=LABELS)
        store.delete(RIGHT)
        assert store.add(HELLO).labels == {}
        store.delete(RIGHT)
        with store.writer("w") as writer:
            writer.write(HELLO)
            assert writer.commit(labels={"new": "1"}).labels == {"new": "1"}

    # Filters

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            (["labels.team"], "red blue"),
            (["labels.team==red"], "red"),
            (["labels.team!=red"], "blue bare"),
            (["labels.team~=^(red|blue)$"], "red blue"),
            (["labels.team~=^$"], "bare"),
            (["labels.size==9,labels.team==red"], "red"),
            (["labels.size==9,labels.team==blue"], ""),
            (["labels.team==red", "labels.team==blue"], "red blue"),
            (['labels."containerd.io/gc.root"==now'], "blue"),
            (["labels.nope==red"], ""),
        ],
    )
    def test_a_listing_sees_labels(self, store, filters, names):
        digests = {
            "red": store.add(b"red", labels={"team": "red", "size": "9"}).digest,
            "blue": store.add(
                b"blue", labels={"team": "blue", "containerd.io/gc.root": "now"}
            ).digest,
            "bare": store.add(b"bare").digest,
        }
        listed = {blob.digest for blob in store.blobs(*filters)}
        assert listed == {digests[name] for name in names.split()}


class NoLabelContract:
    @pytest.mark.parametrize("replace", [False, True])
    def test_a_store_without_labels_refuses_to_set_them(self, store, replace):
        before = store.add(HELLO)
        with pytest.raises(FailedPrecondition):
            store.label(RIGHT, {"a": "1"}, replace=replace)
        assert store.blob(RIGHT) == before

    def test_a_commit_with_labels_is_refused_before_anything_happens(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            before = writer.status()
            with pytest.raises(FailedPrecondition):
                writer.commit(labels=LABELS)
            assert list(twin.blobs()) == []
            assert writer.status() == before
            assert dict(writer.commit().labels) == {}

    @pytest.mark.parametrize("known", [False, True])
    def test_adding_with_labels_is_refused_before_anything_happens(self, store, known):
        before = [store.add(HELLO)] if known else []
        with pytest.raises(FailedPrecondition):
            store.add(HELLO, labels=LABELS)
        assert list(store.blobs()) == before
        assert list(store.ingests()) == []

    @pytest.mark.parametrize("known", [False, True])
    def test_a_source_with_labels_is_refused_and_its_ingest_kept(self, store, known):
        if known:
            store.add(HELLO)
        with pytest.raises(FailedPrecondition):
            transfer.ingest(store, "w", HELLO, labels=LABELS)
        assert store.ingest("w").offset == len(HELLO)

    def test_no_labels_are_no_labels(self, store):
        assert dict(store.add(HELLO, labels={}).labels) == {}
        with store.writer("w") as writer:
            writer.write(b"another")
            assert dict(writer.commit(labels={}).labels) == {}
        assert len(digests_in(store)) == 2
