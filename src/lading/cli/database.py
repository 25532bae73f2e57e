"""The metadata of a root: opened, or made when a verb first needs it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.cli.outcome import Complaint, Outcome, say
from lading.cli.quantities import counted
from lading.cli.session import DEFAULT_NAMESPACE, Session
from lading.stores.local.store import LocalStore

if TYPE_CHECKING:
    from lading.metadata.catalog import Metadata

_EXTRAS = {"sqlalchemy": "metadata", "alembic": "metadata", "psycopg": "postgresql"}


def opened(session: Session, *, rebuilds: bool = False) -> "Metadata":
    """Open the metadata; what the store had before it had any goes into the default namespace.

    Who `rebuilds` sees to that.
    """
    content = session.content()
    if not session.has_database:
        _check_may_make(content)
    with extras_are_there():
        from lading.metadata.catalog import Metadata  # noqa: PLC0415 - an extra
        from lading.metadata.rebuild import finish_adoption  # noqa: PLC0415 - ditto

        metadata = Metadata(session.database, content=content)
    if rebuilds:
        return metadata
    try:
        adopted = finish_adoption(metadata, DEFAULT_NAMESPACE, now_ns=time.time_ns())
    except BaseException:
        metadata.close()
        raise
    if adopted:
        from lading.content.catalog import ADOPTED  # noqa: PLC0415 - few need it

        blobs = sum(found.kind == "adopted" for found in adopted)
        say(
            f"namespace {DEFAULT_NAMESPACE!r} has adopted {counted(blobs, 'blob')} and "
            f"{counted(len(adopted) - blobs, 'ingest')}, which lease {ADOPTED!r} keeps"
        )
    return metadata


@contextmanager
def extras_are_there() -> Iterator[None]:
    """Say how to install what is missing."""
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "psycopg").partition(".")[0])
        if extra is None:
            raise
        raise Complaint(
            "namespaces, labels, leases, images and collection need packages that are not "
            f"installed; run: pip install 'lading[{extra}]'",
            Outcome.FAILED,
        ) from error


def _check_may_make(content: LocalStore) -> None:
    """Refuse where the root is not ours."""
    reason = content.facts()["why_not_writable"]
    if reason is not None:
        raise Complaint(f"no metadata can be made: {reason}", Outcome.NOT_ALLOWED)
