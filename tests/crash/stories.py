"""What is done to a store before the power goes: scripts, told by one who notes what he learns.

Every story can be told again from its beginning, on whatever is left of an earlier telling.
"""

import contextlib
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from lading.content.store import Writer
from lading.errors import AlreadyExists, DigestMismatch, Error, NotFound
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.conformance.samples import ABSENT, sample
from tests.crash.ledger import Ledger
from tests.support.volatile import Dead, VolatileDisk


class Anew(NamedTuple):
    """Truncate, and go on with another whole."""

    whole: bytes


class Copied(NamedTuple):
    """Append up to `end` from a real file."""

    end: int


SYNC, COMMIT, REFUSED, DIE = "sync", "commit", "refused", "die"
Step = int | str | Anew | Copied


class Actor:
    """Uses one store, and tells the ledger what it asked for and what it was told."""

    def __init__(self, store: LocalStore, ledger: Ledger, source: Path | None = None) -> None:
        self.store, self.ledger, self._source = store, ledger, source

    def write(
        self,
        ref: str,
        whole: bytes,
        *steps: Step,
        total: int | None = None,
        algorithm: str | None = None,
    ) -> None:
        """Open a ref, take the steps, close it. A number is the offset to write up to."""
        self.ledger.begins(ref, whole)
        expected = Digest.of(whole, algorithm) if algorithm else None
        try:
            with self.store.writer(ref, total=total, expected=expected) as writer:
                hand = _Hand(self, writer, whole)
                try:
                    for step in steps:
                        hand.take(step)
                except Error:
                    self.ledger.check_offset(self.store, writer)
                    raise
        except AlreadyExists as known:
            self.ledger.has_blobs([whole], known.what.algorithm)
        else:
            if not hand.ended:
                self.ledger.keeps(ref, hand.whole, writer.offset)

    def abort(self, ref: str) -> None:
        self.ledger.ends(ref)
        with contextlib.suppress(NotFound):
            self.store.abort(ref)

    def add(self, content: bytes) -> None:
        self.store.add(content)
        self.ledger.has_blobs([content])

    def batch(self, contents: Iterable[bytes]) -> None:
        contents = list(contents)
        with self.store.batch() as batch:
            for content in contents:
                batch.add(content)
        self.ledger.has_blobs(contents)

    def delete(self, content: bytes) -> None:
        self.ledger.blobs.pop(Digest.of(content), None)
        with contextlib.suppress(NotFound):
            self.store.delete(Digest.of(content))

    def die(self) -> None:
        """End the process here, with nothing closed."""
        disk = self.store._disk
        assert isinstance(disk, VolatileDisk)
        disk.dead = True
        raise Dead("killed")

    def source(self, content: bytes) -> io.BufferedReader:
        assert self._source is not None
        self._source.write_bytes(content)
        return self._source.open("rb")


class _Hand:
    """One open writer, and what it is writing."""

    def __init__(self, actor: Actor, writer: Writer, whole: bytes) -> None:
        self._actor, self._ledger, self._writer = actor, actor.ledger, writer
        self.whole = whole
        self.ended = False
        found = self._ledger.check_beginning(actor.store, writer)
        if whole[: writer.offset] != found[: writer.offset]:
            self._start_over()

    def take(self, step: Step) -> None:
        if self.ended:
            return
        match step:
            case int():
                self._writer.write(self.whole[self._writer.offset : step])
            case Copied(end):
                with self._actor.source(self.whole) as source:
                    source.seek(self._writer.offset)
                    self._writer.copy_from(source, limit=max(0, end - self._writer.offset))
            case Anew(whole):
                self.whole = whole
                self._ledger.begins(self._writer.ref, whole)
                self._start_over()
            case "sync":
                self._writer.sync()
                self._ledger.keeps(self._writer.ref, self.whole, self._writer.offset)
            case "refused":
                with contextlib.suppress(DigestMismatch):
                    self._writer.commit(expected=ABSENT)
            case "commit":
                self._commit()
            case "die":
                self._actor.die()

    def _start_over(self) -> None:
        self._ledger.starts_over(self._writer.ref)
        self._writer.truncate()
        self._ledger.started_over(self._writer.ref, self.whole)

    def _commit(self) -> None:
        self._ledger.ending.add(self._writer.ref)
        algorithm = self._writer.digest.algorithm
        with contextlib.suppress(AlreadyExists):
            self._writer.commit(expected=Digest.of(self.whole, algorithm))
        self._ledger.ends(self._writer.ref)
        self._ledger.has_blobs([self.whole], algorithm)
        self.ended = True


