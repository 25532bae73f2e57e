"""What `transfer.ingest` promises where an earlier attempt has left something behind."""

import io
import os
from itertools import pairwise

import pytest

from lading.content import transfer
from lading.errors import DigestMismatch, IngestMismatch, SizeMismatch
from lading.model.digest import Digest
from tests.conformance.samples import ABSENT, HELLO, begin, digests_in, sample
from tests.conformance.sources import (
    KINDS,
    ONE_WAY,
    ONE_WAY_KINDS,
    SEEKABLE_KINDS,
    SourceFixture,
    pieces,
)

SIZE = 50_000
DATA = sample(SIZE)
DIGEST = Digest.of(DATA)
WRONG = sample(SIZE, "wrong")
HOUR = 3600.0


class Breaking(io.BytesIO):
    """A file on a disk that fails after 20,000 bytes."""

    def readinto(self, buffer):
        if self.tell() >= 20_000:
            raise OSError(5, "Input/output error")
        return super().readinto(memoryview(buffer)[: 20_000 - self.tell()])


def restarts(seen):
    """How often the progress fell."""
    return sum(after < before for before, after in pairwise(seen))


class RetryingContract(SourceFixture):
    # What is there already

    @SEEKABLE_KINDS
    @pytest.mark.parametrize("expected", [None, DIGEST])
    def test_a_source_that_can_seek_goes_on_where_its_ingest_stopped(self, store, source, expected):
        seen = []
        begin(store, "w", DATA[:20_000])
        transfer.ingest(store, "w", source(DATA), expected=expected, progress=seen.append)
        assert (seen[0], seen[-1], restarts(seen)) == (20_000, SIZE, 0)
        assert store.read(DIGEST) == DATA

    @ONE_WAY_KINDS
    @pytest.mark.parametrize("expected", [None, DIGEST])
    def test_a_source_that_cannot_seek_is_taken_from_its_beginning(self, store, source, expected):
        seen = []
        begin(store, "w", DATA[:20_000])
        transfer.ingest(store, "w", source(DATA), expected=expected, progress=seen.append)
        assert (seen[0], seen[-1], restarts(seen)) == (0, SIZE, 0)
        assert digests_in(store) == [DIGEST]

    @KINDS
    @pytest.mark.parametrize("left", [WRONG[:20_000], WRONG, DATA[:19_999] + b"!", DATA + b"!"])
    def test_what_another_source_left_is_not_mixed_in(self, store, source, left):
        begin(store, "w", left)
        assert transfer.ingest(store, "w", source(DATA)).digest == DIGEST
        assert digests_in(store) == [DIGEST]
        assert list(store.ingests()) == []

    @KINDS
    @pytest.mark.parametrize("left", [WRONG[:20_000], WRONG, DATA[:-1] + b"!", DATA + b"!"])
    def test_a_poisoned_ingest_is_begun_anew_once(self, store, source, kind, left):
        seen = []
        begin(store, "w", left)
        blob = transfer.ingest(
            store, "w", source(DATA), expected=DIGEST, total=SIZE, progress=seen.append
        )
        assert (blob.digest, seen[-1]) == (DIGEST, SIZE)
        # What cannot be this source's, or not be gone on from, is not even tried.
        assert restarts(seen) == (kind not in ONE_WAY and len(left) <= SIZE)
        assert digests_in(store) == [DIGEST]

    @KINDS
    def test_a_source_that_is_wrong_itself_is_begun_anew_once_and_kept(self, store, source, kind):
        seen = []
        begin(store, "w", WRONG[:20_000])
        with pytest.raises(DigestMismatch) as caught:
            transfer.ingest(store, "w", source(DATA), expected=ABSENT, progress=seen.append)
        assert caught.value.args == (ABSENT, DIGEST)
        assert restarts(seen) == (kind not in ONE_WAY)
        with store.writer("w") as writer:
            assert writer.digest == DIGEST

    @KINDS
    def test_a_source_that_is_wrong_from_its_beginning_is_read_once(self, store, source):
        seen = []
        with pytest.raises(DigestMismatch):
            transfer.ingest(store, "w", source(DATA), expected=ABSENT, progress=seen.append)
        assert restarts(seen) == 0

    def test_a_file_is_taken_up_under_its_own_ref(self, store, tmp_path):
        seen, path = [], tmp_path / "source"
        path.write_bytes(DATA)
        ref = transfer.ref_for(path)
        begin(store, ref, DATA[:20_000])
        transfer.ingest(store, ref, path, progress=seen.append)
        assert (seen[0], restarts(seen)) == (20_000, 0)
        assert digests_in(store) == [DIGEST]

    def test_a_file_that_broke_is_taken_up_when_it_is_whole(self, store):
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                transfer.ingest(store, "w", Breaking(DATA))
            assert store.ingest("w").offset == 20_000
        assert transfer.ingest(store, "w", io.BytesIO(DATA)).digest == DIGEST

    # Totals

    @KINDS
    def test_the_size_of_a_source_does_not_bind_the_ref(self, store, source):
        with pytest.raises(DigestMismatch):
            transfer.ingest(store, "w", source(DATA[:20_000]), expected=DIGEST)
        assert store.ingest("w")[1:4] == (20_000, None, DIGEST)
        assert transfer.ingest(store, "w", source(DATA), expected=DIGEST).digest == DIGEST

    @KINDS
    def test_a_total_that_is_given_binds_the_ref(self, store, source):
        with pytest.raises(SizeMismatch):
            transfer.ingest(store, "w", source(DATA[:20_000]), total=SIZE)
        before = store.ingest("w")
        assert before[1:3] == (20_000, SIZE)
        with pytest.raises(IngestMismatch):
            transfer.ingest(store, "w", source(DATA[:20_000]), total=20_000)
        assert store.ingest("w") == before
        assert transfer.ingest(store, "w", source(DATA), total=SIZE).digest == DIGEST

    # Sources that have no more just now

    @pytest.mark.parametrize("buffering", [0, -1])
    def test_a_pipe_that_has_no_more_now_is_not_taken_for_a_whole_source(self, store, buffering):
        end, start = os.pipe()
        os.set_blocking(end, False)
        with (
            os.fdopen(end, "rb", buffering=buffering) as source,
            os.fdopen(start, "wb", buffering=0) as target,
        ):
            target.write(HELLO[:5])
            with pytest.raises(BlockingIOError):
                transfer.ingest(store, "w", source)
            assert store.ingest("w").offset == 5
            target.write(HELLO[5:])
            target.close()
            blob = transfer.ingest(store, "w", source, append=True)
        assert blob.digest == Digest.of(HELLO)

    # Progress

    @KINDS
    def test_progress_is_told_at_each_step(self, store, source, monkeypatch):
        monkeypatch.setattr(transfer, "STEP", 14_000)
        monkeypatch.setattr(transfer, "REPORT_SECONDS", HOUR)
        seen = []
        transfer.ingest(store, "w", source(DATA), progress=seen.append)
        assert seen == [0, 14_000, 28_000, 42_000, SIZE]

    def test_progress_is_told_after_each_piece_that_comes_late_enough(self, store, monkeypatch):
        monkeypatch.setattr(transfer, "REPORT_SECONDS", 0.0)
        seen = []
        transfer.ingest(store, "w", pieces(DATA), progress=seen.append)
        assert seen == [0, 0, *range(7000, SIZE, 7000), SIZE, SIZE]
        assert transfer.REPORT_SECONDS < 1
