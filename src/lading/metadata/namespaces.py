"""The namespaces of one database: listed, labelled, and deleted when they are empty."""

from collections.abc import Iterator

from lading.content.catalog import OWNER, NamespaceRecord
from lading.content.store import Labels
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import FailedPrecondition, NotFound
from lading.metadata import labels as label_rows
from lading.metadata.names import check_labels, check_name

_GET = Statement("SELECT name, created_ns, labels FROM namespaces WHERE name = :name")
_GET_TO_CHANGE = Statement(_GET.sql, locking="UPDATE")
_LIST = Statement("SELECT name, created_ns, labels FROM namespaces ORDER BY name")
_MAKE = Statement(
    "INSERT INTO namespaces (name, created_ns, labels) VALUES (:name, :now_ns, '')"
    " ON CONFLICT DO NOTHING"
)
_LABELS = Statement("SELECT labels FROM namespaces WHERE name = :name")
_LABELS_TO_STAY = Statement(_LABELS.sql, locking="KEY SHARE")
_LABEL = Statement("UPDATE namespaces SET labels = :labels WHERE name = :name")
_REMOVE = Statement("DELETE FROM namespaces WHERE name = :name")
_HOLDINGS = {
    kind: Statement(f"SELECT COUNT(*) FROM {kind} WHERE namespace = :name")  # noqa: S608 - ours
    for kind in ("blobs", "ingests", "leases", "images")
}


def list_namespaces(database: Database) -> Iterator[NamespaceRecord]:
    """Every namespace that was used and not deleted, in the order of their names."""
    return (_record(row[0], row) for row in database.read(lambda session: session.rows(_LIST)))


def label_namespace(
    database: Database, name: str, labels: Labels, *, replace: bool, now_ns: int
) -> tuple[NamespaceRecord, bool]:
    """Set labels as `ContentStore.label` does, making the namespace; True says that it is new."""
    check_name(name, "namespace")
    check_labels(labels)

    def change(session: Session) -> tuple[NamespaceRecord, bool]:
        is_new = session.run(_MAKE, name=name, now_ns=now_ns) == 1
        old = _record(name, session.row(_GET_TO_CHANGE, name=name))
        text = label_rows.changed(label_rows.to_row(old.labels), labels, replace=replace)
        session.run(_LABEL, name=name, labels=text)
        return old._replace(labels=label_rows.from_row(text)), is_new

    return database.write(change)


def delete_namespace(database: Database, name: str) -> None:
    """Delete an empty namespace, or raise `NotFound`.

    `FailedPrecondition` says what it still has: blobs, ingests, leases and images all count.
    """
    check_name(name, "namespace")

    def remove(session: Session) -> None:
        held = {kind: session.row(count, name=name) for kind, count in _HOLDINGS.items()}
        rest = [f"{row[0]} {kind}" for kind, row in held.items() if row and row[0]]
        if rest:
            raise FailedPrecondition(
                f"namespace {name!r} is not empty, it has {', '.join(rest)}; delete them first"
            )
        if not session.run(_REMOVE, name=name):
            raise NotFound(name, "namespace")

    database.write(remove, alone=True)


def is_owned(session: Session, name: str, *, stays: bool = False) -> bool:
    """Whether somebody else collects a namespace.

    With `stays`, whoever would change that waits for the end of the transaction, which writes.
    """
    row = session.row(_LABELS_TO_STAY if stays else _LABELS, name=name)
    return row is not None and OWNER in label_rows.from_row(row[0])


def _record(name: str, row: Row | None) -> NamespaceRecord:
    if row is None:
        raise NotFound(name, "namespace")
    return NamespaceRecord(row[0], row[1], label_rows.from_row(row[2]))
