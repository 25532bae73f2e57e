"""Namespace: one name's view of the blobs, and itself a content store.

One namespace sees nothing of another: no blob, no ingest, no ref. Bytes are stored once, in the
content store under all of them, which nobody else may delete from.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from lading.content.catalog import DAY, Images, LeaseRecord, Scope
from lading.content.events import BlobDeleted, Events
from lading.content.filtering import select_blobs, select_ingests
from lading.content.store import (
    NO_LABELS,
    Batch,
    Blob,
    ContentStore,
    Ingest,
    Labels,
    Writer,
    check_ref,
    check_total,
)
from lading.database.engine import Database
from lading.database.session import Session
from lading.errors import AlreadyExists, DataLoss, Error, IngestMismatch, NotFound, RefLocked
from lading.metadata.adding import Adding
from lading.metadata.idleness import has_ingest
from lading.metadata.names import check_labels
from lading.metadata.rows import IngestRow, NamespaceRows
from lading.metadata.writer import NamespaceWriter, told_as
from lading.model.digest import Data, Digest

if TYPE_CHECKING:
    from lading.metadata.leases import NamespaceLease

_ROW_SECONDS = 5.0
"""How long a commit may take to its last step before it is taken for dead."""
_PAUSE = 0.002
SHAREABLE = "containerd.io/namespace.shareable"


class Namespace(Scope):
    """Made by `Metadata.namespace`. It exists in the database from its first blob or ingest on."""

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        content: ContentStore,
        shared: bool,
        clock: Callable[[], int] = time.time_ns,
        events: Events | None = None,
        lease: str | None = None,
    ) -> None:
        self.name = name
        self._database, self._content, self._clock = database, content, clock
        self._events = events or Events()
        self._shared = shared
        self._rows = NamespaceRows(name, lease, clock)
        self._adding = Adding(
            database=database, content=content, rows=self._rows, clock=clock, events=self._events
        )

    # Blobs

    def blob(self, digest: Digest) -> Blob:
        return self._rows.found(self._database, digest)

    def blobs(self, *filters: str) -> Iterator[Blob]:
        return select_blobs(self._rows.blobs(self._database), filters)

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob; `DataLoss` where the namespace has it and its bytes are gone."""
        self.blob(digest)
        try:
            return self._content.open(digest)
        except NotFound:
            self.blob(digest)  # deleted and collected meanwhile is not lost
            raise DataLoss(digest, "its bytes are gone; add them again to heal it") from None

    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        check_labels(labels)
        now_ns = self._clock()
        return self._database.write(
            lambda session: self._rows.label(
                session, digest, labels, replace=replace, now_ns=now_ns
            )
        )

    def delete(self, digest: Digest) -> None:
        """Forget a blob. Its bytes go with a collection, if no other namespace has it."""
        self._database.write(lambda session: self._rows.remove_blob(session, digest))
        self._events.emit(BlobDeleted(self.name, self._clock(), digest))

    def add(self, data: Data, *, labels: Labels | None = None) -> Blob:
        """Store bytes that are at hand, durably. Threads that do so at once share their waits."""
        check_labels(labels or NO_LABELS)
        return self._adding.add(data, labels or NO_LABELS)

    def batch(self) -> Batch:
        """Take many small blobs with one wait for the disk and one for the database."""
        return self._adding.batch(self)

    # Ingests

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
        self._check_lease()
        if expected is not None:
            self._raise_if_known(expected, total)
        row = self._rows.found_ingest(self._database, ref)
        key = row.key if row else self._rows.new_key(ref)
        was_begun = row is not None and has_ingest(self._content, key)
        if row and was_begun:  # before the content store, which would take its word for new
            _check_same(row, expected)
        with told_as(ref, key):
            try:
                inner, is_late = self._held(key, expected, total, wait)
            except AlreadyExists:
                # That the content store has it does not mean that the namespace does. Of a blob
                # that is offered more may be made than it has bytes.
                is_late, was_begun = True, was_begun or has_ingest(self._content, key)
                offered = expected and not was_begun and self._is_offered(expected, total)
                inner = self._content.writer(key, total=None if offered else total, wait=wait)
        try:
            if is_late or (wait and row and expected):
                self._outwait_commit(ref, expected, total, _ROW_SECONDS if wait else 0.0)
            return self._opened(inner, IngestRow(ref, key, expected), total, was_begun=was_begun)
        except BaseException:
            self._closed(inner, ref)
            raise

    def ingest(self, ref: str) -> Ingest:
        check_ref(ref)
        row = self._rows.found_ingest(self._database, ref)
        found = self._described(row) if row else None
        if found is None:
            raise NotFound(ref, "ingest")
        return found

    def ingests(self, *filters: str) -> Iterator[Ingest]:
        rows = self._rows.ingests(self._database)
        found = (ingest for row in rows if (ingest := self._described(row)))
        return select_ingests(found, filters)

    def abort(self, ref: str) -> None:
        self._check_lease()
        row = self._rows.found_ingest(self._database, check_ref(ref))
        if row is None:
            raise NotFound(ref, "ingest")
        key = row.key
        try:
            self._content.abort(key)
        except NotFound:
            raise NotFound(ref, "ingest") from None
        # The row goes last: without it nobody would know whose the bytes are. One that the next
        # writer of the ref has taken over meanwhile stays.
        with contextlib.suppress(NotFound):
            self._content.ingest(key)
            return
        self._database.write(lambda session: self._rows.remove_ingest(session, ref))

    # What keeps them

    def lease(
        self,
        id: str | None = None,  # noqa: A002 - the word that users type
        *,
        expires_in: timedelta | None = DAY,
        labels: Mapping[str, str] | None = None,
    ) -> "NamespaceLease":
        from lading.metadata.leases import make_lease  # noqa: PLC0415 - it is a namespace, too

        return make_lease(self, id=id, expires_in=expires_in, labels=labels)

    def leased(self, id: str) -> "NamespaceLease":  # noqa: A002 - the word that users type
        from lading.metadata.leases import NamespaceLease  # noqa: PLC0415 - it is a namespace, too

        lease = NamespaceLease(self, id)
        lease.record()
        return lease

    def leases(self) -> Iterator[LeaseRecord]:
        from lading.metadata.leases import list_leases  # noqa: PLC0415 - ditto

        return list_leases(self)

    @property
    def images(self) -> Images:
        from lading.metadata.images import NamespaceImages  # noqa: PLC0415 - few need them

        return NamespaceImages(self._database, self._rows, self._clock, self._events)

    # Inside

    def _check_lease(self) -> None:
        if self._rows.lease is not None:
            self._database.note(self._rows.check_lease)

    def _raise_if_known(self, digest: Digest, total: int | None) -> None:
        """Raise `AlreadyExists` if the namespace has a blob, and its bytes are there."""
        try:
            blob = self.blob(digest)
            self._content.blob(digest)
        except NotFound:
            return  # a row without its bytes is mended by sending them
        if total not in {None, blob.size}:
            return

        def keep(session: Session) -> bool:
            self._rows.check_lease(session)
            try:
                found = self._rows.blob(session, digest)
            except NotFound:
                return False  # deleted or collected since we looked
            self._rows.keep(session, digest, found.labels)
            return True

        # Only what a lease holds has to outlive a power cut.
        if (self._database.write if self._rows.lease else self._database.note)(keep):
            raise AlreadyExists(digest)

    def _held(
        self, key: str, expected: Digest | None, total: int | None, wait: timedelta | None
    ) -> tuple[Writer, bool]:
        """The content store's writer of a ref, and whether somebody else had it before."""
        try:
            return self._content.writer(key, expected=expected, total=total), False
        except RefLocked:
            if not wait:
                raise
        return self._content.writer(key, expected=expected, total=total, wait=wait), True

    def _closed(self, inner: Writer, ref: str) -> None:
        """Let go of an ingest that could not be opened; one that we have just begun ends."""
        with contextlib.suppress(Error):
            if inner.offset == 0 and self._rows.found_ingest(self._database, ref) is None:
                # While we hold the ref: a moment later it may be somebody else's ingest.
                self._content.abort(self._rows.new_key(ref))
        inner.close()

    def _outwait_commit(
        self, ref: str, digest: Digest | None, total: int | None, seconds: float
    ) -> None:
        """Raise `AlreadyExists` if the writer that held the ref before us has committed the blob.

        It lets go of the ref when the content store has the bytes; a moment later its row is there.
        """
        deadline = time.monotonic() + seconds
        while True:
            row = self._rows.found_ingest(self._database, ref)
            # The row goes when the blob comes, so whoever looks the other way round can miss both.
            if digest:
                self._raise_if_known(digest, total)
            committing = row.committing if row else None
            is_over = time.monotonic() >= deadline
            if committing is None or digest not in {None, committing} or is_over:
                return  # there is none, or it died on the way: what it sent is offered
            time.sleep(_PAUSE)

    def _opened(
        self, inner: Writer, row: IngestRow, total: int | None, *, was_begun: bool
    ) -> Writer:
        now_ns = self._clock()
        has_bytes = inner.offset > 0
        row = row._replace(expected=row.expected or inner.status().expected)

        def remember(session: Session) -> tuple[IngestRow, Digest | None]:
            self._rows.check_lease(session)
            old = self._rows.ingest(session, row.ref)
            # Without bytes in the content store it may have ended there, by a commit that says so.
            sent = old.committing if old and not has_bytes else None
            kept = row
            if old and (has_bytes or was_begun or sent):
                _check_same(old, row.expected)
                kept = row._replace(expected=row.expected or old.expected)
            self._rows.put_ingest(session, kept, now_ns)
            if has_bytes:
                return kept, None
            if sent and kept.expected in {None, sent}:
                return kept, sent
            is_shared = kept.expected and self._may_share(session, kept.expected, total)
            return kept, kept.expected if is_shared else None

        kept, offered = self._database.note(remember)
        return NamespaceWriter(
            inner,
            kept,
            database=self._database,
            rows=self._rows,
            content=self._content,
            clock=self._clock,
            events=self._events,
            known=self._offered(offered, total),
        )

    def _is_offered(self, digest: Digest, total: int | None) -> bool:
        return self._database.read(lambda session: self._may_share(session, digest, total))

    def _may_share(self, session: Session, digest: Digest, total: int | None) -> bool:
        return any(
            (self._shared or sharer.labels.get(SHAREABLE) == "true")
            and total in {None, sharer.size}
            for sharer in self._rows.sharers(session, digest)
            if sharer.namespace != self.name
        )

    def _offered(self, digest: Digest | None, total: int | None) -> Blob | None:
        """The bytes that need not be sent, if the store has them still."""
        if digest is None:
            return None
        try:
            blob = self._content.blob(digest)
        except NotFound:
            return None
        return blob if total in {None, blob.size} else None

    def _described(self, row: IngestRow) -> Ingest | None:
        try:
            found = self._content.ingest(row.key)
        except NotFound:
            return None
        return found._replace(ref=row.ref, expected=row.expected)


def _check_same(row: IngestRow, expected: Digest | None) -> None:
    if expected and row.expected and expected != row.expected:
        raise IngestMismatch(row.ref, "expected digest", row.expected, expected)
