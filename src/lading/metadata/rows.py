"""What is asked of the rows of blobs and ingests, and what keeps them from the collector.

claim      before bytes of a digest go in: the collector leaves them alone
touch      whatever becomes reachable while a collection runs is put down, so that it is kept
condemn    a digest that a namespace lost: if no other has it when the next collection looks, its
           bytes go
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from lading.content.store import Blob, Labels
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import NotFound
from lading.metadata import labels as label_rows
from lading.metadata.graph import referred
from lading.metadata.names import short
from lading.model.digest import Digest

STEP = 1000
"""Rows that are read at once, so that no reader keeps a snapshot for long."""

_BLOB = Statement(
    "SELECT size, created_ns, updated_ns, labels FROM blobs"
    " WHERE namespace = :namespace AND digest = :digest"
)
_BLOB_TO_CHANGE = Statement(_BLOB.sql, locking="UPDATE")
_BLOBS = Statement(
    "SELECT digest, size, created_ns, updated_ns, labels FROM blobs"
    " WHERE namespace = :namespace AND digest > :after ORDER BY digest LIMIT :step"
)
_ADD_BLOB = Statement(
    "INSERT INTO blobs (namespace, digest, size, created_ns, updated_ns, labels)"
    " SELECT :namespace, :digest, :size, :now_ns, :now_ns, :labels"
    " WHERE EXISTS (SELECT 1 FROM namespaces WHERE name = :namespace) ON CONFLICT DO NOTHING"
)
_LABEL = Statement(
    "UPDATE blobs SET labels = :labels, updated_ns = :now_ns"
    " WHERE namespace = :namespace AND digest = :digest"
)
_REMOVE_BLOB = Statement("DELETE FROM blobs WHERE namespace = :namespace AND digest = :digest")
_SHARERS = Statement(
    "SELECT blobs.namespace, blobs.size, namespaces.labels FROM blobs"
    " JOIN namespaces ON namespaces.name = blobs.namespace WHERE digest = :digest"
)
_INGEST = Statement(
    "SELECT key, expected, committing FROM ingests WHERE namespace = :namespace AND ref = :ref"
)
_INGESTS = Statement(
    "SELECT ref, ref_in_full, key, expected, committing FROM ingests"
    " WHERE namespace = :namespace AND ref > :after ORDER BY ref LIMIT :step"
)
_ADD_INGEST = Statement(
    "INSERT INTO ingests (namespace, ref, ref_in_full, key, expected, committing)"
    " SELECT :namespace, :ref, :ref_in_full, :key, :expected, :committing"
    " WHERE EXISTS (SELECT 1 FROM namespaces WHERE name = :namespace)"
    " ON CONFLICT (namespace, ref) DO UPDATE"
    " SET expected = excluded.expected, committing = excluded.committing,"
    " ref_in_full = excluded.ref_in_full"  # which an adopted one lacks
)
_COMMITTING = Statement(
    "UPDATE ingests SET committing = :committing WHERE namespace = :namespace AND ref = :ref"
)
_END_INGEST = Statement(
    "DELETE FROM ingests WHERE namespace = :namespace AND ref = :ref"
    " AND COALESCE(committing, '') = :committing"
)
_REMOVE_INGEST = Statement("DELETE FROM ingests WHERE namespace = :namespace AND ref = :ref")
_ADD_NAMESPACE = Statement(
    "INSERT INTO namespaces (name, created_ns, labels) VALUES (:namespace, :now_ns, '')"
    " ON CONFLICT DO NOTHING"
)
_HOLD = Statement(
    "INSERT INTO resources (namespace, lease, kind, id) VALUES (:namespace, :lease, :kind, :id)"
    " ON CONFLICT DO NOTHING"
)
_RELEASE = Statement(
    "DELETE FROM resources WHERE namespace = :namespace AND kind = :kind AND id = :id"
)
_LEASE = Statement(
    "SELECT 1 FROM leases WHERE namespace = :namespace AND id = :lease"
    " AND (expires_ns IS NULL OR expires_ns > :now_ns)",
    locking="KEY SHARE",
)
_CONDEMN = Statement(
    "INSERT INTO condemned (digest, size, going) VALUES (:digest, :size, 0) ON CONFLICT DO NOTHING"
)
_TOUCH = Statement(
    "INSERT INTO touched (namespace, digest) SELECT :namespace, :digest"
    " WHERE EXISTS (SELECT 1 FROM collecting) ON CONFLICT DO NOTHING"
)


class IngestRow(NamedTuple):
    """What the database knows of an ingest; its bytes are the content store's to know."""

    ref: str
    key: str
    expected: Digest | None = None
    committing: Digest | None = None
    """What was sent to the content store by a commit that is not acknowledged yet."""


