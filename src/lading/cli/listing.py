"""Listings: tables for people and JSON lines for programs, one row at a time.

A store may hold a hundred thousand blobs, so nothing here waits for the last before it shows the
first, and JSON is one object per line: `jq` reads it as it comes, and `jq -s` makes an array.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from lading.cli.quantities import time_text
from lading.cli.quoting import escaped
from lading.content.store import Blob, Ingest
from lading.errors import NotFound
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.stores.local.store import LocalStore

Value = str | int | bool | None | Mapping[str, str]
Record = dict[str, Value]

ORPHAN = "no namespace has it; `lading metadata rebuild` adopts it"
"""Why a blob is reported that the content store has and the database does not."""

_ROWS_MEASURED = 512
"""The widths of a table are those of its first rows; a wider one later only stands out."""


def blob_record(blob: Blob) -> Record:
    """Describe a blob for a program. `docs/cli.md` has the schema."""
    return {
        "digest": str(blob.digest),
        "size": blob.size,
        "created_at": time_text(blob.created_ns),
        "updated_at": time_text(blob.updated_ns),
        "labels": dict(blob.labels),
    }


def ingest_record(ingest: Ingest) -> Record:
    """Describe an ingest for a program. `docs/cli.md` has the schema."""
    return {
        "ref": ingest.ref,
        "offset": ingest.offset,
        "total": ingest.total,
        "expected": None if ingest.expected is None else str(ingest.expected),
        "started_at": time_text(ingest.started_ns),
        "updated_at": time_text(ingest.updated_ns),
    }


def path_of(content: "LocalStore | None", digest: Digest) -> str | None:
    """Find the file that holds a blob; None where it is gone, whatever a namespace says.

    Also None where the store is a daemon's.
    """
    try:
        return None if content is None else str(content.path(digest))
    except NotFound:
        return None


def labels_text(labels: Mapping[str, str]) -> str:
    """Write labels into one cell of a table."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "-"


def show_labels(labels: Mapping[str, str], record: Record, *, as_json: bool) -> None:
    """Show what is labelled now: the labels, one a line, or the whole for a program."""
    lines = (escaped(f"{key}={value}") for key, value in sorted(labels.items()))
    show(json_lines([record]) if as_json else lines)


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """Write each record as one line of JSON, in ASCII, so that any locale can print it."""
    from json import dumps  # noqa: PLC0415 - not for tables

    for record in records:
        yield dumps(record)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Align cells, which are escaped here, in columns one blank apart."""
    shown = ([escaped(cell) for cell in row] for row in rows)
    measured = list(islice(shown, _ROWS_MEASURED))
    widths = [max(map(len, column)) for column in zip(header, *measured, strict=True)]
    for row in chain([header], measured, shown):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield " ".join(cells).rstrip()


def facts(record: Record) -> Iterator[str]:
    """Write one record for people: a fact per line, nested ones indented."""
    width = max(map(len, record), default=0) + 1
    for name, value in record.items():
        label = f"{name}:".ljust(width)
        if isinstance(value, Mapping):
            yield f"{label} {'' if value else '-'}".rstrip()
            yield from (f"  {escaped(key)}={escaped(item)}" for key, item in sorted(value.items()))
        else:
            yield f"{label} {_shown(value)}"


def show(lines: Iterable[str]) -> None:
    """Print lines on stdout; what is slow to come is not held back from a terminal."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _shown(value: str | int | bool | None) -> str:  # noqa: FBT001 - a value, no switch
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return escaped(str(value))
