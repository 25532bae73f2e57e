"""Leases: what a client is still working on, and the collector therefore leaves alone.

A lease holds what comes into its namespace through it: blobs, "already exists" included, and
ingests. It ends when it is deleted or expires; a transfer that goes on renews it.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import timedelta

from lading.content.catalog import DAY, Lease, LeaseRecord, Resource
from lading.content.events import LeaseCreated, LeaseDeleted
from lading.content.store import check_ref, time_of
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import AlreadyExists, InvalidArgument, NotFound
from lading.metadata import labels as label_rows
from lading.metadata.names import check_labels, check_text, short
from lading.metadata.namespace import Namespace
from lading.model.digest import Digest

_CENTURY = timedelta(days=36_525)
_LAST_NS = (1 << 63) - 1  # what a row can hold

_ADD = Statement(
    "INSERT INTO leases (namespace, id, created_ns, expires_ns, labels)"
    " VALUES (:namespace, :id, :now_ns, :expires_ns, :labels) ON CONFLICT DO NOTHING"
)
_GET = Statement(
    "SELECT id, created_ns, expires_ns, labels FROM leases"
    " WHERE namespace = :namespace AND id = :id"
)
_GET_TO_CHANGE = Statement(_GET.sql, locking="UPDATE")
_LIST = Statement(
    "SELECT id, created_ns, expires_ns, labels FROM leases WHERE namespace = :namespace ORDER BY id"
)
_RENEW = Statement(
    "UPDATE leases SET expires_ns = :expires_ns, labels = :labels"
    " WHERE namespace = :namespace AND id = :id"
)
_REMOVE = Statement("DELETE FROM leases WHERE namespace = :namespace AND id = :id")
_RESOURCES = Statement(
    "SELECT resources.kind, resources.id, ingests.ref_in_full FROM resources LEFT JOIN ingests"
    " ON resources.kind = 'ingests' AND ingests.namespace = resources.namespace"
    " AND ingests.ref = resources.id"
    " WHERE resources.namespace = :namespace AND resources.lease = :id"
    " ORDER BY resources.kind, resources.id"
)
_TARGET = Statement(
    "SELECT target_digest FROM images WHERE namespace = :namespace AND name = :name"
)
_HOLD = Statement(
    "INSERT INTO resources (namespace, lease, kind, id) VALUES (:namespace, :lease, :kind, :id)"
    " ON CONFLICT DO NOTHING"
)
_RELEASE = Statement(
    "DELETE FROM resources"
    " WHERE namespace = :namespace AND lease = :lease AND kind = :kind AND id = :id"
)


class NamespaceLease(Namespace, Lease):
    """Made by `Namespace.lease` and `Namespace.leased`."""

    def __init__(self, namespace: Namespace, lease: str) -> None:
        super().__init__(
            namespace.name,
            database=namespace._database,  # noqa: SLF001 - a lease is its namespace
            content=namespace._content,  # noqa: SLF001 - ditto
            clock=namespace._clock,  # noqa: SLF001 - ditto
            events=namespace._events,  # noqa: SLF001 - ditto
            shared=namespace._shared,  # noqa: SLF001 - ditto
            lease=lease,
        )
        self.id = lease

    def record(self) -> LeaseRecord:
        return _record(self.id, self._database.row(_GET, namespace=self.name, id=self.id))

    def renew(self, expires_in: timedelta = DAY) -> LeaseRecord:
        expires_ns = self._clock() + _nanoseconds(expires_in)

        def renew(session: Session) -> LeaseRecord:
            old = _record(self.id, session.row(_GET_TO_CHANGE, namespace=self.name, id=self.id))
            labels = dict(old.labels) | {label_rows.EXPIRE: _text_of(expires_ns)}
            session.run(
                _RENEW,
                namespace=self.name,
                id=self.id,
                expires_ns=expires_ns,
                labels=label_rows.to_row(labels),
            )
            return old._replace(expires_ns=expires_ns, labels=labels)

        return self._database.write(renew)

    def resources(self) -> list[Resource]:
        rows = self._database.read(
            lambda session: session.rows(_RESOURCES, namespace=self.name, id=self.id)
        )
        return [Resource(kind, json.loads(full) if full else id_) for kind, id_, full in rows]

    def hold(self, resource: Resource) -> None:
        kind, id_ = _checked(resource)

        def hold(session: Session) -> None:
            self._rows.check_lease(session)
            session.run(_HOLD, namespace=self.name, lease=self.id, kind=kind, id=id_)
            if kind == "content":
                self._rows.touch(session, id_, {})
            elif kind == "images":
                target = session.row(_TARGET, namespace=self.name, name=id_)
                if target:
                    self._rows.touch(session, target[0], {})

        self._database.write(hold)

    def release(self, resource: Resource) -> None:
        kind, id_ = _checked(resource)
        released = self._database.write(
            lambda session: session.run(
                _RELEASE, namespace=self.name, lease=self.id, kind=kind, id=id_
            )
        )
        if not released:
            raise NotFound(resource.id, f"{kind} of lease {self.id!r}")

    def end(self) -> None:
        if not self._database.write(
            lambda session: session.run(_REMOVE, namespace=self.name, id=self.id)
        ):
            raise NotFound(self.id, "lease")
        self._events.emit(LeaseDeleted(self.name, self._clock(), self.id))


def make_lease(
    namespace: Namespace,
    *,
    id: str | None = None,  # noqa: A002 - the word that users type
    expires_in: timedelta | None = DAY,
    labels: Mapping[str, str] | None = None,
) -> NamespaceLease:
    """Make a lease, which ends after `expires_in`; None for one that has to be deleted.

    Raises `AlreadyExists` for an id that is taken. A label `containerd.io/gc.expire` counts too.
    """
    check_labels(labels or {})
    id_ = secrets.token_hex(12) if id is None else check_text(id, "a lease's id")
    lease = NamespaceLease(namespace, id_)
    now_ns = lease._clock()  # noqa: SLF001 - the same module
    kept = dict(labels or {})
    if expires_in is not None:
        kept.setdefault(label_rows.EXPIRE, _text_of(now_ns + _nanoseconds(expires_in)))

    expires_ns = label_rows.expiry_of(kept)
    if expires_ns is not None and expires_ns > _LAST_NS:
        expires_ns = None  # after the year 2262

    def add(session: Session) -> bool:
        lease._rows.make(session, now_ns)  # noqa: SLF001 - ditto
        return bool(
            session.run(
                _ADD,
                namespace=lease.name,
                id=lease.id,
                now_ns=now_ns,
                expires_ns=expires_ns,
                labels=label_rows.to_row(kept),
            )
        )

    if not lease._database.write(add):  # noqa: SLF001 - ditto
        raise AlreadyExists(f"lease {lease.id!r}")
    lease._events.emit(LeaseCreated(lease.name, now_ns, lease.id))  # noqa: SLF001 - ditto
    return lease


def list_leases(namespace: Namespace) -> Iterator[LeaseRecord]:
    """Every lease of a namespace, in the order of their ids."""
    rows = namespace._database.read(  # noqa: SLF001 - leases are a part of their namespace
        lambda session: session.rows(_LIST, namespace=namespace.name)
    )
    return (_record(row[0], row) for row in rows)


def _record(lease: str, row: Row | None) -> LeaseRecord:
    if row is None:
        raise NotFound(lease, "lease")
    return LeaseRecord(row[0], row[1], row[2], label_rows.from_row(row[3]))


def _checked(resource: Resource) -> Resource:
    """The resource as a row has it."""
    match resource.kind:
        case "content":
            return Resource("content", Digest(resource.id))
        case "ingests":
            return Resource("ingests", short(check_ref(resource.id)))
        case "images":
            return Resource("images", check_text(resource.id, "an image's name"))
    kind, _, snapshotter = resource.kind.partition("/")
    if kind == "snapshots" and snapshotter:
        # Not ours; clients that have them elsewhere put them down with what is.
        return Resource(check_text(resource.kind, "a kind"), check_text(resource.id, "a snapshot"))
    raise InvalidArgument(
        f"{resource.kind[:80]!a} is nothing that a lease holds: write content, ingests, images or"
        " snapshots/<snapshotter>"
    )


def _nanoseconds(span: timedelta) -> int:
    if span <= timedelta(0):
        raise InvalidArgument(f"a lease that ends {span} from now would hold nothing")
    if span > _CENTURY:
        raise InvalidArgument("a lease of more than a century: write None, for one without end")
    return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1000


def _text_of(moment_ns: int) -> str:
    return time_of(moment_ns).isoformat()
