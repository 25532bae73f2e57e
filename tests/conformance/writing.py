"""What every store promises of a writer, from its opening to its commit."""

import time

import pytest

from lading.errors import AlreadyExists, InvalidArgument, NotFound, SizeMismatch, WriterClosed
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import BUFFERS, EVERY_CALL, HELLO, refs_in, sample

LARGE = 32 << 20
"""More than one message of any protocol holds."""


class WritingContract:
    # Before the commit

    def test_nothing_is_visible_before_the_commit(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            writer.sync()
            for handle in (store, twin):
                assert Digest.of(HELLO) not in handle
                assert list(handle.blobs()) == []
                with pytest.raises(NotFound):
                    handle.open(Digest.of(HELLO))
            writer.commit()
        assert twin.read(Digest.of(HELLO)) == HELLO

    def test_an_opened_ref_is_an_empty_ingest(self, store, twin):
        with store.writer("w") as writer:
            assert writer.ref == "w"
            assert writer.offset == 0
            assert writer.digest == Digest.of(b"")
            assert twin.ingest("w").offset == 0
        assert refs_in(twin) == ["w"]

    def test_offset_and_digest_follow_the_writes(self, store, twin):
        with store.writer("w") as writer:
            for size in (1, 0, 63, 70_000, 4096):
                before = writer.offset
                assert writer.write(sample(size)) == size
                assert writer.offset == before + size
            whole = b"".join(map(sample, (1, 0, 63, 70_000, 4096)))
            assert writer.digest == Digest.of(whole)
            assert twin.ingest("w").offset == len(whole)
            assert writer.commit().digest == Digest.of(whole)
        assert twin.read(Digest.of(whole)) == whole

    def test_several_ingests_grow_beside_each_other_whatever_is_known_of_them(self, store):
        parts = {f"w{number}": sample(100, str(number)) for number in range(4)}
        known = {
            "w0": {},
            "w1": {"total": 100},
            "w2": {"expected": Digest.of(parts["w2"])},
            "w3": {"total": 100, "expected": Digest.of(parts["w3"])},
        }
        writers = {ref: store.writer(ref, **known[ref]) for ref in parts}
        for place in range(0, 100, 32):
            for ref, writer in writers.items():
                writer.write(parts[ref][place : place + 32])
        for ref, writer in writers.items():
            assert writer.commit().digest == Digest.of(parts[ref])
        assert [store.read(Digest.of(data)) for data in parts.values()] == list(parts.values())

    @pytest.mark.slow
    @pytest.mark.parametrize("step", [LARGE, (1 << 20) + 7])
    def test_a_large_blob_goes_in_at_one_stroke_or_by_many(self, store, step):
        data = sample(LARGE)
        with store.writer("w", total=LARGE, expected=Digest.of(data)) as writer:
            for place in range(0, LARGE, step):
                piece = data[place : place + step]
                assert writer.write(piece) == len(piece)
            assert writer.offset == LARGE
            blob = writer.commit(size=LARGE, expected=Digest.of(data))
        assert (blob.size, blob.digest) == (LARGE, Digest.of(data))
        assert store.read(blob.digest) == data

    # What may be handed over

    @pytest.mark.parametrize("data", BUFFERS.values(), ids=BUFFERS)
    def test_any_buffer_is_written_and_counted_in_bytes(self, store, data):
        plain = bytes(data)
        with store.writer("w") as writer:
            assert writer.write(data) == len(plain)
            assert writer.offset == len(plain)
            assert writer.write(data) == len(plain)
            assert writer.digest == Digest.of(plain * 2)
            blob = writer.commit()
        assert store.read(blob.digest) == plain * 2

    @pytest.mark.parametrize("size", [100, 3 << 20])
    def test_a_buffer_is_the_callers_again_after_the_write(self, store, size):
        first, second = sample(size, "first"), sample(size, "second")
        buffer = bytearray(first)
        with store.writer("w") as writer:
            writer.write(buffer)
            buffer[:] = second
            writer.write(memoryview(buffer))
            del buffer[:]
            blob = writer.commit()
        assert blob.digest == Digest.of(first + second)
        assert store.read(blob.digest) == first + second

    # Total

    @pytest.mark.parametrize("before", [0, 5, len(HELLO)])
    def test_a_write_past_the_total_is_refused_whole(self, store, before):
        with store.writer("w", total=len(HELLO)) as writer:
            writer.write(HELLO[:before])
            with pytest.raises(SizeMismatch) as caught:
                writer.write(HELLO[before:] + b"!")
            assert (caught.value.expected, caught.value.actual) == (len(HELLO), len(HELLO) + 1)
            assert writer.offset == before
            assert writer.digest == Digest.of(HELLO[:before])
            writer.write(HELLO[before:])
            assert writer.commit().digest == Digest.of(HELLO)

    def test_a_total_cannot_be_negative(self, store):
        with pytest.raises(InvalidArgument):
            store.writer("w", total=-1)
        assert list(store.ingests()) == []

    def test_a_total_of_nothing_is_a_total(self, store):
        with store.writer("w", total=0) as writer:
            assert writer.status().total == 0
            with pytest.raises(SizeMismatch):
                writer.write(b"x")
            assert writer.commit().digest == Digest.of(b"")

    # Truncate

    def test_truncate_forgets_every_byte_at_once(self, store, twin):
        with store.writer("w") as writer:
            writer.write(sample(100_000))
            writer.truncate()
            assert writer.offset == 0
            assert writer.digest == Digest.of(b"")
            assert writer.status().offset == 0
            assert twin.ingest("w").offset == 0

    @pytest.mark.parametrize("size", [0, 3, 12, 100])
    def test_what_comes_after_truncate_is_the_blob(self, store, size):
        with store.writer("w") as writer:
            writer.write(HELLO)
            writer.truncate(0)
            writer.write(sample(size))
            blob = writer.commit(size=size, expected=Digest.of(sample(size)))
        assert store.read(blob.digest) == sample(size)

    def test_truncate_works_again_and_on_nothing(self, store):
        with store.writer("w") as writer:
            writer.truncate()
            for _ in range(3):
                writer.write(b"wrong")
                writer.truncate()
                writer.truncate()
            writer.write(HELLO)
            assert writer.commit().digest == Digest.of(HELLO)

    @pytest.mark.parametrize("size", [1, len(HELLO), 100, -1])
    def test_truncate_to_another_size_is_refused_and_nothing_lost(self, store, size):
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(InvalidArgument):
                writer.truncate(size)
            assert writer.offset == len(HELLO)
            assert writer.commit().digest == Digest.of(HELLO)

    def test_truncate_keeps_the_ref_the_total_and_the_expected_digest(self, store):
        with store.writer("w", total=len(HELLO), expected=Digest.of(HELLO, "sha512")) as writer:
            writer.write(b"wrong")
            before = writer.status()
            writer.truncate()
            after = writer.status()
            assert after == before._replace(offset=0, updated_ns=after.updated_ns)
            with pytest.raises(SizeMismatch):
                writer.write(HELLO + b"!")
            writer.write(HELLO)
            assert writer.commit().digest == Digest.of(HELLO, "sha512")

    # Status

    def test_status_is_true_to_the_nanosecond(self, store, twin):
        before = time.time_ns()
        with store.writer("w", total=256) as writer:
            after = time.time_ns()
            data, started = b"", writer.status().started_ns
            assert before <= started <= after
            for size in (0, 64, 128, 64):
                piece = sample(size)
                if piece:
                    before = time.time_ns()
                    writer.write(piece)
                    after = time.time_ns()
                data += piece
                status = writer.status()
                assert status[:4] == ("w", len(data), 256, None)
                assert status.started_ns == started
                assert before <= status.updated_ns <= after
                assert writer.digest == Digest.of(data)
                assert twin.ingest("w")[:5] == status[:5]

    def test_status_tells_what_is_expected(self, store, twin):
        digest = Digest.of(HELLO, "sha384")
        with store.writer("w", expected=digest) as writer:
            assert writer.status().expected == digest
            assert writer.status().total is None
            assert twin.ingest("w").expected == digest

    # Sync

    def test_sync_changes_nothing_that_can_be_seen(self, store):
        with store.writer("w") as writer:
            writer.sync()
            writer.write(HELLO[:5])
            before = writer.status()
            writer.sync()
            assert writer.status() == before
            writer.write(HELLO[5:])
            writer.sync()
            assert writer.commit().digest == Digest.of(HELLO)

    # Ending

    @pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
    def test_a_closed_writer_refuses_every_call(self, store, call):
        writer = store.writer("w")
        writer.write(HELLO)
        writer.close()
        with pytest.raises(WriterClosed) as caught:
            call(writer)
        assert caught.value.ref == "w"
        assert store.ingest("w").offset == len(HELLO)

    def test_a_closed_writer_knows_no_digest_any_more(self, store):
        writer = store.writer("w")
        writer.write(HELLO)
        writer.close()
        with pytest.raises(WriterClosed):
            writer.digest  # noqa: B018 - asking is what fails

    @pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
    @pytest.mark.parametrize("known", [False, True])
    def test_a_committed_writer_refuses_every_call(self, store, call, known):
        writer = store.writer("w")
        writer.write(HELLO)
        if known:
            store.add(HELLO)
            with pytest.raises(AlreadyExists):
                writer.commit()
        else:
            writer.commit()
        with pytest.raises(WriterClosed):
            call(writer)
        assert store.read(Digest.of(HELLO)) == HELLO

    def test_closing_again_is_no_error(self, store):
        for commit in (False, True):
            with store.writer("w") as writer:
                writer.write(HELLO)
                if commit:
                    writer.commit()
                writer.close()
                writer.close()

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_a_committed_writer_still_knows_its_digest(self, store, algorithm):
        digest = Digest.of(HELLO, algorithm)
        with store.writer("w") as writer:
            writer.write(HELLO)
            writer.commit(expected=digest)
            assert writer.digest == digest
        assert writer.digest == digest
