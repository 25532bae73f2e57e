"""What every store promises of a commit: of one that succeeds, one that fails, one too late."""

import pytest

from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    FailedPrecondition,
    NotFound,
    RefLocked,
    SizeMismatch,
)
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import ABSENT, HELLO, begin, digests_in, refs_in, sample

SIZE = len(HELLO)
RIGHT = Digest.of(HELLO)
RIGHT_512 = Digest.of(HELLO, "sha512")
WRONG_512 = Digest.of(b"never stored", "sha512")


class CommittingContract:
    # Success

    def test_a_commit_makes_the_bytes_a_blob_and_ends_the_ingest(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO)
            blob = writer.commit()
        assert (blob.digest, blob.size, dict(blob.labels)) == (RIGHT, SIZE, {})
        for handle in (store, twin):
            assert handle.blob(RIGHT) == blob
            assert list(handle.blobs()) == [blob]
            assert list(handle.ingests()) == []
            with pytest.raises(NotFound):
                handle.ingest("w")

    def test_a_commit_without_a_write_is_the_empty_blob(self, store):
        with store.writer("w") as writer:
            blob = writer.commit()
        assert (blob.digest, blob.size) == (Digest.of(b""), 0)
        assert store.read(blob.digest) == b""

    @pytest.mark.parametrize(
        ("opening", "commit", "digest"),
        [
            ({}, {}, RIGHT),
            ({}, {"size": SIZE}, RIGHT),
            ({}, {"expected": RIGHT}, RIGHT),
            ({}, {"expected": RIGHT_512}, RIGHT_512),
            ({}, {"size": SIZE, "expected": RIGHT}, RIGHT),
            ({"total": SIZE}, {}, RIGHT),
            ({"total": 100}, {"size": SIZE}, RIGHT),
            ({"expected": RIGHT}, {}, RIGHT),
            ({"expected": RIGHT_512}, {}, RIGHT_512),
            ({"expected": RIGHT}, {"expected": RIGHT_512}, RIGHT_512),
            ({"expected": RIGHT_512}, {"expected": RIGHT}, RIGHT),
            ({"expected": ABSENT}, {"expected": RIGHT}, RIGHT),
            ({"expected": WRONG_512}, {"expected": RIGHT}, RIGHT),
            ({"total": SIZE, "expected": RIGHT}, {"size": SIZE, "expected": RIGHT}, RIGHT),
        ],
    )
    def test_a_commit_is_held_to_what_it_names_and_else_to_what_the_opening_named(
        self, store, opening, commit, digest
    ):
        with store.writer("w", **opening) as writer:
            writer.write(HELLO)
            assert writer.commit(**commit).digest == digest
        assert digests_in(store) == [digest]
        assert store.read(digest) == HELLO
        assert list(store.ingests()) == []

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 3 << 20])
    def test_a_blob_is_hashed_with_the_algorithm_of_its_expected_digest(
        self, store, algorithm, size
    ):
        data = sample(size)
        digest = Digest.of(data, algorithm)
        with store.writer("w", expected=digest) as writer:
            writer.write(data)
            assert writer.digest == digest
            assert writer.commit().digest == digest
        assert digests_in(store) == [digest]

    def test_a_ref_is_free_and_new_after_a_commit(self, store, twin):
        with store.writer("w", total=SIZE, expected=RIGHT) as first:
            first.write(HELLO)
            started = first.status().started_ns
            first.commit()
            with twin.writer("w", total=5) as second:
                assert second.offset == 0
                assert second.digest == Digest.of(b"")
                assert second.status().started_ns > started
                assert second.status().expected is None
                second.write(b"again")
                second.commit()
        assert digests_in(store) == sorted([RIGHT, Digest.of(b"again")])

    # Failure

    @pytest.mark.parametrize(
        ("opening", "commit", "error"),
        [
            ({}, {"size": SIZE + 1}, SizeMismatch(SIZE + 1, SIZE)),
            ({}, {"size": SIZE - 1}, SizeMismatch(SIZE - 1, SIZE)),
            ({}, {"size": 0}, SizeMismatch(0, SIZE)),
            ({"total": SIZE + 1}, {}, SizeMismatch(SIZE + 1, SIZE)),
            ({"total": SIZE}, {"size": SIZE + 1}, SizeMismatch(SIZE + 1, SIZE)),
            ({"expected": RIGHT}, {"size": 5}, SizeMismatch(5, SIZE)),
            ({}, {"expected": ABSENT}, DigestMismatch(ABSENT, RIGHT)),
            ({}, {"expected": WRONG_512}, DigestMismatch(WRONG_512, RIGHT_512)),
            ({}, {"size": SIZE, "expected": ABSENT}, DigestMismatch(ABSENT, RIGHT)),
            ({"expected": ABSENT}, {}, DigestMismatch(ABSENT, RIGHT)),
            ({"expected": WRONG_512}, {}, DigestMismatch(WRONG_512, RIGHT_512)),
            ({"expected": RIGHT}, {"expected": ABSENT}, DigestMismatch(ABSENT, RIGHT)),
            ({"expected": RIGHT_512}, {"expected": ABSENT}, DigestMismatch(ABSENT, RIGHT)),
        ],
    )
    def test_a_refused_commit_keeps_the_ingest_and_a_right_one_succeeds_later(
        self, store, twin, opening, commit, error
    ):
        with store.writer("w", **opening) as writer:
            writer.write(HELLO)
            before = writer.status()
            for _ in range(2):
                with pytest.raises(type(error)) as caught:
                    writer.commit(**commit)
                assert caught.value.args == error.args
            assert list(twin.blobs()) == []
            assert twin.ingest("w")[:5] == before[:5]
            assert writer.status() == before
            assert writer.commit(size=SIZE, expected=RIGHT).digest == RIGHT
        assert store.read(RIGHT) == HELLO

    @pytest.mark.parametrize(
        "commit", [{"size": SIZE}, {"expected": RIGHT}, {"expected": RIGHT_512}]
    )
    def test_an_early_commit_is_refused_and_the_writer_goes_on(self, store, commit):
        with store.writer("w") as writer:
            writer.write(HELLO[:5])
            with pytest.raises((SizeMismatch, DigestMismatch)):
                writer.commit(**commit)
            assert writer.offset == 5
            writer.write(HELLO[5:])
            blob = writer.commit(**commit)
        assert store.read(blob.digest) == HELLO

    @pytest.mark.parametrize("commit", [{"size": 5}, {"expected": ABSENT}, {"expected": WRONG_512}])
    def test_what_a_refused_commit_named_is_not_remembered(self, store, commit):
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(FailedPrecondition):
                writer.commit(**commit)
            assert (writer.status().total, writer.status().expected) == (None, None)
            assert writer.commit().digest == RIGHT

    def test_a_writer_that_was_refused_can_start_over(self, store):
        with store.writer("w", expected=RIGHT) as writer:
            writer.write(b"poisoned")
            with pytest.raises(DigestMismatch):
                writer.commit()
            writer.truncate()
            writer.write(HELLO)
            assert writer.commit().digest == RIGHT

    def test_a_refused_ingest_is_resumed_by_the_next_writer(self, store, twin):
        with store.writer("w") as writer:
            writer.write(HELLO[:5])
            with pytest.raises(DigestMismatch):
                writer.commit(expected=RIGHT)
        with twin.writer("w") as writer:
            assert writer.offset == 5
            assert writer.digest == Digest.of(HELLO[:5])
            writer.write(HELLO[5:])
            assert writer.commit(expected=RIGHT).digest == RIGHT

    # The blob is there already

    @pytest.mark.parametrize("digest", [RIGHT, RIGHT_512])
    def test_a_writer_that_expects_a_known_blob_is_refused_and_leaves_no_ingest(
        self, store, twin, digest
    ):
        with store.writer("first", expected=digest) as writer:
            writer.write(HELLO)
            writer.commit()
        for handle in (store, twin):
            with pytest.raises(AlreadyExists) as caught:
                handle.writer("w", expected=digest)
            assert caught.value.what == digest
            assert list(handle.ingests()) == []
        store.writer("w").close()

    @pytest.mark.parametrize("commit", [{}, {"expected": RIGHT}, {"size": SIZE, "expected": RIGHT}])
    def test_committing_a_known_blob_ends_the_ingest_and_leaves_the_blob(self, store, twin, commit):
        blob = twin.add(HELLO)
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(AlreadyExists) as caught:
                writer.commit(**commit)
            assert caught.value.what == RIGHT
            with twin.writer("w") as other:
                assert other.offset == 0
        assert refs_in(store) == ["w"]
        assert list(store.blobs()) == [blob]

    def test_a_blob_that_came_while_the_writer_was_open_is_known(self, store, twin):
        with store.writer("w", expected=RIGHT) as writer:
            writer.write(HELLO)
            blob = twin.add(HELLO)
            with pytest.raises(AlreadyExists):
                writer.commit()
        assert list(store.ingests()) == []
        assert list(store.blobs()) == [blob]

    def test_known_bytes_under_a_wrong_digest_are_refused_and_kept(self, store):
        store.add(HELLO)
        with store.writer("w") as writer:
            writer.write(HELLO)
            with pytest.raises(DigestMismatch):
                writer.commit(expected=ABSENT)
            assert store.ingest("w").offset == SIZE
            with pytest.raises(AlreadyExists):
                writer.commit()
        assert list(store.ingests()) == []

    def test_a_blob_known_in_one_algorithm_is_new_in_another(self, store):
        store.add(HELLO)
        with store.writer("w", expected=RIGHT_512) as writer:
            writer.write(HELLO)
            assert writer.commit().digest == RIGHT_512
        assert digests_in(store) == sorted([RIGHT, RIGHT_512])

    # All of it in a row

    def test_a_ref_survives_a_long_walk_of_refusals(self, store, twin):
        known, data = sample(256, "known"), sample(260, "new")
        digest = Digest.of(data)
        begin(store, "ref", known)
        with store.writer("ref") as writer:
            assert writer.offset == len(known)
            with pytest.raises(RefLocked):
                twin.writer("ref")
            writer.commit(size=256, expected=Digest.of(known))

        for named in (None, Digest.of(known)):
            with store.writer("ref") as writer:
                assert writer.offset == 0
                writer.write(known)
                with pytest.raises(AlreadyExists):
                    writer.commit(size=256, expected=named)
            assert refs_in(twin) == []

        with store.writer("ref") as writer:
            writer.write(data)
            with pytest.raises(DigestMismatch):
                writer.commit(size=260, expected=Digest.of(known))
        with twin.writer("ref") as writer:
            assert (writer.offset, writer.digest) == (260, digest)
            with pytest.raises(SizeMismatch):
                writer.commit(size=261, expected=digest)
            with pytest.raises(RefLocked):
                store.writer("ref")
        with store.writer("ref") as writer:
            assert (writer.offset, writer.digest) == (260, digest)
            assert writer.commit(size=260, expected=digest).size == 260

        with store.writer("ref") as writer:
            writer.write(known)
            writer.truncate()
        with twin.writer("ref") as writer:
            assert writer.offset == 0
            writer.write(b"the end")
            writer.commit(size=7)
        assert digests_in(store) == sorted([Digest.of(known), digest, Digest.of(b"the end")])
        assert list(store.ingests()) == []
