"""`lading namespaces`: who has blobs here."""

import time
from typing import TYPE_CHECKING

import click

from lading.cli.ending import end_each, ignore_missing_option
from lading.cli.listing import Record, json_lines, labels_text, show, show_labels, table
from lading.cli.options import (
    format_option,
    labels_argument,
    quiet_option,
    replace_option,
    verbs,
)
from lading.cli.outcome import Outcome
from lading.cli.quantities import age_text, time_text
from lading.cli.session import Session
from lading.errors import NotFound

if TYPE_CHECKING:
    from lading.content.catalog import NamespaceRecord

command = verbs("namespaces", "List, label and delete namespaces.")


@command.add("ls")
@quiet_option("names")
@format_option
def ls(session: Session, *, quiet: bool, as_json: bool) -> None:
    """List the namespaces.

    A namespace is there from its first blob, ingest, lease, image or label on.
    """
    metadata = session.metadata()
    found = () if metadata is None else metadata.namespaces()
    if quiet:
        show(each.name for each in found)
    elif as_json:
        show(json_lines(map(_record, found)))
    else:
        now = time.time_ns()
        rows = ((n.name, age_text(n.created_ns, now), labels_text(n.labels)) for n in found)
        show(table(("NAMESPACE", "AGE", "LABELS"), rows))


@command.add("label")
@click.argument("name")
@labels_argument
@replace_option
@format_option
def label(
    session: Session, name: str, labels: dict[str, str], *, replace: bool, as_json: bool
) -> None:
    """Set labels of a namespace, and show all that it has.

    A namespace that is not there is made. KEY= deletes a label.
    """
    metadata = session.made_metadata()
    found = metadata.label_namespace(name, labels, replace=replace)
    show_labels(found.labels, _record(found), as_json=as_json)


@command.add("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@ignore_missing_option
@format_option
def rm(session: Session, names: tuple[str, ...], *, ignore_missing: bool, as_json: bool) -> Outcome:
    """Delete namespaces that are empty.

    Blobs, ingests, leases and images all count. Prints the name of each that is gone.
    """
    metadata = session.metadata()

    def delete(name: str) -> None:
        if metadata is None:
            raise NotFound(name, "namespace")
        metadata.delete_namespace(name)

    return end_each(
        session, names, delete, key="name", as_json=as_json, ignore_missing=ignore_missing
    )


def _record(namespace: "NamespaceRecord") -> Record:
    return {
        "name": namespace.name,
        "created_at": time_text(namespace.created_ns),
        "labels": dict(namespace.labels),
    }
