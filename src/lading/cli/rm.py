"""`lading rm`: delete blobs."""

import click

from lading.cli.ending import end_each, ignore_missing_option
from lading.cli.options import DIGEST, format_option, verb
from lading.cli.outcome import Outcome
from lading.cli.session import Session
from lading.model.digest import Digest


@verb
@click.argument("digests", metavar="DIGEST...", nargs=-1, required=True, type=DIGEST)
@ignore_missing_option
@format_option
def command(
    session: Session, digests: tuple[Digest, ...], *, ignore_missing: bool, as_json: bool
) -> Outcome:
    """Delete blobs.

    Prints the digest of each that is gone, and goes on after a failure.
    """
    store = session.store()

    def delete(name: str) -> int:
        digest = Digest.parse(name)
        size = store.blob(digest).size
        store.delete(digest)
        return size

    return end_each(
        session, digests, delete, key="digest", as_json=as_json, ignore_missing=ignore_missing
    )
