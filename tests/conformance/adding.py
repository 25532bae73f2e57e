"""What every store promises of blobs whose bytes are at hand, one by one and in batches."""

import array

import pytest

from lading.model.digest import Digest
from tests.conformance.samples import BUFFERS, HELLO, digests_in, put, refs_in, sample

SIZES = [0, 1, 4096, 70_000, (1 << 20) + 1]


class Trouble(Exception):
    """Something that goes wrong in the caller's own code."""


class AddingContract:
    # One by one

    @pytest.mark.parametrize("size", SIZES)
    def test_an_added_blob_is_there_and_leaves_no_ingest(self, store, twin, size):
        data = sample(size)
        blob = store.add(data)
        assert (blob.digest, blob.size) == (Digest.of(data), size)
        assert twin.read(blob.digest) == data
        assert list(twin.ingests()) == []

    def test_adding_again_is_no_error_and_changes_nothing(self, store, twin):
        first = store.add(HELLO)
        assert store.add(HELLO) == first
        assert twin.add(HELLO) == first
        assert list(store.blobs()) == [first]

    def test_adding_what_was_committed_is_no_error(self, store):
        blob = put(store, HELLO)
        assert store.add(HELLO) == blob

    def test_adding_does_not_disturb_an_ingest_of_the_same_bytes(self, store):
        with store.writer("w") as writer:
            writer.write(HELLO)
            blob = store.add(HELLO)
            assert writer.offset == len(HELLO)
        assert refs_in(store) == ["w"]
        assert store.read(blob.digest) == HELLO

    @pytest.mark.parametrize("data", BUFFERS.values(), ids=BUFFERS)
    def test_any_buffer_is_added_and_counted_in_bytes(self, store, data):
        blob = store.add(data)
        assert (blob.digest, blob.size) == (Digest.of(bytes(data)), len(bytes(data)))
        assert store.read(blob.digest) == bytes(data)

    def test_a_buffer_is_the_callers_again_when_it_was_added(self, store):
        buffer = bytearray(HELLO)
        digest = store.add(buffer).digest
        buffer[:] = b"something else"
        assert store.read(digest) == HELLO

    # In batches

    def test_a_batch_is_all_there_when_its_block_is_left(self, store, twin):
        blobs = [sample(size) for size in SIZES] + [bytes([number]) for number in range(20)]
        with store.batch() as batch:
            digests = [batch.add(data) for data in blobs]
        assert digests == [Digest.of(data) for data in blobs]
        assert [twin.read(digest) for digest in digests] == blobs
        assert digests_in(store) == sorted(set(digests))
        assert list(store.ingests()) == []

    def test_a_batch_takes_any_buffer(self, store):
        with store.batch() as batch:
            digests = [batch.add(data) for data in BUFFERS.values()]
        assert [store.read(digest) for digest in digests] == list(map(bytes, BUFFERS.values()))

    def test_an_empty_batch_is_no_error(self, store):
        with store.batch():
            pass
        assert list(store.blobs()) == []

    def test_a_batch_may_hold_a_blob_twice_and_blobs_that_are_known(self, store):
        known = store.add(HELLO)
        with store.batch() as batch:
            assert batch.add(HELLO) == known.digest
            assert batch.add(b"new") == batch.add(b"new") == Digest.of(b"new")
            assert batch.add(b"") == batch.add(b"") == Digest.of(b"")
        assert digests_in(store) == sorted(map(Digest.of, (HELLO, b"new", b"")))
        assert store.blob(known.digest) == known

    def test_a_batch_keeps_nothing_of_a_buffer(self, store):
        buffer = bytearray(HELLO)
        numbers = array.array("H", [1, 2, 3])
        with store.batch() as batch:
            digest = batch.add(buffer)
            buffer[:] = b"something else entirely"
            other = batch.add(memoryview(numbers))
            numbers.append(4)
        assert store.read(digest) == HELLO
        assert store.read(other) == array.array("H", [1, 2, 3]).tobytes()

    def test_two_batches_may_bring_the_same_blobs(self, store, twin):
        with store.batch() as first, twin.batch() as second:
            for number in range(10):
                first.add(bytes([number]))
                second.add(bytes([number]))
        assert digests_in(store) == sorted(Digest.of(bytes([number])) for number in range(10))

    def test_a_batch_that_an_error_ended_leaves_whole_blobs_or_none(self, store, twin):
        added = [sample(size) for size in SIZES]

        def interrupted():
            with store.batch() as batch:
                for data in added:
                    batch.add(data)
                raise Trouble

        with pytest.raises(Trouble):
            interrupted()
        assert set(digests_in(twin)) <= set(map(Digest.of, added))
        for blob in twin.blobs():
            assert Digest.of(twin.read(blob.digest)) == blob.digest
        with store.batch() as batch:
            for data in added:
                batch.add(data)
        assert [twin.read(Digest.of(data)) for data in added] == added
