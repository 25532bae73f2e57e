"""The collector: what nothing reaches goes, in two phases.

    rows      mark on one snapshot; then sweep in small transactions, each of which first looks up
              what has become reachable since the snapshot (`touched`), so that it is kept
    bytes     of digests that no namespace has any more and nobody has claimed: marked as going,
              deleted outside of any transaction, and struck off

A namespace that has the label `lading/owner` has a collector of its own, which knows what it needs
and tells us by deleting: from there nothing is taken, and no ingest ended.

One collection runs at a time. A crash at any point leaves nothing that the next one does not
finish. Files that the database does not know are not the collector's: they are left.

The lock says who collects. A collector that is cut off from a database elsewhere loses the lock
without a word; so each transaction looks whether `collecting` still has its id, and so does every
deletion that begins some time after the last such look.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from lading.content.collection import Collection, IdleIngest, LedgerLine
from lading.content.events import BlobsCollected, BytesDeleted, Events
from lading.content.store import ContentStore, Ingest
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import Error, NotFound, Unavailable
from lading.metadata import idleness
from lading.metadata import labels as label_rows
from lading.metadata.claims import COLLECTOR, expire_claims, stop_collecting
from lading.metadata.graph import Graph
from lading.metadata.namespaces import is_owned
from lading.model.digest import Digest

__all__ = ["Collection", "Collector", "LedgerLine"]

ROW_STEP = 500
"""Rows that are swept in one transaction: some milliseconds that writers wait."""
BYTES_STEP = 1000
"""Digests whose bytes are marked as going together; who wants one of them waits for all."""
FAILURES_LIMIT = 100
"""Failures that a collection tells of; a disk that fails would fill the memory with them."""
OWNED = "its owner collects it"
_PATIENCE = timedelta(milliseconds=200)  # a claim may hold the lock for a moment, to see who lives
_TRUST_NS = 1_000_000_000  # how long a look at `collecting` is good for

_BEGIN = (
    Statement("DELETE FROM touched"),
    Statement("INSERT INTO collecting (id) VALUES (:id)"),
)
_EXPIRE = Statement("DELETE FROM leases WHERE expires_ns <= :now_ns")
_IS_COLLECTING = Statement("SELECT 1 FROM collecting WHERE id = :id")
_FORGET_TOUCHED = Statement("DELETE FROM touched WHERE namespace = :namespace")
_NAMESPACES = Statement("SELECT name FROM namespaces ORDER BY name")
_BLOBS = Statement("SELECT digest, size FROM blobs WHERE namespace = :namespace ORDER BY digest")
_TOUCHED = Statement(
    "SELECT touched.digest, blobs.labels FROM touched LEFT JOIN blobs"
    " ON blobs.namespace = touched.namespace AND blobs.digest = touched.digest"
    " WHERE touched.namespace = :namespace"
)
_SWEEP = Statement("DELETE FROM blobs WHERE namespace = :namespace AND digest = :digest")
_RELEASE = Statement(
    "DELETE FROM resources WHERE namespace = :namespace AND kind = 'content' AND id = :digest"
)
_IS_HELD = Statement(
    "SELECT 1 FROM resources WHERE namespace = :namespace AND kind = 'content'"
    " AND id >= :first AND id <= :last LIMIT 1"
)
_CONDEMN = Statement(
    "INSERT INTO condemned (digest, size, going) VALUES (:digest, :size, 0) ON CONFLICT DO NOTHING"
)
_HAS_ROW = "EXISTS (SELECT 1 FROM blobs WHERE blobs.digest = condemned.digest)"
_HAS_CLAIM = "EXISTS (SELECT 1 FROM claims WHERE claims.digest = condemned.digest)"
_PAGE = "digest > :after AND digest <= :last"
_LAST = Statement(
    "SELECT MAX(digest) FROM"
    " (SELECT digest FROM condemned WHERE digest > :after ORDER BY digest LIMIT :step) AS page"
)
_PARDON = Statement(f"DELETE FROM condemned WHERE {_PAGE} AND {_HAS_ROW}")  # noqa: S608 - ours
_GO = Statement(
    f"UPDATE condemned SET going = 1 WHERE {_PAGE} AND NOT {_HAS_CLAIM}"  # noqa: S608 - ours
)
_GOING = Statement(
    f"SELECT digest, size FROM condemned WHERE {_PAGE} AND going = 1 ORDER BY digest"  # noqa: S608 - ours
)
_STAY = Statement("UPDATE condemned SET going = 0 WHERE digest = :digest")
_STRIKE = Statement(f"DELETE FROM condemned WHERE {_PAGE} AND going = 1")  # noqa: S608 - ours
_GONE = f"FROM condemned WHERE NOT {_HAS_ROW} AND NOT {_HAS_CLAIM}"
_WAITING = Statement(f"SELECT digest, size {_GONE} ORDER BY digest")
_ENOUGH = Statement(f"SELECT COUNT(*) FROM (SELECT 1 {_GONE} LIMIT :enough) AS waiting")  # noqa: S608 - ours
_EXPIRIES = (
    Statement("SELECT MIN(expires_ns) FROM leases"),
    Statement("SELECT MIN(expires_ns) FROM claims"),
)
_EXPIRING = tuple(
    Statement(f"SELECT labels FROM {table} WHERE labels LIKE '%{label_rows.EXPIRE}%'")  # noqa: S608 - ours
    for table in ("images", "blobs")
)


class Collector:
    """Collects one database and the content store under it."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        clock: Callable[[], int],
        events: Events | None = None,
    ) -> None:
        self._database, self._content, self._clock = database, content, clock
        self._events = events or Events()

    def ledger(self) -> Iterator[LedgerLine]:
        """What would go, what would stay and why, in order. Changes nothing."""
        now_ns = self._clock()
        for digest, size in self._database.read(lambda session: session.rows(_WAITING)):
            yield LedgerLine("", Digest.trusted(digest), self._size_of(digest, size), None)
        for namespace in self._namespaces():
            yield from self._database.read(partial(_ledger, namespace, now_ns))

    def idle_ingests(self) -> Iterator[IdleIngest]:
        """Ingests that a collection would abort."""
        return idleness.idle_ingests(self._database, self._content, self._clock())

    def unknown_ingests(self) -> Iterator[Ingest]:
        """Ingests of the content store that no namespace knows; those with bytes are left alone."""
        return idleness.unknown_ingests(self._database, self._content)

    def due_ns(self, since_ns: int, *, deletions: int = 1) -> int | None:
        """When a collection has something to do if nothing else happens; None for never.

        `since_ns` is when the last collection began: what had ended by then, it has seen to. Bytes
        that only wait to be deleted make it due when there are so many `deletions` of them.
        """
        row = self._database.row(_ENOUGH, enough=deletions)
        if row is not None and row[0] >= deletions:
            return self._clock()
        moments = self._database.read(_expiries)
        moments += idleness.expiries(self._database, self._content)
        return min((moment for moment in moments if moment > since_ns), default=None)

    def collect(self) -> Collection:
        """Collect; `Unavailable` if a collection is running.

        What cannot be deleted is passed over and told of, and stays for the next collection.
        """
        began = time.monotonic()
        with self._database.hold(COLLECTOR, _PATIENCE):
            run = _Run(self._database, self._content, self._events, self._clock)
            run.begin()
            try:
                run.abort_idle()
                for namespace in self._namespaces():
                    run.sweep(namespace)
                run.delete_bytes()
            finally:
                run.end()
        took = timedelta(seconds=time.monotonic() - began)
        return Collection(run.blobs, run.bytes, run.rows, run.ingests, took, tuple(run.failures))

    def _size_of(self, digest: str, size: int) -> int:
        """The size of bytes that wait; what a claim left is known to the content store alone."""
        try:
            return size if size >= 0 else self._content.blob(Digest.trusted(digest)).size
        except NotFound:
            return 0

    def _namespaces(self) -> list[str]:
        return [row[0] for row in self._database.read(lambda session: session.rows(_NAMESPACES))]


