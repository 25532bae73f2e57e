"""The writer of an ingest in a namespace: the content store's own, and the row that follows it."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO

from lading.content.events import BlobCreated, Events
from lading.content.store import Blob, ContentStore, Ingest, Labels, Writer
from lading.database.engine import Database
from lading.database.session import Session
from lading.errors import (
    Aborted,
    AlreadyExists,
    DigestMismatch,
    Error,
    NotFound,
    SizeMismatch,
    Unavailable,
)
from lading.metadata import labels as label_rows
from lading.metadata.claims import Claim, claim
from lading.metadata.names import check_labels
from lading.metadata.rows import IngestRow, NamespaceRows
from lading.model.digest import Data, Digest


class told_as:  # noqa: N801 - it is read as a verb; a generator would take four times as long
    """Have the content store's errors name the ref as the namespace's users know it."""

    __slots__ = ("_key", "_ref")

    def __init__(self, ref: str, key: str) -> None:
        self._ref, self._key = ref, key

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Error) and getattr(error, "ref", None) == self._key:
            error.ref = self._ref  # type: ignore[attr-defined]  # those that have one
            error.args = (self._ref, *error.args[1:])


class NamespaceWriter(Writer):
    """Made by `Namespace.writer`. `known` is a blob that need not be sent: see `_send`."""

    def __init__(
        self,
        inner: Writer,
        row: IngestRow,
        *,
        database: Database,
        rows: NamespaceRows,
        content: ContentStore,
        clock: Callable[[], int],
        events: Events,
        known: Blob | None,
    ) -> None:
        self.ref = row.ref
        self._events, self._committing = events, row.committing
        self._inner, self._row, self._known = inner, row, known
        self._database, self._rows, self._content, self._clock = database, rows, content, clock

    @property
    def offset(self) -> int:
        return self._known.size if self._known else self._inner.offset

    @property
    def digest(self) -> Digest:
        if self._known:
            return self._known.digest
        with told_as(self.ref, self._row.key):
            return self._inner.digest

    def status(self) -> Ingest:
        with told_as(self.ref, self._row.key):
            found = self._inner.status()._replace(ref=self.ref, expected=self._row.expected)
        if self._known is None:
            return found
        return found._replace(offset=self._known.size, total=self._known.size)

    def write(self, data: Data) -> int:
        with told_as(self.ref, self._row.key):
            self._send()
            return self._inner.write(data)

    def copy_from(self, source: BinaryIO, *, limit: int | None = None) -> int:
        with told_as(self.ref, self._row.key):
            self._send()
            return self._inner.copy_from(source, limit=limit)

    def truncate(self, size: int = 0) -> None:
        with told_as(self.ref, self._row.key):
            self._inner.truncate(size)
        self._known = None
        if self._committing is not None:
            self._set_committing(None)

    def sync(self) -> None:
        with told_as(self.ref, self._row.key):
            self._inner.sync()

    def commit(
        self,
        *,
        size: int | None = None,
        expected: Digest | None = None,
        labels: Labels | None = None,
    ) -> Blob:
        check_labels(labels or {})
        expected = expected or self._row.expected
        with told_as(self.ref, self._row.key):
            total = self._inner.status().total
            size = total if size is None else size
            actual = self._checked(size, expected)
            held = self._claimed(expected or actual, actual)
            try:
                blob = self._brought(held.digest, size, expected)
            except BaseException:
                with contextlib.suppress(Error):
                    held.drop()
                    self._set_committing(None)
                raise
        return self._acknowledged(blob.digest, blob.size, held, labels or {})

    def close(self) -> None:
        self._inner.close()

    # Inside

    def _send(self) -> None:
        """Bring in the bytes of a blob that was known, since they are now only the beginning."""
        if self._known is None:
            return
        known = self._known
        self._inner.truncate()
        self._known = None
        try:
            file = self._content.open(known.digest)
        except NotFound:
            raise self._lost(known) from None
        with file:
            self._inner.copy_from(file)

    def _lost(self, known: Blob) -> Error:
        """What to say when a blob that need not be sent was deleted meanwhile."""
        self._known = None
        return Unavailable(f"{known.digest}: its bytes are gone by now; send them, from offset 0")

    def _checked(self, size: int | None, expected: Digest | None) -> Digest:
        """The digest of the bytes, by their own algorithm; a commit that cannot be is refused."""
        if size is not None and size != self.offset:
            raise SizeMismatch(size, self.offset)
        if self._known is not None and expected not in {None, self._known.digest}:
            raise DigestMismatch(expected, self._known.digest)
        digest = self.digest
        if expected is not None and expected.algorithm == digest.algorithm and expected != digest:
            raise DigestMismatch(expected, digest)
        return digest

    def _claimed(self, digest: Digest, actual: Digest) -> Claim:
        # If we die after the content store's commit, the next writer of the ref is told of it. Only
        # what our bytes are known to have: nobody gets a blob for naming it.
        committing = digest if digest == actual else None

        def also(session: Session) -> None:
            self._rows.check_lease(session)
            self._rows.set_committing(session, self.ref, committing)

        held = claim(self._database, digest, self._clock(), also, content=self._content)
        self._committing = committing
        return held

    def _set_committing(self, digest: Digest | None) -> None:
        self._database.note(lambda session: self._rows.set_committing(session, self.ref, digest))
        self._committing = digest

    def _brought(self, digest: Digest, size: int | None, expected: Digest | None) -> Blob:
        """Have the bytes in the content store, under their digest, durably."""
        if self._known is not None:
            found = self._settled(self._known)
            try:
                self._content.abort(self._row.key)
            except NotFound:  # somebody else was faster, and was told that it is aborted
                raise Aborted(self._row.key) from None
            except Error:
                pass  # it is seen as ended
            finally:
                self._inner.close()
            return found
        try:
            return self._inner.commit(size=size, expected=expected)
        except AlreadyExists:
            return self._content.blob(digest)

    def _settled(self, known: Blob) -> Blob:
        """A blob that is there already, and will be after a power cut."""
        ref = f"settle-{known.digest}"
        try:
            self._content.writer(ref, expected=known.digest, total=known.size).close()
        except AlreadyExists:
            return self._content.blob(known.digest)
        with contextlib.suppress(Error):
            self._content.abort(ref)
        raise self._lost(known)

    def _acknowledged(self, digest: Digest, size: int, held: Claim, labels: Labels) -> Blob:
        now_ns = self._clock()
        text = label_rows.to_row(labels)
        blob = Blob(digest, size, now_ns, now_ns, label_rows.without_empty(labels))

        def acknowledge(session: Session) -> bool:
            held.redeem(session)
            self._rows.end_ingest(session, self.ref, self._committing)
            return self._rows.add_blob(session, blob, text)

        if not self._database.write(acknowledge):
            raise AlreadyExists(digest)
        self._events.emit(BlobCreated(self._rows.namespace, now_ns, digest, size))
        return blob
