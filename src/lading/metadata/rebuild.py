"""Adoption: rows for what lies in the content store and no namespace has.

An *orphan* is a blob of the content store that no namespace has, that nobody has deleted through
one, and that nobody is bringing in. There are such where a store was used before it had metadata,
and where the database is lost. A namespace that adopts one holds it by the lease `adopted`, which
does not expire, so that no collection takes it before somebody has decided what to keep.

    mark      the namespace is labelled, so that whoever opens a half-done adoption goes on with it
    add       rows for some orphans at a time, held by the lease
    unmark    when there is none left

Only a collection deletes bytes, and none runs meanwhile: adoption holds its lock.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice

from lading.content.catalog import ADOPTED, Found
from lading.content.store import Blob
from lading.database.session import Session
from lading.database.statements import Statement
from lading.errors import AlreadyExists, InvalidArgument
from lading.metadata.catalog import Metadata
from lading.metadata.claims import COLLECTOR
from lading.metadata.idleness import is_known
from lading.metadata.names import check_name, short
from lading.metadata.rows import IngestRow, NamespaceRows
from lading.model.digest import Digest

ADOPTING = "lading/adopting"
"""The label of a namespace whose adoption has begun and not ended."""

_BY_KEY, _AS_IT_IS = "by key", "as it is"
"""Where an ingest goes: to the namespace that its key names, or, from a store that had none, with
its key for a ref, wherever the blobs go."""
_STEP = 500
_WAIT = timedelta(seconds=30)

_KNOWN = Statement(
    "SELECT 1 FROM blobs WHERE digest = :digest"
    " UNION ALL SELECT 1 FROM condemned WHERE digest = :digest"
    " UNION ALL SELECT 1 FROM claims WHERE digest = :digest"
)


def orphans(metadata: Metadata) -> Iterator[Blob]:
    """Every blob of the content store that no namespace has. Changes nothing; in no order."""
    for some in _steps(metadata.content.blobs()):
        yield from _orphans_among(metadata, some)


def missing(metadata: Metadata) -> Iterator[Found]:
    """Every row whose bytes are gone. Adding the bytes again mends it."""
    for record in metadata.namespaces():
        namespace = metadata.namespace(record.name)
        for blob in namespace.blobs():
            # Looked for twice: what is deleted and collected meanwhile is not missing.
            if blob.digest not in metadata.content and blob.digest in namespace:
                yield Found("missing", record.name, blob.digest, blob.size)


def rebuild(metadata: Metadata, namespace: str, *, now_ns: int) -> Iterator[Found]:
    """Have `namespace` adopt every orphan, and tell what is found, as it is found.

    Ingests go back to the namespace that their key in the content store names. May be stopped at
    any point and run again; waits for a collection, then raises `Unavailable`. Reads no bytes:
    that is `verify`'s.
    """
    check_name(namespace, "namespace")
    with metadata.database.hold(COLLECTOR, _WAIT):
        yield from _Adoption(metadata, namespace, _BY_KEY, now_ns).run()
    yield from missing(metadata)


def finish_adoption(metadata: Metadata, namespace: str, *, now_ns: int) -> list[Found]:
    """Have a new database adopt what the store had before it, or go on with an adoption.

    Does nothing where every adoption was finished: orphans of a later day are for `rebuild`.
    """
    records = list(metadata.namespaces())
    begun = {r.name: r.labels[ADOPTING] for r in records if ADOPTING in r.labels}
    if records and not begun:
        return []
    with metadata.database.hold(COLLECTOR, _WAIT):
        return [
            found
            for name, way in (begun or {namespace: _AS_IT_IS}).items()
            for found in _Adoption(metadata, name, way, now_ns).run()
        ]


class _Adoption:
    """One adoption, for whoever holds the lock."""

    def __init__(self, metadata: Metadata, name: str, way: str, now_ns: int) -> None:
        self._metadata, self._name, self._way, self._now_ns = metadata, name, way, now_ns
        self._is_marked = False

    def run(self) -> Iterator[Found]:
        """Adopt, and tell what is adopted."""
        self._is_marked = any(
            record.name == self._name and ADOPTING in record.labels
            for record in self._metadata.namespaces()
        )
        for some in _steps(self._metadata.content.blobs()):
            if found := _orphans_among(self._metadata, some):
                self._mark()
                yield from self._blobs(found)
        yield from self._ingests()
        if self._is_marked:
            self._metadata.label_namespace(self._name, {ADOPTING: ""})

    def _mark(self) -> None:
        """Have whoever comes after a crash go on."""
        if not self._is_marked:
            self._metadata.label_namespace(self._name, {ADOPTING: self._way})
            self._is_marked = True

    def _blobs(self, found: list[Blob]) -> Iterator[Found]:
        rows = self._rows(self._name)

        def add(session: Session) -> list[Blob]:
            added = [blob for blob in found if _is_orphan(session, blob.digest)]
            for blob in added:
                rows.add_blob(session, blob, "")
            return added

        for blob in self._metadata.database.write(add, alone=True):
            yield Found("adopted", self._name, blob.digest, blob.size)

    def _ingests(self) -> Iterator[Found]:
        for ingest in self._metadata.content.ingests():
            key = ingest.ref
            if is_known(self._metadata.database, key):
                continue
            name, _, ref = key.partition("/")
            if self._way == _AS_IT_IS or not ref or not _is_name(name):
                name, ref = self._name, key
            if short(ref) != ref:
                yield Found("orphan", None, key, ingest.offset)
                continue
            self._mark()
            row = IngestRow(ref, key, ingest.expected)
            put = partial(self._rows(name).put_ingest, ingest=row, now_ns=self._now_ns)
            self._metadata.database.write(put)
            yield Found("resumable", name, ref, ingest.offset)

    def _rows(self, name: str) -> NamespaceRows:
        with suppress(AlreadyExists):  # of an adoption before this one
            self._metadata.namespace(name).lease(ADOPTED, expires_in=None)
        return NamespaceRows(name, ADOPTED, lambda: self._now_ns)


def _is_name(text: str) -> bool:
    try:
        check_name(text, "namespace")
    except InvalidArgument:
        return False
    return True


def _orphans_among(metadata: Metadata, blobs: list[Blob]) -> list[Blob]:
    return metadata.database.read(
        lambda session: [blob for blob in blobs if _is_orphan(session, blob.digest)]
    )


def _is_orphan(session: Session, digest: Digest) -> bool:
    return session.row(_KNOWN, digest=digest) is None


def _steps(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    iterator = iter(blobs)
    while some := list(islice(iterator, _STEP)):
        yield some
