"""What a store should do, in a few dicts: the oracle of the state machines.

It knows no locks and no files, only what a ref holds and which blobs there are. It says
beforehand, exactly, what has to come of a call.
"""

from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    IngestMismatch,
    RefLocked,
    SizeMismatch,
)
from lading.model.digest import Digest


class Held:
    """What a ref holds."""

    def __init__(self):
        self.data = b""
        self.total = self.expected = self.started_ns = None

    def digest(self, expected=None):
        named = expected or self.expected
        return Digest.of(self.data, named.algorithm if named else "sha256")

    def refuses_to_grow(self, more):
        """Why `more` bytes cannot be added; None if they can."""
        size = len(self.data) + more
        return SizeMismatch(self.total, size) if size > self.limit else None

    def refuses_to_commit(self, size=None, expected=None):
        """Why this cannot become a blob; None if it can."""
        size = self.total if size is None else size
        if size not in (None, len(self.data)):
            return SizeMismatch(size, len(self.data))
        actual = self.digest(expected)
        if (expected or self.expected) not in (None, actual):
            return DigestMismatch(expected or self.expected, actual)
        return None

    def take_in(self, pieces, *, expected, can_seek, is_appended):
        """Become what `transfer.ingest` makes of it; say why that is no blob, or None."""
        whole, rest = b"".join(pieces), pieces
        resumed = bool(self.data) and not is_appended
        if resumed:
            resumed = (
                can_seek
                and len(whole) >= len(self.data)
                and (expected is not None or whole.startswith(self.data))
            )
            if resumed:
                rest = [whole[len(self.data) :]]
            else:
                self.data = b""
        refusal = self.grow(rest) or self.refuses_to_commit(expected=expected)
        if resumed and isinstance(refusal, DigestMismatch):
            self.data = b""
            refusal = self.grow(pieces) or self.refuses_to_commit(expected=expected)
        return refusal

    def grow(self, pieces):
        """Add the pieces up to the first that does not fit; say why it does not, or None."""
        for piece in pieces:
            if refusal := self.refuses_to_grow(len(piece)):
                return refusal
            self.data += piece
        return None

    @property
    def limit(self):
        return float("inf") if self.total is None else self.total


class Model:
    """What a store has."""

    def __init__(self):
        self.blobs = {}  # digest: bytes
        self.ingests = {}  # ref: Held

    def refuses_to_open(self, ref, total, expected, *, is_locked):
        """Why nobody gets a writer; None if the caller does."""
        if expected in self.blobs and total in (None, len(self.blobs[expected])):
            return AlreadyExists(expected)
        if is_locked:
            return RefLocked(ref)
        held = self.ingests.get(ref, Held())
        for field, stored, given in (
            ("total", held.total, total),
            ("expected digest", held.expected, expected),
        ):
            if None not in (stored, given) and stored != given:
                return IngestMismatch(ref, field, stored, given)
        return None

    def open(self, ref, total, expected):
        """Begin or resume an ingest, which remembers what is new."""
        held = self.ingests.setdefault(ref, Held())
        held.total = held.total if total is None else total
        held.expected = held.expected or expected
        return held

    def commit(self, ref, expected):
        """End an ingest; say whether its blob is new."""
        held = self.ingests.pop(ref)
        digest = held.digest(expected)
        is_new = digest not in self.blobs
        self.blobs[digest] = held.data
        return is_new
