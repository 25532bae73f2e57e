"""Two namespaces over one content store: what one sees of the other, which is nothing."""

from datetime import timedelta

import pytest

from lading.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    DigestMismatch,
    FailedPrecondition,
    IngestMismatch,
    NotFound,
    RefLocked,
    SizeMismatch,
    Unavailable,
)
from lading.metadata import rows
from lading.metadata.namespace import SHAREABLE
from lading.model.digest import Digest
from lading.stores.local.writer import LocalWriter
from tests.conformance.racing import at_once

HELLO = b"hello, world"
RIGHT = Digest.of(HELLO)
TOO_LONG = "é" * 30_000
REFS = [
    "w",
    "a/b",
    "sha256:" + "0" * 64,
    "nul\0nul",
    "\x01",
    "x" * 513,
    "ÿ",
    TOO_LONG,
    TOO_LONG + "\0",
]


@pytest.fixture(params=["shared", "isolated"])
def sharing(request):
    return request.param


@pytest.fixture
def pair(opened, sharing):
    metadata = opened(sharing=sharing)
    return metadata.namespace("first"), metadata.namespace("second")


@pytest.fixture
def shared_pair(opened):
    metadata = opened(sharing="shared")
    return metadata.namespace("first"), metadata.namespace("second")


@pytest.fixture
def isolated_pair(opened):
    metadata = opened(sharing="isolated")
    return metadata.namespace("first"), metadata.namespace("second")


def offset_of(namespace, **options):
    """Where a transfer of HELLO would begin."""
    with namespace.writer("look", expected=RIGHT, **options) as writer:
        return writer.offset


# Nothing is seen


def test_a_namespace_sees_no_blob_of_another(pair):
    first, second = pair
    first.add(HELLO)
    assert RIGHT not in second
    assert list(second.blobs()) == []
    for call in (second.blob, second.open, second.read, second.delete):
        with pytest.raises(NotFound):
            call(RIGHT)
    with pytest.raises(NotFound):
        second.label(RIGHT, {"a": "1"})
    assert first.blob(RIGHT).labels == {}


@pytest.mark.parametrize("ref", REFS, ids=range(len(REFS)))
def test_refs_of_one_name_are_two(pair, ref):
    first, second = pair
    with first.writer(ref) as one, second.writer(ref) as two:
        one.write(b"one")
        two.write(b"two2")
        assert [ingest.ref for ingest in first.ingests()] == [ref]
        assert second.ingest(ref).offset == 4
        first.abort(ref)
        assert two.commit().size == 4
    with pytest.raises(NotFound):
        first.ingest(ref)


def test_locks_are_independent(pair):
    first, second = pair
    with first.writer("w"):
        with second.writer("w"):
            pass
        with pytest.raises(RefLocked) as caught:
            first.writer("w")
    assert caught.value.ref == "w"
    assert "'w'" in str(caught.value)


def test_labels_are_each_namespaces_own(pair):
    first, second = pair
    first.add(HELLO, labels={"a": "1"})
    second.add(HELLO, labels={"b": "2"})
    first.label(RIGHT, {"a": "9"})
    assert (first.blob(RIGHT).labels, second.blob(RIGHT).labels) == ({"a": "9"}, {"b": "2"})


def test_a_blob_that_one_deletes_stays_for_the_other(pair, content):
    first, second = pair
    first.add(HELLO)
    second.add(HELLO)
    assert [blob.digest for blob in content.blobs()] == [RIGHT]
    first.delete(RIGHT)
    assert second.read(RIGHT) == HELLO


def test_leases_and_images_of_one_name_are_two(pair):
    first, second = pair
    first.lease("l")
    second.lease("l").end()
    assert [lease.id for lease in first.leases()] == ["l"]
    assert list(second.leases()) == []


# What is shared


def test_a_shared_blob_need_not_be_sent(shared_pair):
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        assert (writer.offset, writer.digest) == (len(HELLO), RIGHT)
        assert writer.status().offset == len(HELLO)
        assert writer.commit(size=len(HELLO), expected=RIGHT).digest == RIGHT
    assert second.read(RIGHT) == first.read(RIGHT) == HELLO
    assert list(second.ingests()) == []


def test_appending_to_a_shared_blob_makes_another(shared_pair, content):
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        writer.write(b"!")
        assert (writer.offset, writer.digest) == (len(HELLO) + 1, Digest.of(HELLO + b"!"))
        blob = writer.commit(expected=Digest.of(HELLO + b"!"))
    assert second.read(blob.digest) == HELLO + b"!"
    assert RIGHT not in second
    assert content.read(RIGHT) == HELLO


