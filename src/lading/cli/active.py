"""`lading active`: the ingests."""

import time

import click

from lading.cli.listing import ingest_record, json_lines, show, table
from lading.cli.options import format_option, verb
from lading.cli.quantities import age_text, size_text
from lading.cli.session import Session


@verb
@click.argument("filters", metavar="[FILTER]...", nargs=-1)
@format_option
def command(session: Session, filters: tuple[str, ...], *, as_json: bool) -> None:
    """List the ingests: what has begun and not ended.

    With filters, those that any of them accepts, such as ref~=^layer. A ref is shown with its
    control characters escaped; --json has it exactly.
    """
    ingests = session.store().ingests(*filters)
    if as_json:
        show(json_lines(map(ingest_record, ingests)))
        return
    now = time.time_ns()
    rows = (
        (
            ingest.ref,
            size_text(ingest.offset),
            "-" if ingest.total is None else size_text(ingest.total),
            age_text(ingest.started_ns, now),
        )
        for ingest in ingests
    )
    show(table(("REF", "SIZE", "TOTAL", "AGE"), rows))
