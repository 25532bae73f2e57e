"""How blobs that are at hand come into a namespace: claimed, brought, and then their rows."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from lading.content.events import BlobCreated, Events
from lading.content.store import Batch, Blob, ContentStore, Labels
from lading.database.engine import Database
from lading.database.session import Session
from lading.errors import Error
from lading.metadata import labels as label_rows
from lading.metadata.batch import Brought, NamespaceBatch
from lading.metadata.claims import Claim, claim_all
from lading.metadata.rows import NamespaceRows
from lading.metadata.together import Together
from lading.model.digest import Data, Digest, bytes_of

ROW_STEP = 500
"""Rows that one transaction adds, so that nobody waits long for a large batch."""
SMALL = 64 << 10
"""Bytes up to which a blob is brought in together with others, by one thread."""
MOST = 7
"""Blobs that are. For more the local store would sync the whole file system, and whoever adds one
small blob would wait for what strangers write."""


class _Wanted(NamedTuple):
    """A blob that a thread has at hand."""

    digest: Digest
    data: Data
    labels: Labels


class Adding:
    """The adds of one namespace, on behalf of a lease or of none. For any number of threads."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentStore,
        rows: NamespaceRows,
        clock: Callable[[], int],
        events: Events,
    ) -> None:
        self._database, self._content, self._rows = database, content, rows
        self._clock, self._events = clock, events
        self._together = Together(self._alone, self._all, most=MOST)

    def add(self, data: Data, labels: Labels) -> Blob:
        """Add a blob whose labels are checked; with those that it had, if it was known."""
        wanted = _Wanted(Digest.of(data), data, labels)
        if self._content.gains_by_batches and bytes_of(data).nbytes <= SMALL:
            return self._together.do(wanted)
        return self._alone(wanted)

    def batch(self, store: ContentStore) -> Batch:
        """Make the batch of a namespace, which is `store`."""
        return NamespaceBatch(
            store,
            self._content.batch(),
            claimed=self._claimed,
            acknowledge=self._acknowledged,
        )

    # Inside

    def _alone(self, wanted: _Wanted) -> Blob:
        return self._all([wanted])[0]

    def _all(self, wanted: Sequence[_Wanted]) -> list[Blob]:
        claims = self._claimed([each.digest for each in wanted])
        try:
            self._bring([each.data for each in wanted])
            return self._acknowledged(
                [
                    Brought(digest, bytes_of(data).nbytes, held, labels)
                    for (digest, data, labels), held in zip(wanted, claims, strict=True)
                ]
            )
        except BaseException:
            for held in claims:
                with contextlib.suppress(Error):
                    held.drop()
            raise

    def _bring(self, blobs: Sequence[Data]) -> None:
        if len(blobs) == 1:
            self._content.add(blobs[0])
            return
        with self._content.batch() as batch:
            for data in blobs:
                batch.add(data)

    def _claimed(self, digests: Sequence[Digest]) -> list[Claim]:
        also = self._rows.check_lease
        return claim_all(self._database, digests, self._clock(), also, content=self._content)

    def _acknowledged(self, brought: Sequence[Brought]) -> list[Blob]:
        now_ns = self._clock()
        blobs = []
        for start in range(0, len(brought), ROW_STEP):
            some = brought[start : start + ROW_STEP]
            added = self._database.write(partial(self._acknowledge, some=some, now_ns=now_ns))
            for blob, is_new in added:
                blobs.append(blob)
                if is_new:
                    event = BlobCreated(self._rows.namespace, now_ns, blob.digest, blob.size)
                    self._events.emit(event)
        return blobs

    def _acknowledge(
        self, session: Session, some: Sequence[Brought], now_ns: int
    ) -> list[tuple[Blob, bool]]:
        blobs = []
        for digest, size, held, labels in some:
            held.redeem(session)
            blob = Blob(digest, size, now_ns, now_ns, label_rows.without_empty(labels))
            is_new = self._rows.add_blob(session, blob, label_rows.to_row(labels))
            if not is_new and labels:
                blob = self._rows.label(session, digest, labels, replace=False, now_ns=now_ns)
            elif not is_new:
                blob = self._rows.blob(session, digest)
            blobs.append((blob, is_new))
        return blobs