class _Run:
    """One collection, while it runs."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        events: Events,
        clock: Callable[[], int],
    ) -> None:
        self._database, self._content, self._events = database, content, events
        self._clock, self._now_ns = clock, clock()
        self._id = secrets.token_hex(8)
        self._looked_ns = 0
        self.blobs = self.bytes = self.rows = self.ingests = 0
        self.failures: list[str] = []
        self._untold: list[tuple[str, list[str]]] = []
        """Rows that are gone, but not for certain before a `write` that changes something."""

    def begin(self) -> None:
        """From here on, what becomes reachable is put down."""

        def begin(session: Session) -> None:
            stop_collecting(session)  # one that died
            session.run(_BEGIN[0])
            session.run(_BEGIN[1], id=self._id)
            session.run(_EXPIRE, now_ns=self._now_ns)
            expire_claims(session, self._now_ns)

        self._database.write(begin, alone=True)

    def end(self) -> None:
        """Put nothing down any more, and let no writer wait for bytes that were left."""

        def end(session: Session) -> None:
            if session.row(_IS_COLLECTING, id=self._id) is not None:
                stop_collecting(session)
                session.run(_BEGIN[0])

        self._database.write(end)
        self._tell()

    def abort_idle(self) -> None:
        """End the ingests that no lease holds and nobody has written to for a day."""
        for failure in idleness.abort_idle(self._database, self._content, self._now_ns):
            if failure is None:
                self.ingests += 1
            else:
                self._tell_of(failure)

    # Rows

    def sweep(self, namespace: str) -> None:
        """Take from a namespace what nothing in it reaches."""
        graph, candidates = self._database.read(partial(_marked, namespace, self._now_ns))
        for start in range(0, len(candidates), ROW_STEP):
            chunk = candidates[start : start + ROW_STEP]
            # To be lost in a power cut, as long as no bytes are: those go after a `write`.
            gone = self._database.note(partial(self._swept, namespace, graph, chunk), alone=True)
            self._database.relieve()
            self.rows += len(gone)
            if gone and self._events.is_heard:
                self._untold.append((namespace, gone))

    def _swept(self, namespace: str, graph: Graph, chunk: list[Row], session: Session) -> list[str]:
        """Sweep what is still out of reach. Run twice, it does the same."""
        self._check(session)
        if is_owned(session, namespace, stays=True):
            return []  # since it was marked
        touched = session.rows(_TOUCHED, namespace=namespace)
        for digest, labels in touched:
            graph.add_edges(digest, label_rows.from_row(labels or ""))
        for digest, _ in touched:
            graph.reach(digest, "touched")
        if touched:
            session.run(_FORGET_TOUCHED, namespace=namespace)  # the graph has it
        gone = [
            {"namespace": namespace, "digest": digest, "size": size}
            for digest, size in chunk
            if not graph.has(digest)
        ]
        session.run_many(_SWEEP, gone)
        session.run_many(_CONDEMN, gone)
        first, last = chunk[0][0], chunk[-1][0]
        if session.row(_IS_HELD, namespace=namespace, first=first, last=last) is not None:
            session.run_many(_RELEASE, gone)
        return [row["digest"] for row in gone]

    # Bytes

    def delete_bytes(self) -> None:
        """Delete what no namespace has, passing over what is claimed and what cannot be."""
        after = ""
        while True:
            last, going = self._database.write(partial(self._going, after), alone=True)
            if last is None:
                return
            if going:
                self._tell()
                self._delete(after, last, going)
            after = last

    def _going(self, after: str, session: Session) -> tuple[str | None, list[Row]]:
        """The next digests whose bytes go; from here on, who wants them waits."""
        self._check(session)
        found = session.row(_LAST, after=after, step=BYTES_STEP)
        last = found[0] if found else None
        if last is None:
            return None, []
        session.run(_PARDON, after=after, last=last)
        session.run(_GO, after=after, last=last)
        return last, session.rows(_GOING, after=after, last=last)

    def _delete(self, after: str, last: str, going: list[Row]) -> None:
        gone, kept, freed = [], [], 0
        for text, known_size in going:
            self._look()
            digest = Digest.trusted(text)
            try:
                size = self._content.blob(digest).size if known_size < 0 else known_size
                self._content.delete(digest)
            except NotFound:
                continue
            except Error as error:
                kept.append({"digest": text})
                self._tell_of(error)
            else:
                gone.append(digest)
                freed += size
        self.blobs, self.bytes = self.blobs + len(gone), self.bytes + freed

        def strike(session: Session) -> None:
            if session.row(_IS_COLLECTING, id=self._id) is None:
                return  # whoever gave us up for dead looks after the rest
            session.run_many(_STAY, kept)
            session.run(_STRIKE, after=after, last=last)

        self._database.note(strike)
        if gone and self._events.is_heard:
            self._events.emit(BytesDeleted("", self._clock(), tuple(gone), freed))

    # Whether it is still ours

    def _check(self, session: Session) -> None:
        if session.row(_IS_COLLECTING, id=self._id) is None:
            raise Unavailable("this collection was given up for dead; begin another one")
        self._looked_ns = time.monotonic_ns()

    def _look(self) -> None:
        """Look again, if the last look was some time ago: we may have been stopped."""
        if time.monotonic_ns() - self._looked_ns > _TRUST_NS:
            self._database.read(self._check)

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        for namespace, gone in untold:
            digests = tuple(Digest.trusted(digest) for digest in gone)
            self._events.emit(BlobsCollected(namespace, self._clock(), digests))

    def _tell_of(self, error: Error) -> None:
        if len(self.failures) < FAILURES_LIMIT:
            self.failures.append(str(error))


def _marked(namespace: str, now_ns: int, session: Session) -> tuple[Graph, list[Row]]:
    """The graph, and the rows that it does not reach."""
    graph = Graph(session, namespace, now_ns)
    if is_owned(session, namespace):
        return graph, []
    rows = session.each(_BLOBS, namespace=namespace)
    return graph, [row for row in rows if not graph.has(row[0])]


def _ledger(namespace: str, now_ns: int, session: Session) -> list[LedgerLine]:
    graph = Graph(session, namespace, now_ns)
    otherwise = OWNED if is_owned(session, namespace) else None
    return [
        LedgerLine(namespace, Digest.trusted(digest), size, graph.reason(digest) or otherwise)
        for digest, size in session.each(_BLOBS, namespace=namespace)
    ]


def _expiries(session: Session) -> list[int]:
    """The moments that the rows name."""
    moments = [row[0] for statement in _EXPIRIES if (row := session.row(statement)) and row[0]]
    for statement in _EXPIRING:
        for (text,) in session.each(statement):
            moment = label_rows.expiry_of(label_rows.from_row(text))
            if moment is not None:
                moments.append(moment)
    return moments
