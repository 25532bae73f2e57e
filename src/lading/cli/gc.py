"""`lading gc`: what nothing keeps goes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from lading.cli.listing import ORPHAN, Record, json_lines, show, table
from lading.cli.options import format_option, verb
from lading.cli.outcome import Outcome, say
from lading.cli.quantities import counted, size_text
from lading.cli.session import Session

if TYPE_CHECKING:
    from lading.content.catalog import Catalog

_DELETED = "deleted before, its bytes are here still"
_IDLE = "no lease keeps it, and nobody has written to it for a day"
_NOTHING = "this root has no metadata, so that nothing in it is collected"


@verb
@click.option("--dry-run", is_flag=True, help="Only list what would go, what stays, and why.")
@format_option
def command(session: Session, *, dry_run: bool, as_json: bool) -> Outcome:
    """Delete the blobs that nothing keeps.

    In every namespace. What keeps a blob: a lease, an image, the label containerd.io/gc.root, which
    `lading ingest` sets, or a containerd.io/gc.ref.content label of a blob that is kept.
    """
    metadata = session.metadata()
    if metadata is None:
        say(_NOTHING)
        return Outcome.OK
    if dry_run:
        _show_ledger(metadata, as_json=as_json)
        return Outcome.OK
    return _collect(session, metadata, as_json=as_json)


def _collect(session: Session, metadata: "Catalog", *, as_json: bool) -> Outcome:
    session.kept = lambda: "what was deleted is gone, and the next collection goes on from there"
    done = metadata.collect()
    if as_json:
        record: Record = {
            "kind": "collection",
            "blobs": done.blobs,
            "bytes": done.bytes,
            "rows": done.rows,
            "ingests": done.ingests,
            "milliseconds": round(done.took.total_seconds() * 1000),
        }
        show(json_lines([record]))
    lost = f", namespaces lost {counted(done.rows, 'blob')}" if done.rows else ""
    ended = f", ended {counted(done.ingests, 'ingest')}" if done.ingests else ""
    say(f"freed {size_text(done.bytes)} of {counted(done.blobs, 'blob')}{lost}{ended}")
    for sentence in done.failed:
        say(f"{sentence}; the next collection tries again")
    return Outcome.TRY_AGAIN if done.failed else Outcome.OK


class _Line(NamedTuple):
    """A line of the ledger: what happens to a blob in a namespace, or in none, or to an ingest."""

    kind: Literal["blob", "ingest"]
    namespace: str | None
    name: str
    """A digest, or a ref."""
    size: int
    goes: bool
    reason: str


def _show_ledger(metadata: "Catalog", *, as_json: bool) -> None:
    tally = _Tally()
    lines = tally.counting(_ledger(metadata))
    if as_json:
        show(json_lines(map(_record, lines)))
        show(json_lines([tally.record()]))
    else:
        rows = (
            (
                "goes" if line.goes else "stays",
                line.namespace or "-",
                line.name,
                size_text(line.size),
                line.reason,
            )
            for line in lines
        )
        show(table(("WHAT", "NAMESPACE", "NAME", "SIZE", "WHY"), rows))
    say(tally.summary())


def _record(line: _Line) -> Record:
    name = "digest" if line.kind == "blob" else "ref"
    return {
        "kind": line.kind,
        "namespace": line.namespace,
        name: line.name,
        "size": line.size,
        "goes": line.goes,
        "reason": line.reason,
    }


def _ledger(metadata: "Catalog") -> Iterator[_Line]:
    for line in metadata.ledger():
        goes = line.reason is None
        why = line.reason or ("nothing keeps it" if line.namespace else _DELETED)
        yield _Line("blob", line.namespace or None, line.digest, line.size, goes, why)
    for blob in metadata.orphans():
        yield _Line("blob", None, blob.digest, blob.size, goes=False, reason=ORPHAN)
    for idle in metadata.idle_ingests():
        yield _Line("ingest", idle.namespace, idle.ref, idle.offset, goes=True, reason=_IDLE)


class _Tally:
    """Sums over a ledger. Bytes that namespaces share count once, and go with the last."""

    def __init__(self) -> None:
        self._goes: dict[str, int] = {}
        self._stays: dict[str, int] = {}
        self._rows = self._orphans = self._ingests = 0

    def counting(self, lines: Iterator[_Line]) -> Iterator[_Line]:
        """Count lines as they pass."""
        for line in lines:
            if line.kind == "ingest":
                self._ingests += 1
            elif line.goes:
                self._goes[line.name] = line.size
                self._rows += line.namespace is not None
            else:
                self._stays[line.name] = line.size
                self._orphans += line.namespace is None
            yield line

    def record(self) -> Record:
        """Sum up for a program."""
        return {
            "kind": "summary",
            "blobs": len(self._gone),
            "bytes": sum(self._gone.values()),
            "rows": self._rows,
            "ingests": self._ingests,
            "kept": len(self._stays),
            "kept_bytes": sum(self._stays.values()),
            "orphans": self._orphans,
        }

    def summary(self) -> str:
        """Sum up for people."""
        ingests = f" and {counted(self._ingests, 'ingest')}" if self._ingests else ""
        orphans = f", {counted(self._orphans, 'orphan')} among them" if self._orphans else ""
        return f"{_sum_text(self._gone)}{ingests} would go; {_sum_text(self._stays)} stay{orphans}"

    @property
    def _gone(self) -> dict[str, int]:
        return {digest: size for digest, size in self._goes.items() if digest not in self._stays}


def _sum_text(sizes: dict[str, int]) -> str:
    return f"{counted(len(sizes), 'blob')} ({size_text(sum(sizes.values()))})"