def test_an_isolated_blob_has_to_be_sent(isolated_pair):
    first, second = isolated_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        assert (writer.offset, writer.digest) == (0, Digest.of(b""))
        with pytest.raises(DigestMismatch):
            writer.commit()
        assert RIGHT not in second
        writer.write(HELLO)
        writer.commit()
    assert second.read(RIGHT) == HELLO


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_an_isolated_blob_is_not_had_by_a_failed_commit(isolated_pair, algorithm):
    first, second = isolated_pair
    secret = Digest.of(HELLO, algorithm)
    with first.writer("w", expected=secret) as writer:
        writer.write(HELLO)
        writer.commit()
    with second.writer("w") as writer:
        writer.write(b"anything")
        with pytest.raises(DigestMismatch):
            writer.commit(expected=secret)
        writer.truncate()
    for expected in (None, secret):
        with second.writer("w", expected=expected) as writer:
            assert writer.offset == 0
            with pytest.raises(DigestMismatch):
                writer.commit(expected=secret)
    assert secret not in second


def test_an_expected_digest_is_kept_by_an_ingest_that_has_no_bytes_yet(isolated_pair):
    first, second = isolated_pair
    first.add(HELLO)
    second.writer("w", expected=RIGHT).close()
    with pytest.raises(IngestMismatch, match="'w'"):
        second.writer("w", expected=Digest.of(b"another"))
    with second.writer("w") as writer:
        assert writer.status().expected == second.ingest("w").expected == RIGHT


def test_a_shareable_namespace_shares_under_isolation(opened):
    metadata = opened(sharing="isolated")
    first, second = metadata.namespace("first"), metadata.namespace("second")
    first.add(HELLO)
    assert offset_of(second) == 0
    metadata.label_namespace("first", {SHAREABLE: "true"})
    second.abort("look")
    assert offset_of(second) == len(HELLO)
    metadata.label_namespace("first", {SHAREABLE: "no"})
    assert offset_of(second) == 0


def test_a_blob_that_nobody_has_any_more_is_not_shared(shared_pair, content):
    first, second = shared_pair
    first.add(HELLO)
    first.delete(RIGHT)
    assert RIGHT in content
    assert offset_of(second) == 0


# The writer that has nothing to send


def test_a_shared_blob_of_another_size_is_not_offered(shared_pair):
    first, second = shared_pair
    first.add(HELLO)
    assert offset_of(second, total=len(HELLO) + 1) == 0
    second.abort("look")
    assert offset_of(second, total=len(HELLO)) == len(HELLO)


def test_a_wrong_commit_of_a_shared_blob_is_refused_and_may_be_mended(shared_pair):
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        with pytest.raises(SizeMismatch):
            writer.commit(size=3)
        with pytest.raises(DigestMismatch):
            writer.commit(expected=Digest.of(b"another"))
        assert RIGHT not in second
        assert writer.offset == len(HELLO)
        assert writer.commit().digest == RIGHT


def test_truncating_a_shared_blob_starts_over(shared_pair):
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        writer.truncate()
        assert (writer.offset, writer.digest) == (0, Digest.of(b""))
        writer.write(HELLO[:5])
    with second.writer("w", expected=RIGHT) as writer:
        assert writer.offset == 5
        writer.write(HELLO[5:])
        assert writer.commit().digest == RIGHT


@pytest.mark.parametrize("act", ["commit", "write"])
def test_a_shared_blob_that_went_meanwhile_is_sent_after_all(shared_pair, content, act):
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        first.delete(RIGHT)
        content.delete(RIGHT)
        with pytest.raises(Unavailable, match="send them"):
            writer.commit() if act == "commit" else writer.write(b"!")
        assert writer.offset == 0
        assert RIGHT not in second
        writer.write(HELLO)
        assert writer.commit().digest == RIGHT
    assert second.read(RIGHT) == HELLO


def test_a_closed_writer_of_a_shared_blob_refuses_every_call(shared_pair):
    first, second = shared_pair
    first.add(HELLO)
    writer = second.writer("w", expected=RIGHT)
    writer.commit()
    assert writer.digest == RIGHT
    for call in (
        writer.truncate,
        writer.sync,
        writer.status,
        writer.commit,
        lambda: writer.write(b"x"),
    ):
        with pytest.raises(FailedPrecondition):
            call()
    assert (writer.offset, writer.digest) == (len(HELLO), RIGHT)


