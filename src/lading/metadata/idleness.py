"""Ingests that nobody goes on with: found, and ended without taking them from a writer.

An ingest that no lease holds is kept for a day after its last byte, and for as long as it likes
in a namespace that somebody else collects. To end it the collector takes
its ref, as a writer would: so nobody can resume it between the look and the end.

A writer makes its ingest before the row of it. If it dies in between, an ingest stays that is empty
and has no row: it goes, too, a day later, if its key in the content store names a namespace.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial

from lading.content.collection import IdleIngest
from lading.content.store import ContentStore, Ingest
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import Error, NotFound, Unavailable
from lading.metadata.namespaces import is_owned
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
    "SELECT namespace, ref, key, ref_in_full FROM ingests"  # noqa: S608 - ours
    f" WHERE NOT {_HELD} AND NOT {_SENT} ORDER BY namespace, ref"
)
_IS_UNLEASED = Statement(
    "SELECT 1 FROM ingests WHERE namespace = :namespace AND ref = :ref"  # noqa: S608 - ours
    f" AND NOT {_HELD} AND NOT {_SENT}"
)
_IS_KNOWN = Statement("SELECT 1 FROM ingests WHERE key = :key")
_HAS_NAMESPACE = Statement("SELECT 1 FROM namespaces WHERE name = :name")


def abort_idle(database: Database, content: ContentStore, now_ns: int) -> Iterator[Error | None]:
    """End what is idle, one after another; gives the error where that failed."""
    ends: list[Callable[[], bool]] = [
        partial(_abort, database, content, NamespaceRows(namespace), ref, key=key, now_ns=now_ns)
        for namespace, ref, key, _ in _unleased(database)
        if _is_idle(content, key, now_ns)
    ]
    ends += [
        partial(_abort_rowless, database, content, key)
        for _, _, key in _rowless(database, content, now_ns)
    ]
    for end in ends:
        try:
            if end():
                yield None
        except Unavailable:
            continue  # somebody writes to it, which is the opposite of idle
        except Error as error:
            yield error


def idle_ingests(database: Database, content: ContentStore, now_ns: int) -> Iterator[IdleIngest]:
    """What `abort_idle` would end, unless somebody writes to it just then."""
    for namespace, ref, key, ref_in_full in _unleased(database):
        if _is_idle(content, key, now_ns):
            offset = content.ingest(key).offset if has_ingest(content, key) else 0
            yield IdleIngest(namespace, json.loads(ref_in_full) if ref_in_full else ref, offset)
    for namespace, ref, _ in _rowless(database, content, now_ns):
        yield IdleIngest(namespace, ref, 0)


def expiries(database: Database, content: ContentStore) -> Iterator[int]:
    """When each ingest that has a row, and that no lease holds, will be idle."""
    for _, _, key, _ in _unleased(database):
        with contextlib.suppress(NotFound):
            yield content.ingest(key).updated_ns + IDLE_NS


def unknown_ingests(database: Database, content: ContentStore) -> Iterator[Ingest]:
    """Ingests of the content store that no namespace knows; with bytes, nobody's to end but yours.

    One with a long ref has the ref that stands for it there: the row had the ref in full.
    """
    for ingest in content.ingests():
        if not is_known(database, ingest.ref):
            yield ingest


def is_known(database: Database, key: str) -> bool:
    """Whether a namespace has the ingest that the content store has under a ref."""
    # Refs of others may be what PostgreSQL refuses to look for. We make none such.
    return "\0" not in key and database.row(_IS_KNOWN, key=key) is not None


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
    def look(session: Session) -> list[Row]:
        rows = session.rows(_UNLEASED)
        owned = {name for name in {row[0] for row in rows} if is_owned(session, name)}
        return [row for row in rows if row[0] not in owned]

    return database.read(look)


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


def _rowless(
    database: Database, content: ContentStore, now_ns: int
) -> Iterator[tuple[str, str, str]]:
    """What was begun a day ago and never got its row: namespace, ref and key."""
    for ingest in unknown_ingests(database, content):
        name, _, ref = ingest.ref.partition("/")
        is_old = ingest.updated_ns + IDLE_NS <= now_ns
        if ref and is_old and not ingest.offset and _may_end(database, name):
            yield name, ref, ingest.ref


def _may_end(database: Database, name: str) -> bool:
    """Whether there is such a namespace, and nobody else collects it."""
    if "\0" in name or database.row(_HAS_NAMESPACE, name=name) is None:
        return False
    return not database.read(lambda session: is_owned(session, name))


def _abort_rowless(database: Database, content: ContentStore, key: str) -> bool:
    """End an empty ingest, unless it has got its row, or bytes, since we looked."""
    with content.writer(key) as writer:
        if writer.offset or is_known(database, key):
            return False
        with contextlib.suppress(NotFound):
            content.abort(key)
        return True


def _forgotten(rows: NamespaceRows, ref: str, session: Session) -> bool:
    """Forget an ingest, unless a lease has taken it since, or somebody the namespace."""
    if session.row(_IS_UNLEASED, namespace=rows.namespace, ref=ref) is None:
        return False
    if is_owned(session, rows.namespace, stays=True):
        return False
    rows.remove_ingest(session, ref)
    return True
