"""What keeps from collection what a verb brings in: a lease that somebody has made, or a label."""

import time

import click

from lading.cli.options import Decorated
from lading.cli.quantities import time_text
from lading.cli.session import Session
from lading.content.store import ContentStore, Labels
from lading.errors import NotFound

ROOT = "containerd.io/gc.root"


def lease_option(function: Decorated) -> Decorated:
    """Add --lease, which the verb sees as `lease`."""
    return click.option(
        "--lease",
        metavar="ID",
        envvar="LADING_LEASE",
        help="The lease that keeps it from collection. Default: $LADING_LEASE, else a label does.",
    )(function)


def kept_by(session: Session, lease: str | None) -> tuple[ContentStore, Labels | None]:
    """Open the store, and say how a blob is labelled so that no collection takes it."""
    if lease is None:
        store = session.store(makes=True)
        # What somebody stores by hand is wanted until somebody deletes it.
        return store, {ROOT: time_text(time.time_ns()) or "true"} if session.has_database else None
    metadata = session.metadata()
    if metadata is None:
        raise NotFound(lease, "lease")
    return metadata.namespace(session.namespace).leased(lease), None