class Sharer(NamedTuple):
    """A namespace that has a blob."""

    namespace: str
    size: int
    labels: Labels


class NamespaceRows(NamedTuple):
    """The rows of one namespace, written on behalf of a lease or of none.

    Every method is for inside a transaction, but those that list.
    """

    namespace: str
    lease: str | None = None
    clock: Callable[[], int] = time.time_ns

    # Blobs

    def blob(self, session: Session, digest: Digest) -> Blob:
        """Describe a blob, or raise `NotFound`."""
        return _blob_of(digest, session.row(_BLOB, namespace=self.namespace, digest=digest))

    def found(self, database: Database, digest: Digest) -> Blob:
        """Describe a blob outside of any transaction, or raise `NotFound`."""
        return _blob_of(digest, database.row(_BLOB, namespace=self.namespace, digest=digest))

    def blobs(self, database: Database) -> Iterator[Blob]:
        """Every blob, in the order of their digests, page by page."""
        after = ""
        while True:
            page = database.read(partial(self._page, _BLOBS, after))
            for digest, size, created_ns, updated_ns, labels in page:
                known = Digest.trusted(digest)
                yield Blob(known, size, created_ns, updated_ns, label_rows.from_row(labels))
            if len(page) < STEP:
                return
            after = page[-1][0]

    def add_blob(self, session: Session, blob: Blob, labels: str) -> bool:
        """Add a blob whose bytes are claimed and in the store; False if it was known.

        `labels` are those of the blob, as a row has them.
        """
        row = {
            "namespace": self.namespace,
            "digest": blob.digest,
            "size": blob.size,
            "labels": labels,
            "now_ns": blob.created_ns,
        }
        added = session.run(_ADD_BLOB, **row)
        if not added:  # it was known, or the namespace is new
            self.make(session, blob.created_ns)
            added = session.run(_ADD_BLOB, **row)
        self.keep(session, blob.digest, blob.labels)
        return added == 1

    def label(
        self, session: Session, digest: Digest, labels: Labels, *, replace: bool, now_ns: int
    ) -> Blob:
        """Set labels, or raise `NotFound`."""
        self.check_lease(session)
        old = self._blob_to_change(session, digest)
        text = label_rows.changed(label_rows.to_row(old.labels), labels, replace=replace)
        session.run(_LABEL, namespace=self.namespace, digest=digest, labels=text, now_ns=now_ns)
        self.touch(session, digest, labels)
        return old._replace(updated_ns=now_ns, labels=label_rows.from_row(text))

    def remove_blob(self, session: Session, digest: Digest) -> Blob:
        """Forget a blob and condemn its bytes, or raise `NotFound`."""
        self.check_lease(session)
        blob = self._blob_to_change(session, digest)
        session.run(_REMOVE_BLOB, namespace=self.namespace, digest=digest)
        session.run(_RELEASE, namespace=self.namespace, kind="content", id=digest)
        session.run(_CONDEMN, digest=digest, size=blob.size)
        return blob

    def sharers(self, session: Session, digest: Digest) -> list[Sharer]:
        """Who has a blob, in whichever namespace."""
        rows = session.rows(_SHARERS, digest=digest)
        return [Sharer(name, size, label_rows.from_row(labels)) for name, size, labels in rows]

    # Ingests

    def ingest(self, session: Session, ref: str) -> IngestRow | None:
        """What is known of a ref."""
        row = session.row(_INGEST, namespace=self.namespace, ref=short(ref))
        if row is None:
            return None
        return _ingest_of(ref, *row)

    def found_ingest(self, database: Database, ref: str) -> IngestRow | None:
        """What is known of a ref, outside of any transaction."""
        row = database.row(_INGEST, namespace=self.namespace, ref=short(ref))
        return _ingest_of(ref, *row) if row else None

    def new_key(self, ref: str) -> str:
        """The ref in the content store that a new row will have."""
        return f"{self.namespace}/{short(ref)}"

    def ingests(self, database: Database) -> Iterator[IngestRow]:
        """Every ingest, in the order of their refs, page by page."""
        after = ""
        while True:
            page = database.read(partial(self._page, _INGESTS, after))
            for ref, ref_in_full, *rest in page:
                yield _ingest_of(json.loads(ref_in_full) if ref_in_full else ref, *rest)
            if len(page) < STEP:
                return
            after = page[-1][0]

    def put_ingest(self, session: Session, ingest: IngestRow, now_ns: int) -> None:
        """Remember an ingest that is open."""
        ref = short(ingest.ref)
        row = {
            "namespace": self.namespace,
            "ref": ref,
            "ref_in_full": None if ref == ingest.ref else json.dumps(ingest.ref),
            "key": ingest.key,
            "expected": ingest.expected,
            "committing": ingest.committing,
        }
        if not session.run(_ADD_INGEST, **row):
            self.make(session, now_ns)
            session.run(_ADD_INGEST, **row)
        self._hold(session, "ingests", ref)

    def remove_ingest(self, session: Session, ref: str) -> None:
        """Forget an ingest. One that is not known is no error."""
        ref = short(ref)
        session.run(_REMOVE_INGEST, namespace=self.namespace, ref=ref)
        session.run(_RELEASE, namespace=self.namespace, kind="ingests", id=ref)

    def set_committing(self, session: Session, ref: str, digest: Digest | None) -> None:
        """Remember what a commit is about to send to the content store; None if it failed."""
        session.run(_COMMITTING, namespace=self.namespace, ref=short(ref), committing=digest)

    def end_ingest(self, session: Session, ref: str, committing: Digest | None) -> None:
        """Forget an ingest that was committed, unless the next of its ref has begun."""
        ref = short(ref)
        if session.run(_END_INGEST, namespace=self.namespace, ref=ref, committing=committing or ""):
            session.run(_RELEASE, namespace=self.namespace, kind="ingests", id=ref)

    # What keeps them

    def make(self, session: Session, now_ns: int) -> None:
        """Make the namespace by its first use."""
        session.run(_ADD_NAMESPACE, namespace=self.namespace, now_ns=now_ns)

    def keep(self, session: Session, digest: Digest, labels: Labels) -> None:
        """Hold a blob by the lease, if there is one, and keep it from the collection that runs."""
        self._hold(session, "content", digest)
        self.touch(session, digest, labels)

    def touch(self, session: Session, digest: str, labels: Labels) -> None:
        """Put down what a blob's labels may have made reachable."""
        for touched in (digest, *referred(labels)):
            session.run(_TOUCH, namespace=self.namespace, digest=touched)

    def check_lease(self, session: Session) -> None:
        """Raise `NotFound` if the lease has ended or expired."""
        if self.lease is None:
            return
        now_ns = self.clock()
        if session.row(_LEASE, namespace=self.namespace, lease=self.lease, now_ns=now_ns) is None:
            raise NotFound(self.lease, "lease")

    def _blob_to_change(self, session: Session, digest: Digest) -> Blob:
        return _blob_of(
            digest, session.row(_BLOB_TO_CHANGE, namespace=self.namespace, digest=digest)
        )

    def _page(self, statement: Statement, after: str, session: Session) -> list[Row]:
        return session.rows(statement, namespace=self.namespace, after=after, step=STEP)

    def _hold(self, session: Session, kind: str, id_: str) -> None:
        if self.lease is not None:
            self.check_lease(session)
            session.run(_HOLD, namespace=self.namespace, lease=self.lease, kind=kind, id=id_)


def _blob_of(digest: Digest, row: Row | None) -> Blob:
    if row is None:
        raise NotFound(digest)
    size, created_ns, updated_ns, labels = row
    return Blob(digest, size, created_ns, updated_ns, label_rows.from_row(labels))


def _ingest_of(ref: str, key: str, expected: str | None, committing: str | None) -> IngestRow:
    return IngestRow(
        ref,
        key,
        Digest(expected) if expected else None,
        Digest(committing) if committing else None,
    )
