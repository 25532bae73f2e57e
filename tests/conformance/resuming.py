"""What every store promises of an ingest that is taken up again, and of its ref."""

import time

import pytest

from lading.errors import IngestMismatch, InvalidArgument, NotFound, SizeMismatch
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import ABSENT, HELLO, begin, refs_in, sample

RIGHT = Digest.of(HELLO)
RIGHT_512 = Digest.of(HELLO, "sha512")

GRID = pytest.mark.parametrize("size", [500, 5000, 50_000, (1 << 20) + 11])
SHARES = pytest.mark.parametrize("percent", [0, 10, 50, 90, 100])

REFS = {
    "plain": "layer-sha256:abc",
    "path": "a/b",
    "upwards": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "dot": ".",
    "dots": "..",
    "blank": " ",
    "nul": "a\0b",
    "newline": "a\nb\n",
    "carriage-return": "a\r\nb",
    "controls": "\x01\x1b[31m\x7f",
    "accent": "caf\u00e9",
    "combining-accent": "cafe\u0301",
    "upper": "LAYER-SHA256:ABC",
    "right-to-left": "\u202e\u05d0",
    "beyond-the-basic-plane": "\U0001f6a2",
    "not-a-character": "\ufffe\uffff",
    "byte-order-mark": "\ufeffa",
    "long-name": "x" * 255,
    "longer-name": "x" * 256,
    "longer-path": "x/" * 4096,
    "longest": "x" * 65_536,
    "longest-in-bytes": "\u00e9" * 32_768,
}
BAD_REFS = {
    "empty": "",
    "too-long": "x" * 65_537,
    "too-long-in-bytes": "\u00e9" * 32_769,
    "half-a-pair": "a\ud800b",
    "escaped-byte": "a\udcffb",
}


