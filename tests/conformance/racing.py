"""What every store promises when many threads want the same thing at once."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest

from lading.errors import Aborted, AlreadyExists, Error, NotFound, RefLocked
from lading.model.digest import Digest
from tests.conformance.samples import HELLO, refs_in, sample

CROWD = 8
ROUNDS = 5


@contextmanager
def quick_turns():
    """Have threads take turns so often that each gap between two steps is met."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(*calls):
    """Make every call from a thread of its own, all together; give what each returned or raised.

    Only our own errors count as an outcome. Any other is a defect, and is raised.
    """
    barrier = Barrier(len(calls))

    def outcome(call):
        barrier.wait()
        try:
            return call()
        except Error as error:
            return error

    with quick_turns(), ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def kinds(outcomes):
    """The types of the outcomes, for counting."""
    return [type(outcome) for outcome in outcomes]


class RacingContract:
    def test_one_of_many_gets_a_new_ref(self, store, twin):
        for number in range(ROUNDS):
            ref = f"w{number}"
            outcomes = at_once(
                *[lambda store=handle, ref=ref: store.writer(ref) for handle in (store, twin)]
                * (CROWD // 2)
            )
            assert kinds(outcomes).count(RefLocked) == CROWD - 1
            [winner] = [each for each in outcomes if not isinstance(each, RefLocked)]
            with winner:
                winner.write(HELLO)
            assert store.ingest(ref).offset == len(HELLO)

    def test_one_of_many_gets_a_ref_that_was_left(self, store, twin):
        for number in range(ROUNDS):
            outcomes = at_once(
                *[lambda store=handle: store.writer("w") for handle in (store, twin)] * (CROWD // 2)
            )
            assert kinds(outcomes).count(RefLocked) == CROWD - 1
            [winner] = [each for each in outcomes if not isinstance(each, RefLocked)]
            with winner:
                assert winner.offset == number
                winner.write(b"x")

    @pytest.mark.slow
    def test_one_of_many_commits_of_a_digest_makes_the_blob(self, store, twin):
        for number in range(ROUNDS):
            data = sample(10_000, str(number))
            writers = [(store, twin)[place % 2].writer(f"w{place}") for place in range(CROWD)]
            for writer in writers:
                writer.write(data)
            outcomes = at_once(*[writer.commit for writer in writers])
            assert kinds(outcomes).count(AlreadyExists) == CROWD - 1
            [blob] = [each for each in outcomes if not isinstance(each, AlreadyExists)]
            assert blob == twin.blob(Digest.of(data))
            assert store.read(blob.digest) == data
            assert list(store.ingests()) == []

    def test_many_may_add_the_same_bytes(self, store, twin):
        for number in range(ROUNDS):
            data = sample(1000, str(number))
            outcomes = at_once(
                *[lambda store=handle, data=data: store.add(data) for handle in (store, twin)]
                * (CROWD // 2)
            )
            assert outcomes == [store.blob(Digest.of(data))] * CROWD
            assert store.read(Digest.of(data)) == data
        assert list(store.ingests()) == []

    def test_many_may_write_different_blobs(self, store, twin):
        def ingest(number):
            data = sample(20_000, str(number))
            with (store, twin)[number % 2].writer(f"w{number}", total=len(data)) as writer:
                for place in range(0, len(data), 3000):
                    writer.write(data[place : place + 3000])
                return writer.commit(expected=Digest.of(data))

        blobs = at_once(*[lambda number=number: ingest(number) for number in range(2 * CROWD)])
        assert sorted(store.blobs()) == sorted(blobs)
        for number, blob in enumerate(blobs):
            assert store.read(blob.digest) == sample(20_000, str(number))

    def test_a_commit_and_an_abort_never_both_succeed(self, store, twin):
        for number in range(2 * ROUNDS):
            data = sample(1000, str(number))
            with store.writer("w") as writer:
                writer.write(data)
                committed, aborted = at_once(writer.commit, lambda: twin.abort("w"))
            if isinstance(committed, Aborted):
                assert aborted is None
                assert Digest.of(data) not in twin
            else:
                assert isinstance(aborted, NotFound), (committed, aborted)
                assert twin.read(committed.digest) == data
            assert list(store.ingests()) == []

    def test_a_commit_of_a_known_blob_and_an_abort_never_both_end_the_ingest(self, store, twin):
        for number in range(2 * ROUNDS):
            data = sample(1000, f"known {number}")
            store.add(data)
            with store.writer("w") as writer:
                writer.write(data)
                committed, aborted = at_once(writer.commit, lambda: twin.abort("w"))
            if isinstance(committed, Aborted):
                assert aborted is None
            else:
                assert isinstance(committed, AlreadyExists)
                assert isinstance(aborted, NotFound), aborted
            assert list(store.ingests()) == []
            assert twin.read(Digest.of(data)) == data

    def test_one_of_many_aborts_ends_the_ingest(self, store, twin):
        for _ in range(ROUNDS):
            with store.writer("w") as writer:
                writer.write(HELLO)
                outcomes = at_once(
                    *[lambda store=handle: store.abort("w") for handle in (store, twin)]
                    * (CROWD // 2)
                )
                assert kinds(outcomes).count(NotFound) == CROWD - 1
                with pytest.raises(Aborted):
                    writer.commit()
            assert list(store.ingests()) == []

    def test_one_of_many_deletions_succeeds(self, store, twin):
        for _ in range(ROUNDS):
            digest = store.add(HELLO).digest
            outcomes = at_once(
                *[
                    lambda store=handle, digest=digest: store.delete(digest)
                    for handle in (store, twin)
                ]
                * (CROWD // 2)
            )
            assert kinds(outcomes).count(NotFound) == CROWD - 1
            assert digest not in store

    @pytest.mark.slow
    def test_listings_hold_while_everything_changes(self, store, twin):
        def change(number):
            for turn in range(ROUNDS):
                data = sample(100, f"{number}-{turn}")
                with store.writer(f"w{number}") as writer:
                    writer.write(data)
                    writer.commit()
                with store.writer(f"w{number}") as writer:
                    writer.write(data)
                store.abort(f"w{number}")
                if turn:
                    store.delete(Digest.of(sample(100, f"{number}-{turn - 1}")))

        def look():
            for _ in range(3 * ROUNDS):
                assert {blob.size for blob in twin.blobs()} <= {100}
                assert {ingest.offset for ingest in twin.ingests()} <= {0, 100}

        outcomes = at_once(*[lambda number=number: change(number) for number in range(3)], look)
        assert outcomes == [None] * 4
        last = [Digest.of(sample(100, f"{number}-{ROUNDS - 1}")) for number in range(3)]
        assert sorted(blob.digest for blob in store.blobs()) == sorted(last)
        assert refs_in(store) == []

    def test_a_status_is_always_true_while_a_writer_writes(self, store, twin):
        piece = sample(1000)
        offered, acknowledged = [0], [0]

        def write():
            with store.writer("w") as writer:
                for _ in range(100):
                    offered[0] += len(piece)
                    writer.write(piece)
                    acknowledged[0] = offered[0]

        def look():
            before = 0
            for _ in range(100):
                kept = acknowledged[0]
                offset = twin.ingest("w").offset
                # A file may be seen to grow in the middle of a write, page by page.
                assert max(before, kept) <= offset <= offered[0]
                before = offset

        store.writer("w").close()
        assert at_once(write, look) == [None, None]
        assert twin.ingest("w").offset == 100_000