A, B, C = (sample(5_000, seed) for seed in "abc")
LONG = sample(150_000, "long")
MUCH = sample(1_000_000, "much")
SMALL = [sample(700 + place, "small") for place in range(12)]


def commits_at_once(actor: Actor) -> None:
    actor.write("r", A, 3_000, 5_000, COMMIT)


def closes_and_resumes(actor: Actor) -> None:
    actor.write("r", A, 1_000, total=5_000, algorithm="sha256")
    actor.write("r", A, 2_000, 3_300)
    actor.write("r", A)
    actor.write("r", A, 5_000, COMMIT)


def syncs_often(actor: Actor) -> None:
    actor.write("r", LONG, 700, SYNC, 1_500, SYNC, SYNC, 80_000, SYNC, 90_000)
    actor.write("r", LONG, 100_000, SYNC, 150_000, SYNC, COMMIT)


def truncates_what_was_synced(actor: Actor) -> None:
    actor.write("r", A, 4_000, SYNC, Anew(B), 2_000)
    actor.write("r", B, 3_000, SYNC, 4_500, Anew(C), 4_000, SYNC, 5_000, COMMIT)


def truncates_what_was_not_synced(actor: Actor) -> None:
    actor.write("r", A, 4_000, Anew(B), 2_000, Anew(C), 3_000, SYNC, Anew(A))
    actor.write("r", A, 3_000, 4_000)
    actor.write("r", A, 5_000, COMMIT)


def commits_the_same_bytes_again(actor: Actor) -> None:
    actor.write("r", A, 5_000)
    actor.write("s", A, 5_000, SYNC, COMMIT)
    actor.write("r", A, COMMIT)
    actor.write("t", A, 5_000, COMMIT, algorithm="sha256")


def uses_a_ref_again(actor: Actor) -> None:
    actor.write("r", A, 2_500, SYNC, 5_000, COMMIT)
    actor.write("r", B, 2_000)
    actor.write("r", B, 5_000, COMMIT)


def commits_one_after_another(actor: Actor) -> None:
    """Each in the folder of the one before, where folders are kept; and some that end otherwise."""
    actor.write("r", A, 5_000, COMMIT, total=5_000, algorithm="sha256")
    actor.write("s", B, 2_000, 5_000, COMMIT)
    actor.write("t", C, 3_000, SYNC, 5_000, COMMIT)
    actor.write("r", B, 4_000, Anew(A), 5_000, COMMIT)
    actor.write("u", LONG, 2_000)
    actor.write("v", LONG, 150_000, COMMIT)
    actor.abort("u")
    actor.write("u", C, 1_000)


def aborts_and_begins_anew(actor: Actor) -> None:
    actor.write("r", A, 2_000)
    actor.write("r", A, 4_000)
    actor.abort("r")
    actor.write("r", B, 1_000)
    actor.write("r", B, 5_000, COMMIT)


def goes_on_after_a_refused_commit(actor: Actor) -> None:
    actor.write("r", A, 3_000, REFUSED, 4_000)
    actor.write("r", A, REFUSED, SYNC, 5_000, COMMIT, algorithm="sha512")


def copies_a_file_in(actor: Actor) -> None:
    actor.write("r", LONG, Copied(70_000), SYNC, Copied(100_000))
    actor.write("r", LONG, Copied(150_000), COMMIT, total=150_000)


def writes_much(actor: Actor) -> None:
    """Long enough for a thread that hashes, with the limits that its test sets."""
    actor.write("r", MUCH, 300_000, SYNC, 500_000, 700_000)
    actor.write("r", MUCH, 1_000_000, COMMIT)


def adds(actor: Actor) -> None:
    actor.add(A)
    actor.add(LONG)
    actor.add(A)


def adds_what_was_deleted(actor: Actor) -> None:
    actor.add(A)
    actor.delete(A)
    actor.add(A)
    actor.write("r", B, 5_000, COMMIT)
    actor.delete(B)
    actor.write("r", B, 5_000, COMMIT, algorithm="sha256")


def batches_a_few(actor: Actor) -> None:
    actor.add(SMALL[0])
    actor.batch(SMALL[:3])


def batches_many(actor: Actor) -> None:
    actor.batch(SMALL[:9])
    actor.batch(SMALL[7:])


STORIES: list[Callable[[Actor], None]] = [
    commits_at_once,
    closes_and_resumes,
    syncs_often,
    truncates_what_was_synced,
    truncates_what_was_not_synced,
    commits_the_same_bytes_again,
    uses_a_ref_again,
    commits_one_after_another,
    aborts_and_begins_anew,
    goes_on_after_a_refused_commit,
    copies_a_file_in,
    adds,
    adds_what_was_deleted,
    batches_a_few,
    batches_many,
]
