"""What every store promises of a blob that is there, and of one that is not."""

import io
import time

import pytest

from lading.errors import NotFound
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import ABSENT, HELLO, digests_in, put, sample


class ReadingContract:
    # Describing

    def test_a_blob_is_described_by_its_digest_its_size_and_no_labels(self, store, twin):
        added = store.add(HELLO)
        assert (added.digest, added.size) == (Digest.of(HELLO), len(HELLO))
        assert dict(added.labels) == {}
        assert twin.blob(added.digest) == added

    def test_a_blob_was_created_while_its_commit_ran(self, store):
        with store.writer("w") as writer:
            writer.write(HELLO)
            before = time.time_ns()
            blob = writer.commit()
            after = time.time_ns()
        assert before <= blob.created_ns <= after
        assert before <= blob.updated_ns <= after

    def test_reading_a_blob_does_not_touch_its_description(self, store):
        described = store.add(HELLO)
        store.read(described.digest)
        with store.open(described.digest) as file:
            file.read()
        assert store.blob(described.digest) == described

    def test_a_known_digest_is_in_the_store_and_another_is_not(self, store, twin):
        blob = store.add(HELLO)
        assert blob.digest in store
        assert blob.digest in twin
        assert ABSENT not in store

    @pytest.mark.parametrize("method", ["blob", "open", "read", "delete"])
    def test_a_blob_that_is_not_there_is_not_found(self, store, method):
        store.add(HELLO)
        with pytest.raises(NotFound) as caught:
            getattr(store, method)(ABSENT)
        assert (caught.value.kind, caught.value.what) == (None, ABSENT)

    @pytest.mark.parametrize("method", ["blob", "open", "read", "delete"])
    def test_nothing_is_found_in_a_store_that_was_never_written(self, store, method):
        assert ABSENT not in store
        with pytest.raises(NotFound):
            getattr(store, method)(ABSENT)

    # Reading

    @pytest.mark.parametrize("size", [0, 1, 6, 4096, 65_536, (1 << 20) + 1])
    def test_what_was_put_in_is_read_back(self, store, twin, size):
        data = sample(size)
        blob = put(store, data)
        assert store.read(blob.digest) == data
        assert twin.read(blob.digest) == data

    def test_a_blob_opens_as_a_seekable_file(self, store):
        with store.open(store.add(HELLO).digest) as file:
            assert file.readable()
            assert file.seekable()
            assert file.seek(7) == 7
            assert file.read() == b"world"
            assert file.tell() == len(HELLO)
            assert file.seek(-5, io.SEEK_END) == 7
            assert file.read(2) == b"wo"
            assert file.seek(1, io.SEEK_CUR) == 10
            assert file.read(100) == b"ld"

    def test_a_blob_opens_for_reading_only(self, store):
        blob = store.add(HELLO)
        with store.open(blob.digest) as file:
            assert not file.writable()
            with pytest.raises(io.UnsupportedOperation):
                file.write(b"x")
            with pytest.raises(io.UnsupportedOperation):
                file.truncate(0)
        assert store.read(blob.digest) == HELLO

    def test_a_read_past_the_end_gives_what_there_is(self, store):
        with store.open(store.add(b"foobar").digest) as file:
            assert file.read(7) == b"foobar"
            assert file.read(7) == b""
            file.seek(100)
            assert file.read() == b""

    def test_a_file_fills_a_buffer_that_the_reader_owns(self, store):
        buffer = bytearray(b"........")
        with store.open(store.add(b"foobar").digest) as file:
            assert file.readinto(buffer) == 6
        assert buffer == b"foobar.."

    def test_a_file_is_read_line_by_line(self, store):
        with store.open(store.add(b"one\ntwo\n\nthree").digest) as file:
            assert list(file) == [b"one\n", b"two\n", b"\n", b"three"]

    def test_every_opening_reads_from_a_place_of_its_own(self, store):
        digest = store.add(HELLO).digest
        with store.open(digest) as first, store.open(digest) as second:
            assert first.read(5) == HELLO[:5]
            assert second.read(7) == HELLO[:7]
            assert first.read() == HELLO[5:]

    def test_a_closed_file_reads_nothing_more(self, store):
        with store.open(store.add(HELLO).digest) as file:
            pass
        assert file.closed
        with pytest.raises(ValueError, match="closed"):
            file.read()

    def test_a_large_blob_is_read_from_any_place(self, store):
        data = sample(3 << 20)
        with store.open(put(store, data).digest) as file:
            for place in (2_500_000, 1, 1 << 20, 3_145_000):
                file.seek(place)
                assert file.read(70_000) == data[place : place + 70_000]

    # The same bytes under several names

    def test_the_same_bytes_are_one_blob_for_each_algorithm(self, store):
        blobs = [put(store, HELLO, algorithm) for algorithm in ALGORITHMS]
        assert [blob.digest.algorithm for blob in blobs] == list(ALGORITHMS)
        assert digests_in(store) == sorted(Digest.of(HELLO, each) for each in ALGORITHMS)
        store.delete(blobs[0].digest)
        assert [store.read(blob.digest) for blob in blobs[1:]] == [HELLO, HELLO]

    # Deleting

    def test_a_deleted_blob_is_gone(self, store, twin):
        blob, other = store.add(HELLO), store.add(b"another")
        store.delete(blob.digest)
        for handle in (store, twin):
            assert blob.digest not in handle
            assert digests_in(handle) == [other.digest]
            with pytest.raises(NotFound):
                handle.open(blob.digest)

    def test_a_blob_is_deleted_once(self, store):
        blob = store.add(HELLO)
        store.delete(blob.digest)
        with pytest.raises(NotFound):
            store.delete(blob.digest)

    def test_an_open_file_outlives_its_blob(self, store):
        data = sample(3 << 20)
        with store.open(put(store, data).digest) as file:
            start = file.read(10)
            store.delete(Digest.of(data))
            assert start + file.read() == data
            file.seek(1 << 20)
            assert file.read(10) == data[1 << 20 : (1 << 20) + 10]

    def test_a_deleted_blob_can_come_back(self, store):
        first = store.add(HELLO)
        store.delete(first.digest)
        again = store.add(HELLO)
        assert store.read(again.digest) == HELLO
        assert again.created_ns > first.created_ns
        assert digests_in(store) == [again.digest]