class ResumingContract:
    # From where it stopped

    @GRID
    @SHARES
    def test_an_ingest_resumes_where_it_stopped(self, store, twin, size, percent):
        data = sample(size)
        written = size * percent // 100
        begin(store, "w", data[:written])
        with twin.writer("w") as writer:
            assert writer.offset == written
            assert writer.digest == Digest.of(data[:written])
            writer.write(data[written:])
            assert writer.commit(size=size, expected=Digest.of(data)).size == size
        assert store.read(Digest.of(data)) == data

    @GRID
    @SHARES
    def test_a_resumed_ingest_can_start_over(self, store, twin, size, percent):
        data = sample(size)
        written = size * percent // 100
        begin(store, "w", sample(written, "wrong"))
        with twin.writer("w") as writer:
            assert writer.offset == written
            writer.truncate()
            assert writer.offset == 0
            assert writer.digest == Digest.of(b"")
            writer.write(data)
            assert writer.commit(size=size, expected=Digest.of(data)).size == size
        assert store.read(Digest.of(data)) == data

    def test_truncate_and_close_leave_an_empty_ingest(self, store, twin):
        begin(store, "w", HELLO)
        with store.writer("w") as writer:
            writer.truncate()
        assert twin.ingest("w").offset == 0
        with twin.writer("w") as writer:
            assert writer.offset == 0
            assert writer.digest == Digest.of(b"")

    @pytest.mark.parametrize("size", [0, 128])
    def test_an_ingest_is_described_as_its_writer_left_it(self, store, twin, size):
        with store.writer("w", total=256) as writer:
            if size:
                writer.write(sample(size))
            left = writer.status()
        assert twin.ingest("w") == left
        assert list(twin.ingests()) == [left]
        with twin.writer("w") as writer:
            assert writer.status() == left

    def test_a_resumed_ingest_has_the_status_that_it_was_left_with(self, store, twin):
        with store.writer("w", total=256, expected=ABSENT) as writer:
            before = time.time_ns()
            writer.write(sample(128))
            after = time.time_ns()
            left = writer.status()
        assert twin.ingest("w")[:5] == left[:5]
        assert before <= twin.ingest("w").updated_ns <= after
        with twin.writer("w") as writer:
            resumed = writer.status()
            assert resumed[:5] == left[:5]
            assert before <= resumed.updated_ns <= after
            writer.write(sample(128))
            assert writer.status().started_ns == left.started_ns
            assert writer.status().updated_ns > after

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_an_ingest_grows_over_many_writers(self, store, twin, algorithm):
        data = sample(1000)
        digest = Digest.of(data, algorithm)
        for place in range(0, 1000, 100):
            with (twin if place % 200 else store).writer("w", expected=digest) as writer:
                assert writer.offset == place
                assert writer.digest == Digest.of(data[:place], algorithm)
                for part in range(place, place + 100, 25):
                    writer.write(data[part : part + 25])
        with store.writer("w") as writer:
            assert writer.commit().digest == digest

    def test_leaving_the_block_by_an_error_keeps_the_bytes(self, store, twin):
        writer = store.writer("w")
        writer.write(HELLO)
        with pytest.raises(ZeroDivisionError), writer:
            raise ZeroDivisionError
        with twin.writer("w") as writer:
            assert writer.digest == RIGHT

    # Total and expected digest

    @pytest.mark.parametrize("again", [{}, {"total": 12}, {"expected": RIGHT_512}])
    def test_total_and_expected_digest_are_remembered(self, store, twin, again):
        with store.writer("w", total=12, expected=RIGHT_512) as writer:
            writer.write(HELLO[:5])
        assert twin.ingest("w")[2:4] == (12, RIGHT_512)
        with twin.writer("w", **again) as writer:
            assert writer.status()[2:4] == (12, RIGHT_512)
            assert writer.digest == Digest.of(HELLO[:5], "sha512")
            with pytest.raises(SizeMismatch):
                writer.write(HELLO)
            writer.write(HELLO[5:])
            assert writer.commit().digest == RIGHT_512

    def test_total_and_expected_digest_are_taken_up_when_they_become_known(self, store, twin):
        begin(store, "w", HELLO[:5])
        with twin.writer("w", total=12) as writer:
            assert writer.status()[2:4] == (12, None)
            assert store.ingest("w")[2:4] == (12, None)
        with store.writer("w", expected=RIGHT_512) as writer:
            assert writer.status()[2:4] == (12, RIGHT_512)
            assert writer.digest == Digest.of(HELLO[:5], "sha512")
        assert twin.ingest("w")[1:4] == (5, 12, RIGHT_512)
        with twin.writer("w") as writer:
            writer.write(HELLO[5:])
            assert writer.commit().digest == RIGHT_512

    @pytest.mark.parametrize(
        ("given", "facts"),
        [
            ({"total": 13}, ("total", 12, 13)),
            ({"total": 0}, ("total", 12, 0)),
            ({"expected": ABSENT}, ("expected digest", RIGHT, ABSENT)),
            ({"expected": RIGHT_512}, ("expected digest", RIGHT, RIGHT_512)),
            ({"total": 12, "expected": ABSENT}, ("expected digest", RIGHT, ABSENT)),
            ({"total": 13, "expected": RIGHT}, ("total", 12, 13)),
        ],
    )
    def test_another_transfer_under_the_ref_is_refused_and_the_ingest_kept(
        self, store, twin, given, facts
    ):
        with store.writer("w", total=12, expected=RIGHT) as writer:
            writer.write(HELLO[:5])
        before = store.ingest("w")
        for handle in (store, twin):
            with pytest.raises(IngestMismatch) as caught:
                handle.writer("w", **given)
            assert caught.value.args == ("w", *facts)
            assert handle.ingest("w") == before
        with twin.writer("w") as writer:
            writer.write(HELLO[5:])
            assert writer.commit().digest == RIGHT

    def test_a_refused_opening_remembers_nothing_of_what_it_named(self, store):
        with store.writer("w", total=12) as writer:
            writer.write(HELLO)
        with pytest.raises(IngestMismatch):
            store.writer("w", total=13, expected=ABSENT)
        assert store.ingest("w").expected is None
        with store.writer("w") as writer:
            assert writer.commit().digest == RIGHT

    def test_a_total_below_what_the_ref_holds_leaves_room_only_after_truncate(self, store, twin):
        begin(store, "w", sample(20))
        with twin.writer("w", total=12) as writer:
            assert (writer.offset, writer.digest) == (20, Digest.of(sample(20)))
            with pytest.raises(SizeMismatch):
                writer.write(b"x")
            with pytest.raises(SizeMismatch):
                writer.commit()
            writer.truncate()
            writer.write(HELLO)
            assert writer.commit().digest == RIGHT

    def test_a_total_of_nothing_is_remembered_as_a_total(self, store, twin):
        store.writer("w", total=0).close()
        assert twin.ingest("w").total == 0
        with pytest.raises(IngestMismatch):
            twin.writer("w", total=1)

    # Refs

    @pytest.mark.parametrize("ref", REFS.values(), ids=REFS)
    def test_any_text_is_a_ref(self, store, twin, ref):
        begin(store, ref, HELLO[:5])
        assert twin.ingest(ref).ref == ref
        assert refs_in(twin) == [ref]
        with twin.writer(ref) as writer:
            assert (writer.ref, writer.offset) == (ref, 5)
            writer.write(HELLO[5:])
            writer.commit()
        begin(store, ref, b"again")
        store.abort(ref)
        with pytest.raises(NotFound):
            twin.ingest(ref)

    @pytest.mark.slow
    def test_refs_that_look_alike_are_several(self, store):
        for ref in REFS.values():
            begin(store, ref, ref.encode())
        assert refs_in(store) == sorted(REFS.values())
        assert len(REFS) == len(set(REFS.values()))
        for ref in REFS.values():
            with store.writer(ref) as writer:
                assert writer.digest == Digest.of(ref.encode())

    @pytest.mark.parametrize("ref", BAD_REFS.values(), ids=BAD_REFS)
    def test_what_is_no_text_or_too_long_is_no_ref(self, store, ref):
        with pytest.raises(InvalidArgument):
            store.writer(ref)
        for ask in (store.ingest, store.abort):
            with pytest.raises((InvalidArgument, NotFound)):
                ask(ref)
        assert list(store.ingests()) == []

    def test_an_ingest_that_was_never_begun_is_not_found(self, store):
        begin(store, "other", HELLO)
        with pytest.raises(NotFound) as caught:
            store.ingest("w")
        assert (caught.value.kind, caught.value.what) == ("ingest", "w")