@pytest.mark.parametrize("pair", ["shared_pair", "isolated_pair"])
def test_a_commit_of_what_another_has_and_an_abort_never_both_succeed(pair, request, opened):
    first, second = request.getfixturevalue(pair)
    twin = opened().namespace(second.name)
    for number in range(20):
        data = b"blob %d" % number
        first.add(data)
        with second.writer("w", expected=Digest.of(data)) as writer:
            if not writer.offset:
                writer.write(data)
            committed, aborted = at_once(writer.commit, lambda: twin.abort("w"))
        assert isinstance(committed, Aborted) == (aborted is None), (committed, aborted)
        assert isinstance(aborted, NotFound) == (Digest.of(data) in second), (committed, aborted)
        assert list(second.ingests()) == []


def test_aborting_what_was_shared_and_written_to_leaves_nothing(shared_pair, content):  # H26
    first, second = shared_pair
    first.add(HELLO)
    with second.writer("w", expected=RIGHT) as writer:
        writer.write(b"!")
        second.abort("w")
    assert list(second.ingests()) == list(content.ingests()) == []


def test_a_second_commit_of_a_known_blob_leaves_it_as_it_was(pair):
    first, _ = pair
    before = first.add(HELLO, labels={"a": "1"})
    with first.writer("w") as writer:
        writer.write(HELLO)
        with pytest.raises(AlreadyExists):
            writer.commit(labels={"b": "2"})
    assert first.blob(RIGHT) == before
    with pytest.raises(AlreadyExists):
        first.writer("w", expected=RIGHT)


def test_who_waited_for_a_ref_sees_that_the_blob_came(pair):
    first, _ = pair
    first.add(HELLO)
    with pytest.raises(AlreadyExists):
        first.writer("w", expected=RIGHT, wait=timedelta(seconds=1))


# Regressions of containerd


def test_labels_do_not_come_back_with_the_blob(pair):  # H17
    for namespace in pair:
        namespace.add(HELLO, labels={"a": "1"})
        namespace.delete(RIGHT)
        assert namespace.add(HELLO).labels == {}


def test_a_row_without_bytes_is_found_and_mended_by_adding(pair, content):  # H8
    first, _ = pair
    first.add(HELLO, labels={"a": "1"})
    content.delete(RIGHT)
    with pytest.raises(DataLoss, match="add them again"):
        first.read(RIGHT)
    assert first.add(HELLO).labels == {"a": "1"}
    assert first.read(RIGHT) == HELLO


def test_a_row_without_bytes_is_mended_by_sending(pair, content):  # H8
    first, _ = pair
    first.add(HELLO, labels={"a": "1"})
    content.delete(RIGHT)
    with first.writer("w", expected=RIGHT) as writer:
        assert writer.offset == 0
        writer.write(HELLO)
        with pytest.raises(AlreadyExists):
            writer.commit()
    assert first.read(RIGHT) == HELLO
    assert first.blob(RIGHT).labels == {"a": "1"}


def test_a_commit_does_not_forget_the_next_ingest_of_its_ref(opened, content, monkeypatch):
    """The ref is free from the content store's commit on, and the row comes after that."""
    namespace = opened().namespace("images")
    commit, nexts = LocalWriter.commit, []

    def commit_and_let_the_next_in(writer, **options):
        blob = commit(writer, **options)
        nexts.append(namespace.writer("w"))
        nexts[0].truncate()
        nexts[0].write(b"next")
        return blob

    with namespace.writer("w") as writer:
        writer.write(HELLO)
        with monkeypatch.context() as patched:
            patched.setattr(LocalWriter, "commit", commit_and_let_the_next_in)
            writer.commit()
    assert namespace.ingest("w").offset == 4
    assert nexts[0].commit().digest == Digest.of(b"next")
    assert namespace.read(RIGHT) == HELLO
    assert list(namespace.ingests()) == []


def test_a_total_that_comes_late_is_kept(pair):  # H30
    first, _ = pair
    with first.writer("w") as writer:
        writer.write(b"abc")
    with first.writer("w", total=9) as writer:
        assert writer.status().total == 9
    assert first.ingest("w").total == 9


def test_a_listing_of_many_pages_is_in_order_and_whole(namespace, monkeypatch):  # H39
    monkeypatch.setattr(rows, "STEP", 7)
    with namespace.batch() as batch:
        digests = [batch.add(b"%d" % number) for number in range(21)]
    assert [blob.digest for blob in namespace.blobs()] == sorted(digests)


def test_refs_in_any_letters_are_listed_in_one_order(namespace):  # H39
    refs = ["a", "B", "b", "A", "ä", "~", "Z", "-", "a-b", "ab", "a b", "\U0001f6a2"]
    for ref in refs:
        namespace.writer(ref).close()
    assert [ingest.ref for ingest in namespace.ingests()] == sorted(refs)
