"""`lading abort`: end ingests."""

import click

from lading.cli.ending import end_each, ignore_missing_option
from lading.cli.options import REF, format_option, verb
from lading.cli.outcome import Outcome
from lading.cli.session import Session


@verb
@click.argument("refs", metavar="REF...", nargs=-1, required=True, type=REF)
@ignore_missing_option
@format_option
def command(
    session: Session, refs: tuple[str, ...], *, ignore_missing: bool, as_json: bool
) -> Outcome:
    """End ingests and free their room.

    Also under a running writer, which then fails. Prints the ref of each that is gone, and goes
    on after a failure.
    """
    store = session.store()

    def abort(ref: str) -> int:
        size = store.ingest(ref).offset
        store.abort(ref)
        return size

    return end_each(session, refs, abort, key="ref", as_json=as_json, ignore_missing=ignore_missing)
