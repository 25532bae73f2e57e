"""What every store promises of an abort, also under a writer."""

import pytest

from lading.errors import Aborted, NotFound
from lading.model.digest import Digest
from tests.conformance.samples import ABSENT, EVERY_CALL, HELLO, begin, digests_in, refs_in, sample

RIGHT = Digest.of(HELLO)
CALLS = pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)


class AbortingContract:
    # An ingest that nobody holds

    def test_an_aborted_ingest_is_gone(self, store, twin):
        begin(store, "w", HELLO)
        begin(store, "other", HELLO)
        twin.abort("w")
        for handle in (store, twin):
            assert refs_in(handle) == ["other"]
            with pytest.raises(NotFound):
                handle.ingest("w")

    def test_a_ref_begins_anew_after_an_abort(self, store, twin):
        with store.writer("w", total=12, expected=RIGHT) as writer:
            writer.write(HELLO)
            before = writer.status()
        store.abort("w")
        with twin.writer("w", total=5, expected=ABSENT) as writer:
            assert writer.offset == 0
            assert writer.digest == Digest.of(b"")
            assert writer.status()[1:4] == (0, 5, ABSENT)
            assert writer.status().started_ns > before.started_ns

    def test_an_ingest_that_is_not_there_cannot_be_aborted(self, store):
        for _ in range(2):
            with pytest.raises(NotFound) as caught:
                store.abort("w")
            assert (caught.value.kind, caught.value.what) == ("ingest", "w")

    def test_an_ingest_is_aborted_once(self, store, twin):
        begin(store, "w", HELLO)
        store.abort("w")
        for handle in (store, twin):
            with pytest.raises(NotFound):
                handle.abort("w")

    def test_a_committed_ingest_cannot_be_aborted(self, store):
        with store.writer("w") as writer:
            writer.write(HELLO)
            writer.commit()
        with pytest.raises(NotFound):
            store.abort("w")
        assert store.read(RIGHT) == HELLO

    # An ingest that is being written

    @CALLS
    def test_an_aborted_writer_is_told_so_at_its_next_call(self, store, twin, call):
        with store.writer("w") as writer:
            writer.write(HELLO)
            twin.abort("w")
            for _ in range(2):
                with pytest.raises(Aborted) as caught:
                    call(writer)
                assert caught.value.ref == "w"
            with pytest.raises(Aborted):
                writer.digest  # noqa: B018 - asking is what fails
            with pytest.raises(Aborted):
                writer.commit()
        assert list(store.ingests()) == []
        assert list(store.blobs()) == []

    def test_an_aborted_writer_closes_in_peace(self, store, twin):
        writer = store.writer("w")
        writer.write(HELLO)
        twin.abort("w")
        writer.close()
        writer.close()
        assert list(store.ingests()) == []
        assert list(store.blobs()) == []

    @CALLS
    def test_an_aborted_writer_cannot_harm_its_successor(self, store, twin, call):
        data = sample(1000)
        with store.writer("w", total=100) as first:
            first.write(HELLO)
            twin.abort("w")
            with twin.writer("w", total=1000) as second:
                assert second.offset == 0
                second.write(data[:500])
                before = second.status()
                with pytest.raises(Aborted):
                    call(first)
                first.close()
                assert second.status() == before
                assert store.ingest("w")[:5] == before[:5]
                second.write(data[500:])
                assert second.commit().digest == Digest.of(data)
        assert store.read(Digest.of(data)) == data
        assert digests_in(store) == [Digest.of(data)]

    def test_an_aborted_writer_that_closes_leaves_the_ref_to_its_successor(self, store, twin):
        first = store.writer("w")
        store.abort("w")
        with store.writer("w") as second:
            first.close()
            twin.abort("w")
            third = twin.writer("w")
            with pytest.raises(Aborted):
                second.write(HELLO)
            third.write(HELLO)
            assert third.commit().digest == RIGHT

    def test_an_aborted_writer_cannot_publish_what_its_successor_wrote(self, store, twin):
        with store.writer("w") as first:
            first.write(HELLO)
            store.abort("w")
            with twin.writer("w") as second:
                second.write(HELLO)
            with pytest.raises(Aborted):
                first.commit()
            assert list(twin.blobs()) == []
            assert twin.ingest("w").offset == len(HELLO)

    def test_an_aborted_writer_cannot_publish_after_its_successor_has(self, store, twin):
        with store.writer("w") as first:
            first.write(b"stale")
            store.abort("w")
            with twin.writer("w") as second:
                second.write(HELLO)
                second.commit()
            with pytest.raises(Aborted):
                first.commit()
        assert digests_in(store) == [RIGHT]
        assert list(store.ingests()) == []

    def test_a_large_ingest_is_aborted_under_its_writer(self, store, twin):
        data = sample(3 << 20)
        with store.writer("w", total=2 * len(data)) as writer:
            writer.write(data)
            twin.abort("w")
            with pytest.raises(Aborted):
                writer.write(data)
        assert list(store.ingests()) == []

    def test_an_abort_leaves_other_writers_alone(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            begin(twin, "other", HELLO)
            twin.abort("other")
            assert writer.commit().digest == RIGHT
