"""`lading ls`: the blobs."""

import time

import click

from lading.cli.listing import blob_record, json_lines, show, table
from lading.cli.options import format_option, quiet_option, verb
from lading.cli.quantities import age_text, size_text
from lading.cli.session import Session


@verb
@click.argument("filters", metavar="[FILTER]...", nargs=-1)
@quiet_option("digests")
@format_option
def command(session: Session, filters: tuple[str, ...], *, quiet: bool, as_json: bool) -> None:
    """List the blobs.

    With filters, those that any of them accepts, such as digest~=^sha512. In no order: `sort`
    sorts them.
    """
    if quiet and as_json:
        raise click.UsageError("Choose one of --quiet and --json", click.get_current_context())
    blobs = session.store().blobs(*filters)
    if quiet:
        show(blob.digest for blob in blobs)
    elif as_json:
        show(json_lines(map(blob_record, blobs)))
    else:
        now = time.time_ns()
        rows = ((b.digest, size_text(b.size), age_text(b.created_ns, now)) for b in blobs)
        show(table(("DIGEST", "SIZE", "AGE"), rows))
