"""What reaches what: the collector's roots and edges in one namespace, as labels draw them.

    roots     what leases hold, images, and blobs labelled as a root
    edges     `containerd.io/gc.ref.content[.…|/…]` = digest, from the blob that has the label
              `containerd.io/gc.bref.content[.…|/…]` = digest, from that digest to the blob

A lease labelled `containerd.io/gc.flat` keeps what it holds and nothing that this refers to. A blob
whose `containerd.io/gc.expire` has passed is no root by its own label.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from lading.content.store import Labels
from lading.database.courtesy import Courtesy
from lading.database.session import Session
from lading.database.statements import Statement
from lading.metadata import labels as label_rows

ROOT = "containerd.io/gc.root"
FLAT = "containerd.io/gc.flat"
LABELLED_STEP = 10
"""Blobs whose labels are read between two looks at who else wants to go on: each may have many."""
_REFERENCE = "containerd.io/gc.ref.content"
_BACK_REFERENCE = "containerd.io/gc.bref.content"

_LABELLED = Statement(
    "SELECT digest, labels FROM blobs"
    " WHERE namespace = :namespace AND labels LIKE '%containerd.io/gc.%'"
)
_HELD = Statement(
    "SELECT resources.kind, resources.id, leases.id, leases.labels FROM resources"
    " JOIN leases ON leases.namespace = resources.namespace AND leases.id = resources.lease"
    " WHERE resources.namespace = :namespace"
    " AND (leases.expires_ns IS NULL OR leases.expires_ns > :now_ns)"
)
_IMAGES = Statement("SELECT name, target_digest, labels FROM images WHERE namespace = :namespace")


def referred(labels: Labels) -> Iterator[str]:
    """The digests that a blob's labels point to."""
    return _pointed(labels, _REFERENCE)


def referring(labels: Labels) -> Iterator[str]:
    """The digests that a blob's labels say point to it."""
    return _pointed(labels, _BACK_REFERENCE)


def is_root(labels: Labels, now_ns: int) -> bool:
    """Whether a blob's own labels keep it. A root label is `gc.root` itself or a field of it."""
    expires_ns = label_rows.expiry_of(labels)
    if expires_ns is not None and expires_ns <= now_ns:
        return False
    return any(key == ROOT or key.startswith((f"{ROOT}.", f"{ROOT}/")) for key in labels)


def _pointed(labels: Labels, edge: str) -> Iterator[str]:
    for key, value in labels.items():
        field = key.removeprefix(edge)
        if field != key and field[:1] in {"", ".", "/"}:
            yield value


class Graph:
    """The edges of one namespace, and what its roots reach: a digest and the reason for each."""

    def __init__(self, session: Session, namespace: str, now_ns: int) -> None:
        self._edges: defaultdict[str, list[str]] = defaultdict(list)
        self.kept: dict[str, str] = {}
        """Each digest that is reached, and why."""
        self._flat: dict[str, str] = {}
        courtesy = Courtesy()
        for root, reason in self._read(session, namespace, now_ns):
            self.reach(root, reason)
            courtesy.give_way()

    def reason(self, digest: str) -> str | None:
        """Why a digest is kept; None if it is not."""
        return self.kept.get(digest) or self._flat.get(digest)

    def has(self, digest: str) -> bool:
        """Whether a digest is kept."""
        return digest in self.kept or digest in self._flat

    def reach(self, root: str, reason: str) -> None:
        """Keep a digest and everything behind it."""
        waiting = [root]
        while waiting:
            digest = waiting.pop()
            if digest in self.kept:
                continue
            self.kept[digest] = reason if digest == root else f"referred to from {root}: {reason}"
            waiting += self._edges.get(digest, ())

    def add_edges(self, digest: str, labels: Labels) -> None:
        """Draw what a blob's labels say."""
        self._edges[digest] += referred(labels)
        for source in referring(labels):
            self._edges[source].append(digest)

    def _read(self, session: Session, namespace: str, now_ns: int) -> Iterable[tuple[str, str]]:
        roots: list[tuple[str, str]] = []
        for digest, text in session.each(_LABELLED, LABELLED_STEP, namespace=namespace):
            labels = label_rows.from_row(text)
            self.add_edges(digest, labels)
            if is_root(labels, now_ns):
                roots.append((digest, "labelled as a root"))
        images = {}
        for name, digest, text in session.rows(_IMAGES, namespace=namespace):
            images[name] = digest
            expires_ns = label_rows.expiry_of(label_rows.from_row(text))
            if expires_ns is None or expires_ns > now_ns:
                roots.append((digest, f"image {name}"))
        for kind, held, lease, text in session.rows(_HELD, namespace=namespace, now_ns=now_ns):
            reason = f"lease {lease}"
            digest = held if kind == "content" else images.get(held) if kind == "images" else None
            if digest is None:
                continue
            if FLAT in label_rows.from_row(text):
                self._flat[digest] = reason  # and nothing behind it
            else:
                roots.append((digest, reason))
        return roots
