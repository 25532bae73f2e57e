"""What every store promises of a ref: one writer at a time, and nobody lets go for another."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lading.content.store import time_of
from lading.errors import (
    AlreadyExists,
    FailedPrecondition,
    IngestMismatch,
    RefLocked,
    WriterClosed,
)
from lading.model.digest import Digest
from tests.conformance.samples import ABSENT, EVERY_CALL, HELLO, begin

RIGHT = Digest.of(HELLO)
LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=30)
MOMENT = 0.05
"""Seconds in which a call that waits for nothing would have answered."""


def is_locked(store, ref):
    """Whether somebody holds `ref`."""
    try:
        store.writer(ref).close()
    except RefLocked:
        return True
    return False


class LockingContract:
    # One writer for a ref

    def test_one_writer_holds_a_ref(self, store, twin):
        with store.writer("w"), store.writer("other"):
            for handle in (store, twin):
                for ref in ("w", "other"):
                    with pytest.raises(RefLocked):
                        handle.writer(ref)
            twin.writer("a third").close()

    def test_a_resumed_ref_is_held_as_a_new_one_is(self, store, twin):
        begin(store, "w", HELLO)
        with twin.writer("w"):
            assert is_locked(store, "w")
            assert is_locked(twin, "w")

    def test_who_is_locked_out_learns_who_holds_the_ref_and_since_when(self, store, twin):
        before = time_of(time.time_ns())
        with store.writer("w"):
            after = time_of(time.time_ns())
            with pytest.raises(RefLocked) as caught:
                twin.writer("w")
        assert caught.value.ref == "w"
        assert caught.value.holder
        assert before <= caught.value.since <= after

    def test_the_lock_is_as_old_as_its_writer_and_not_as_its_ingest(self, store, twin):
        begin(store, "w", HELLO)
        between = time_of(time.time_ns())
        with store.writer("w"):
            with pytest.raises(RefLocked) as caught:
                twin.writer("w")
            assert caught.value.since >= between

    def test_being_locked_out_disturbs_nothing(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO[:5])
            before = writer.status()
            with pytest.raises(RefLocked):
                twin.writer("w", total=100, expected=ABSENT)
            assert writer.status() == before
            writer.write(HELLO[5:])
            assert writer.commit().digest == RIGHT

    # Letting go

    @pytest.mark.parametrize("ending", ["close", "commit", "known", "abort", "block", "error"])
    def test_an_ended_writer_leaves_the_ref_free(self, store, twin, ending):
        writer = store.writer("w")
        writer.write(HELLO)
        match ending:
            case "close":
                writer.close()
            case "commit":
                writer.commit()
            case "known":
                twin.add(HELLO)
                with pytest.raises(AlreadyExists):
                    writer.commit()
            case "abort":
                twin.abort("w")
            case "block":
                with writer:
                    pass
            case "error":
                with pytest.raises(ZeroDivisionError), writer:
                    raise ZeroDivisionError
        assert not is_locked(store, "w")
        assert not is_locked(twin, "w")
        writer.close()

    @pytest.mark.parametrize("commit", [{"size": 1}, {"expected": ABSENT}])
    def test_a_refused_commit_does_not_let_go(self, store, twin, commit):
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(FailedPrecondition):
                writer.commit(**commit)
            assert is_locked(store, "w")
            assert is_locked(twin, "w")

    def test_truncate_does_not_let_go(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            writer.truncate()
            assert is_locked(twin, "w")

    def test_a_refused_opening_leaves_the_ref_free(self, store, twin):
        store.add(HELLO)
        store.writer("w", total=12).close()
        with pytest.raises(IngestMismatch):
            store.writer("w", total=13)
        assert not is_locked(twin, "w")
        with pytest.raises(AlreadyExists):
            store.writer("w", expected=RIGHT)
        assert not is_locked(twin, "w")

    @pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
    def test_a_closed_writer_cannot_unlock_its_successor(self, store, twin, call):
        first = store.writer("w")
        first.write(HELLO)
        first.close()
        with twin.writer("w") as second:
            with pytest.raises(WriterClosed):
                call(first)
            first.close()
            with first:
                pass
            assert is_locked(store, "w")
            assert is_locked(twin, "w")
            assert second.digest == RIGHT
            assert second.commit().digest == RIGHT

    def test_a_committed_writer_cannot_unlock_its_successor(self, store, twin):
        first = store.writer("w")
        first.commit()
        with twin.writer("w") as second:
            with pytest.raises(WriterClosed):
                first.commit()
            first.close()
            assert is_locked(store, "w")
            second.write(HELLO)
            assert second.commit().digest == RIGHT

    # Waiting

    def test_a_waiting_writer_gets_the_ref_when_the_other_lets_go(self, store, twin):
        with ThreadPoolExecutor() as pool, store.writer("w") as first:
            first.write(HELLO)
            waiting = pool.submit(twin.writer, "w", wait=LONG)
            with pytest.raises(TimeoutError):
                waiting.result(MOMENT)
            first.close()
            with waiting.result() as second:
                assert second.offset == len(HELLO)
                assert second.commit().digest == RIGHT

    def test_a_waiting_writer_begins_anew_after_a_commit(self, store, twin):
        with ThreadPoolExecutor() as pool, store.writer("w") as first:
            first.write(HELLO)
            waiting = pool.submit(twin.writer, "w", wait=LONG)
            with pytest.raises(TimeoutError):
                waiting.result(MOMENT)
            first.commit()
            with waiting.result() as second:
                assert second.offset == 0
                assert twin.ingest("w").offset == 0

    def test_a_waiting_writer_begins_anew_after_an_abort(self, store, twin):
        with ThreadPoolExecutor() as pool, store.writer("w") as first:
            first.write(HELLO)
            waiting = pool.submit(twin.writer, "w", wait=LONG)
            with pytest.raises(TimeoutError):
                waiting.result(MOMENT)
            store.abort("w")
            with waiting.result() as second:
                assert second.offset == 0
                assert is_locked(store, "w")

    def test_a_waiting_writer_learns_that_its_blob_has_come(self, store, twin):
        with ThreadPoolExecutor() as pool, store.writer("w") as first:
            first.write(HELLO)
            waiting = pool.submit(twin.writer, "w", expected=RIGHT, wait=LONG)
            with pytest.raises(TimeoutError):
                waiting.result(MOMENT)
            first.commit()
            with pytest.raises(AlreadyExists):
                waiting.result()
        assert list(store.ingests()) == []

    def test_waiting_ends_with_the_time_given(self, store, twin):
        with store.writer("w"):
            for handle in (store, twin):
                before = time.monotonic()
                with pytest.raises(RefLocked) as caught:
                    handle.writer("w", wait=SHORT)
                assert time.monotonic() - before >= SHORT.total_seconds()
                assert caught.value.holder

    @pytest.mark.parametrize("wait", [None, timedelta(0), LONG])
    def test_a_free_ref_is_not_waited_for(self, store, wait):
        before = time.monotonic()
        store.writer("w", wait=wait).close()
        store.writer("w", wait=wait).close()
        assert time.monotonic() - before < LONG.total_seconds() / 2

    def test_waiting_writers_take_their_turns(self, store, twin):
        def append(number):
            with (twin if number % 2 else store).writer("w", wait=LONG) as writer:
                writer.write(bytes([number]))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, range(12)))
        with store.writer("w") as writer:
            blob = writer.commit()
        assert sorted(store.read(blob.digest)) == list(range(12))
