"""Ingests that nobody goes on with: found, and ended without taking them from a writer.

An ingest that no lease holds is kept for a day after its last byte. To end it the collector takes
its ref, as a writer would: so nobody can resume it between the look and the end.
"""

import contextlib
from collections.abc import Iterator
from functools import partial

from lading.content.collection import IdleIngest
from lading.content.store import ContentStore, Ingest
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import Error, NotFound, Unavailable
from lading.metadata.rows import NamespaceRows

IDLE_NS = 24 * 3600 * 1_000_000_000
"""How long an ingest that no lease holds is kept after its last byte."""

_HELD = (
    "EXISTS (SELECT 1 FROM resources WHERE resources.namespace = ingests.namespace"
    " AND kind = 'ingests' AND id = ref)"
)
# A commit that was sent and not acknowledged can be finished for as long as its claim stands.
_SENT = "EXISTS (SELECT 1 FROM claims WHERE claims.digest = ingests.committing)"
_UNLEASED = Statement(
    "SELECT namespace, ref, key FROM ingests"  # noqa: S608 - ours
    f" WHERE NOT {_HELD} AND NOT {_SENT} ORDER BY namespace, ref"
)
_IS_UNLEASED = Statement(
    "SELECT 1 FROM ingests WHERE namespace = :namespace AND ref = :ref"  # noqa: S608 - ours
    f" AND NOT {_HELD} AND NOT {_SENT}"
)
_IS_KNOWN = Statement("SELECT 1 FROM ingests WHERE key = :key")


def abort_idle(database: Database, content: ContentStore, now_ns: int) -> Iterator[Error | None]:
    """End what is idle, one after another; gives the error where that failed."""
    for namespace, ref, key in _unleased(database):
        if not _is_idle(content, key, now_ns):
            continue
        try:
            if _abort(database, content, NamespaceRows(namespace), ref, key=key, now_ns=now_ns):
                yield None
        except Unavailable:
            continue  # somebody writes to it, which is the opposite of idle
        except Error as error:
            yield error


def idle_ingests(database: Database, content: ContentStore, now_ns: int) -> Iterator[IdleIngest]:
    """What `abort_idle` would end, unless somebody writes to it just then."""
    for namespace, ref, key in _unleased(database):
        if _is_idle(content, key, now_ns):
            offset = content.ingest(key).offset if has_ingest(content, key) else 0
            yield IdleIngest(namespace, ref, offset)


def expiries(database: Database, content: ContentStore) -> Iterator[int]:
    """When each ingest that no lease holds will be idle."""
    for _, _, key in _unleased(database):
        with contextlib.suppress(NotFound):
            yield content.ingest(key).updated_ns + IDLE_NS


def unknown_ingests(database: Database, content: ContentStore) -> Iterator[Ingest]:
    """Ingests of the content store that no namespace knows. They are nobody's to end but yours."""
    for ingest in content.ingests():
        if database.row(_IS_KNOWN, key=ingest.ref) is None:
            yield ingest


def has_ingest(content: ContentStore, key: str) -> bool:
    """Whether the content store has an ingest, of whichever namespace."""
    try:
        content.ingest(key)
    except NotFound:
        return False
    return True


def _is_idle(content: ContentStore, key: str, now_ns: int) -> bool:
    """Whether nobody has written for a day, or nothing is left of what was written."""
    try:
        return content.ingest(key).updated_ns + IDLE_NS <= now_ns
    except NotFound:
        return True


def _unleased(database: Database) -> list[Row]:
    return database.read(lambda session: session.rows(_UNLEASED))


def _abort(
    database: Database,
    content: ContentStore,
    rows: NamespaceRows,
    ref: str,
    *,
    key: str,
    now_ns: int,
) -> bool:
    is_there = has_ingest(content, key)
    writer = content.writer(key)
    try:
        status = writer.status()
        if (status.updated_ns + IDLE_NS > now_ns) if is_there else status.offset:
            return False  # somebody was here since we looked
        ended = database.write(partial(_forgotten, rows, ref), alone=True)
        if ended or not is_there:
            with contextlib.suppress(NotFound):
                content.abort(key)
        return ended
    finally:
        writer.close()


def _forgotten(rows: NamespaceRows, ref: str, session: Session) -> bool:
    """Forget an ingest, unless a lease has taken it since."""
    if session.row(_IS_UNLEASED, namespace=rows.namespace, ref=ref) is None:
        return False
    rows.remove_ingest(session, ref)
    return True
