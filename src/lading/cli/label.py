"""`lading label`: the labels of a blob."""

import click

from lading.cli.listing import blob_record, show_labels
from lading.cli.options import DIGEST, format_option, labels_argument, replace_option, verb
from lading.cli.session import Session
from lading.model.digest import Digest


@verb
@click.argument("digest", type=DIGEST)
@labels_argument
@replace_option
@format_option
def command(
    session: Session, digest: Digest, labels: dict[str, str], *, replace: bool, as_json: bool
) -> None:
    """Set labels of a blob, and show all that it has.

    KEY= deletes a label. Without any KEY=VALUE, only shows them.
    """
    if labels or replace:
        store = session.made_metadata().namespace(session.namespace)
        blob = store.label(digest, labels, replace=replace)
    else:
        blob = session.store().blob(digest)
    show_labels(blob.labels, blob_record(blob), as_json=as_json)
