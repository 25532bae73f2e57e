"""MemoryStore: the simplest store that keeps the contract, for tests that need any store.

One lock guards everything. A ref is free when its ingest names no writer, so nobody can let go
of what another holds, and an aborted ingest takes its writer with it.
"""

import io
import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Condition
from types import MappingProxyType
from typing import BinaryIO

from lading.content.filtering import select_blobs, select_ingests
from lading.content.store import (
    NO_LABELS,
    Blob,
    ContentStore,
    Ingest,
    Labels,
    Writer,
    check_ref,
    check_total,
    time_of,
)
from lading.errors import (
    Aborted,
    AlreadyExists,
    DigestMismatch,
    FailedPrecondition,
    IngestMismatch,
    InvalidArgument,
    NotFound,
    RefLocked,
    SizeMismatch,
    WriterClosed,
)
from lading.model.digest import Data, Digest

LABEL_LIMIT = 4096
"""Bytes of a label's key and value together, in UTF-8."""


class MemoryStore(ContentStore):
    """Keeps no labels and no bytes past its own life, and everything else that is promised."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._blobs: dict[Digest, tuple[Blob, bytes]] = {}
        self._ingests: dict[str, _Partial] = {}

    def blob(self, digest: Digest) -> Blob:
        with self._changed:
            return self._stored(digest)[0]

    def blobs(self, *filters: str) -> Iterator[Blob]:
        with self._changed:
            kept = [blob for blob, _ in self._blobs.values()]
        return select_blobs(iter(kept), filters)

    def open(self, digest: Digest) -> BinaryIO:
        with self._changed:
            return io.BufferedReader(io.BytesIO(self._stored(digest)[1]))

    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        raise FailedPrecondition("this store keeps no labels")

    def delete(self, digest: Digest) -> None:
        with self._changed:
            self._stored(digest)
            del self._blobs[digest]

    def writer(
        self,
        ref: str,
        *,
        expected: Digest | None = None,
        total: int | None = None,
        wait: timedelta | None = None,
    ) -> Writer:
        check_ref(ref)
        check_total(total)
        seconds = wait.total_seconds() if wait else 0
        with self._changed:
            self._changed.wait_for(
                lambda: self._has(expected, total) or self._is_free(ref), seconds
            )
            if self._has(expected, total):
                raise AlreadyExists(expected)
            partial = self._ingests.get(ref) or _Partial(ref)
            if partial.writer:
                raise RefLocked(ref, holder=_this_process(), since=time_of(partial.held_ns))
            partial.remember(total=total, expected=expected)
            self._ingests[ref] = partial
            return MemoryWriter(self, partial)

    def ingest(self, ref: str) -> Ingest:
        with self._changed:
            if partial := self._ingests.get(check_ref(ref)):
                return partial.describe()
        raise NotFound(ref, "ingest")

    def ingests(self, *filters: str) -> Iterator[Ingest]:
        with self._changed:
            held = [partial.describe() for partial in self._ingests.values()]
        return select_ingests(iter(held), filters)

    def abort(self, ref: str) -> None:
        with self._changed:
            partial = self._ingests.pop(check_ref(ref), None)
            if partial is None:
                raise NotFound(ref, "ingest")
            partial.aborted = True
            partial.data.clear()
            self._changed.notify_all()

    # For the writers, which call these with the lock in hand.

    def _accept(self, labels: Labels) -> Labels:
        """Return what to keep of labels that came with a commit, or refuse them."""
        if labels:
            raise FailedPrecondition("this store keeps no labels")
        return NO_LABELS

    def _publish(self, partial: "_Partial", digest: Digest, data: bytes, labels: Labels) -> Blob:
        """End the ingest and make its bytes a blob, or raise `AlreadyExists`."""
        del self._ingests[partial.ref]
        partial.writer = None
        self._changed.notify_all()
        if digest in self._blobs:
            raise AlreadyExists(digest)
        now = time.time_ns()
        self._blobs[digest] = (Blob(digest, len(data), now, now, labels), data)
        return self._stored(digest)[0]

    def _stored(self, digest: Digest) -> tuple[Blob, bytes]:
        if digest not in self._blobs:
            raise NotFound(digest)
        return self._blobs[digest]

    def _has(self, digest: Digest | None, size: int | None) -> bool:
        """Whether a blob is here, of the size that it is known to have."""
        return digest in self._blobs and size in {None, self._blobs[digest][0].size}

    def _is_free(self, ref: str) -> bool:
        partial = self._ingests.get(ref)
        return partial is None or partial.writer is None


class LabelledMemoryStore(MemoryStore):
    """A MemoryStore that keeps labels too, with their blob and no longer."""

    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        with self._changed:
            blob, data = self._stored(digest)
            self._accept(labels)
            kept = self._accept(labels if replace else {**blob.labels, **labels})
            blob = blob._replace(labels=kept, updated_ns=time.time_ns())
            self._blobs[digest] = (blob, data)
            return blob

    def _accept(self, labels: Labels) -> Labels:
        for key, value in labels.items():
            if len(key.encode()) + len(value.encode()) > LABEL_LIMIT:
                raise InvalidArgument(f"label {key[:64]!r} is longer than {LABEL_LIMIT} bytes")
        return MappingProxyType({key: value for key, value in labels.items() if value})


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class _Partial:
    """An ingest: the bytes so far, what is known of the whole, and who holds the ref."""

    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.data = bytearray()
        self.total: int | None = None
        self.expected: Digest | None = None
        self.started_ns = self.updated_ns = time.time_ns()
        self.writer: MemoryWriter | None = None
        self.held_ns = 0
        self.aborted = False

    def remember(self, *, total: int | None, expected: Digest | None) -> None:
        """Take what is new, or raise `IngestMismatch` and take nothing."""
        for field, stored, given in (
            ("total", self.total, total),
            ("expected digest", self.expected, expected),
        ):
            if stored is not None and given is not None and stored != given:
                raise IngestMismatch(self.ref, field, stored, given)
        self.total = self.total if total is None else total
        self.expected = self.expected if expected is None else expected

    def describe(self) -> Ingest:
        return Ingest(
            ref=self.ref,
            offset=len(self.data),
            total=self.total,
            expected=self.expected,
            started_ns=self.started_ns,
            updated_ns=self.updated_ns,
        )


class MemoryWriter(Writer):
    """Holds the ref of its ingest for as long as the ingest names it."""

    def __init__(self, store: MemoryStore, partial: _Partial) -> None:
        self.ref, self._store, self._partial = partial.ref, store, partial
        self._offset = len(partial.data)
        self._published: Digest | None = None
        partial.writer, partial.held_ns = self, time.time_ns()

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def digest(self) -> Digest:
        with self._store._changed:
            if self._published is not None:
                return self._published
            partial = self._open_partial()
            return Digest.of(
                partial.data, partial.expected.algorithm if partial.expected else "sha256"
            )

    def write(self, data: Data) -> int:
        with memoryview(data) as view:
            piece = view.tobytes()
        with self._store._changed:
            partial = self._open_partial()
            offset = len(partial.data) + len(piece)
            if partial.total is not None and offset > partial.total:
                raise SizeMismatch(partial.total, offset)
            partial.data += piece
            partial.updated_ns = time.time_ns()
            self._offset = offset
        return len(piece)

    def truncate(self, size: int = 0) -> None:
        with self._store._changed:
            partial = self._open_partial()
            if size:
                raise InvalidArgument(f"an ingest can be truncated to 0, not to {size}")
            partial.data.clear()
            partial.updated_ns = time.time_ns()
            self._offset = 0

    def status(self) -> Ingest:
        with self._store._changed:
            return self._open_partial().describe()

    def sync(self) -> None:
        with self._store._changed:
            self._open_partial()

    def commit(
        self,
        *,
        size: int | None = None,
        expected: Digest | None = None,
        labels: Labels | None = None,
    ) -> Blob:
        with self._store._changed:
            partial = self._open_partial()
            kept = self._store._accept(labels or NO_LABELS)
            size = partial.total if size is None else size
            expected = partial.expected if expected is None else expected
            data = bytes(partial.data)
            if size is not None and size != len(data):
                raise SizeMismatch(size, len(data))
            digest = Digest.of(data, expected.algorithm if expected else "sha256")
            if expected is not None and expected != digest:
                raise DigestMismatch(expected, digest)
            self._published = digest
            return self._store._publish(partial, digest, data, kept)

    def close(self) -> None:
        with self._store._changed:
            if self._partial.writer is self:
                self._partial.writer = None
                self._store._changed.notify_all()

    def _open_partial(self) -> _Partial:
        if self._partial.writer is not self:
            raise WriterClosed(self.ref)
        if self._partial.aborted:
            raise Aborted(self.ref)
        return self._partial
