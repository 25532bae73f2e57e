"""What `content.transfer` makes of every store: whole files and streams, over interruptions."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from lading.content import transfer
from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    IngestMismatch,
    NotFound,
    RefLocked,
    SizeMismatch,
)
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.locking import LONG, MOMENT
from tests.conformance.samples import ABSENT, HELLO, begin, digests_in, put, sample
from tests.conformance.sources import KINDS, SourceFixture

RIGHT = Digest.of(HELLO)


class TransferringContract(SourceFixture):
    # Ingesting

    @KINDS
    @pytest.mark.parametrize("size", [500, (1 << 20) + 11])
    @pytest.mark.parametrize("percent", [0, 10, 50, 90, 100])
    def test_a_source_goes_on_where_its_ingest_stopped(self, store, twin, source, size, percent):
        data = sample(size)
        begin(store, "w", data[: size * percent // 100])
        blob = transfer.ingest(twin, "w", source(data), expected=Digest.of(data), total=size)
        assert blob == store.blob(Digest.of(data))
        assert store.read(blob.digest) == data
        assert list(store.ingests()) == []

    @KINDS
    def test_a_source_is_ingested_without_knowing_anything_of_it(self, store, source):
        assert transfer.ingest(store, "w", source(HELLO)).digest == RIGHT
        assert store.read(RIGHT) == HELLO

    @KINDS
    def test_an_empty_source_is_the_empty_blob(self, store, source):
        assert transfer.ingest(store, "w", source(b"")).digest == Digest.of(b"")

    @KINDS
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_a_source_is_checked_in_the_algorithm_that_is_expected(self, store, source, algorithm):
        digest = Digest.of(HELLO, algorithm)
        assert transfer.ingest(store, "w", source(HELLO), expected=digest).digest == digest

    @KINDS
    @pytest.mark.parametrize("named", [False, True])
    def test_a_known_blob_is_given_back_as_it_is(self, store, twin, source, named):
        known = store.add(HELLO)
        expected = RIGHT if named else None
        assert transfer.ingest(twin, "w", source(HELLO), expected=expected) == known
        assert list(store.blobs()) == [known]
        assert list(store.ingests()) == []

    @KINDS
    def test_a_source_with_other_bytes_is_refused(self, store, source):
        with pytest.raises(DigestMismatch) as caught:
            transfer.ingest(store, "w", source(HELLO), expected=ABSENT)
        assert (caught.value.expected, caught.value.actual) == (ABSENT, RIGHT)
        assert list(store.blobs()) == []
        assert store.ingest("w").offset == len(HELLO)

    @KINDS
    @pytest.mark.parametrize("total", [0, 5, 13])
    def test_a_source_of_another_size_is_refused_and_the_ingest_kept(self, store, source, total):
        with pytest.raises(SizeMismatch) as caught:
            transfer.ingest(store, "w", source(HELLO), total=total)
        assert caught.value.expected == total
        assert list(store.blobs()) == []
        with store.writer("w") as writer:
            assert writer.status().total == total
            assert writer.digest == Digest.of(HELLO[: writer.offset])

    @KINDS
    def test_a_source_does_not_take_the_ref_of_another(self, store, twin, source):
        with store.writer("w", total=5) as writer, pytest.raises(RefLocked):
            transfer.ingest(twin, "w", source(HELLO))
        assert writer.ref == "w"
        with pytest.raises(IngestMismatch):
            transfer.ingest(twin, "w", source(HELLO), total=12)
        assert store.ingest("w").offset == 0

    def test_what_a_failed_source_gave_is_kept(self, store):
        def failing():
            yield HELLO[:5]
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            transfer.ingest(store, "w", failing())
        assert store.ingest("w").offset == 5
        assert transfer.ingest(store, "w", io.BytesIO(HELLO)).digest == RIGHT

    def test_a_source_that_is_not_there_begins_nothing(self, store, tmp_path):
        with pytest.raises(FileNotFoundError):
            transfer.ingest(store, "w", tmp_path / "nothing")
        assert list(store.ingests()) == []

    # Appending

    @KINDS
    def test_a_source_is_appended_to_what_the_ref_holds(self, store, twin, source):
        begin(store, "w", HELLO[:5])
        left = transfer.append(twin, "w", source(HELLO[5:9]))
        assert left == store.ingest("w")
        assert left.offset == 9
        assert list(store.blobs()) == []
        blob = transfer.ingest(store, "w", source(HELLO[9:]), append=True, expected=RIGHT)
        assert blob == store.blob(RIGHT)
        assert store.read(RIGHT) == HELLO

    def test_an_appended_source_may_begin_its_ingest(self, store, twin):
        left = transfer.append(store, "w", HELLO, total=100, expected=ABSENT)
        assert left[:4] == ("w", len(HELLO), 100, ABSENT)
        assert twin.ingest("w") == left

    def test_an_appended_source_that_does_not_fit_is_refused_and_the_ingest_kept(self, store):
        begin(store, "w", HELLO[:5])
        with pytest.raises(SizeMismatch):
            transfer.append(store, "w", HELLO[5:] + b"!", total=len(HELLO))
        with store.writer("w") as writer:
            assert writer.digest == Digest.of(HELLO[: writer.offset])

    def test_nothing_is_appended_to_what_is_known_or_another_transfer(self, store):
        store.add(HELLO)
        with pytest.raises(AlreadyExists):
            transfer.append(store, "w", HELLO, expected=RIGHT)
        store.writer("w", total=5).close()
        with pytest.raises(IngestMismatch):
            transfer.append(store, "w", HELLO, total=12)
        assert store.ingest("w").offset == 0

    def test_what_was_appended_under_a_wrong_digest_is_not_taken_twice(self, store):
        begin(store, "w", HELLO[:5])
        with pytest.raises(DigestMismatch):
            transfer.ingest(store, "w", io.BytesIO(HELLO[5:]), append=True, expected=ABSENT)
        with store.writer("w") as writer:
            assert writer.digest == RIGHT

    # Waiting

    @pytest.mark.parametrize("call", [transfer.ingest, transfer.append])
    def test_a_transfer_waits_for_the_ref(self, store, twin, call):
        with ThreadPoolExecutor() as pool, store.writer("w") as writer:
            writer.write(HELLO[:5])
            waiting = pool.submit(call, twin, "w", io.BytesIO(HELLO), wait=LONG)
            with pytest.raises(TimeoutError):
                waiting.result(MOMENT)
            writer.close()
            waiting.result()
        if call is transfer.ingest:
            assert digests_in(store) == [RIGHT]
        else:
            assert store.ingest("w").offset == 5 + len(HELLO)

    # Verifying

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("size", [0, 12, (1 << 20) + 1])
    def test_a_good_blob_is_verified(self, store, twin, algorithm, size):
        seen = []
        blob = put(store, sample(size), algorithm)
        assert transfer.verify(twin, blob.digest, progress=seen.append) == blob
        assert seen == sorted(seen)
        assert (seen[0], seen[-1]) == (0, size)

    def test_a_blob_that_is_not_there_is_not_verified(self, store):
        with pytest.raises(NotFound):
            transfer.verify(store, ABSENT)
        assert digests_in(store) == []
