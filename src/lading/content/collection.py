"""What a collection would do, and what one did."""

from datetime import timedelta
from typing import NamedTuple

from lading.model.digest import Digest


class LedgerLine(NamedTuple):
    """One blob, and what a collection would do with it."""

    namespace: str
    """Empty for bytes that no namespace has any more, and that wait for the collector."""
    digest: Digest
    size: int
    reason: str | None
    """Why it stays; None if it goes."""


class IdleIngest(NamedTuple):
    """An ingest that a collection would abort."""

    namespace: str
    ref: str
    offset: int
    """How many bytes it holds."""


class Collection(NamedTuple):
    """What one collection did."""

    blobs: int
    """Blobs whose bytes were deleted."""
    bytes: int
    rows: int
    """Blobs that namespaces lost; bytes that are shared go with the last."""
    ingests: int
    """Ingests that were aborted, since nobody had written to them for a day."""
    took: timedelta
    failed: tuple[str, ...] = ()
    """Why bytes or ingests could not be deleted, a sentence each; the next collection tries again.

    The first ones, that is, if there are many.
    """
