"""`lading leases`: what is kept from collection, and until when."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lading.cli.ending import end_each, ignore_missing_option
from lading.cli.listing import Record, json_lines, labels_text, show, table
from lading.cli.options import (
    DIGEST,
    DURATION,
    REF,
    format_option,
    labels_argument,
    quiet_option,
    verbs,
)
from lading.cli.outcome import Outcome
from lading.cli.quantities import age_text, span_until, time_text
from lading.cli.session import Session
from lading.errors import NotFound
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.content.catalog import Lease, LeaseRecord

command = verbs("leases", "Make and end leases, which keep blobs from collection.")
DAY = timedelta(days=1)
_EXPIRY = click.option(
    "--expires-in",
    type=DURATION,
    metavar="DURATION",
    default="1d",
    show_default=True,
    help="When it ends, counted from now: 2h, 7d.",
)


@command.add("ls")
@quiet_option("ids")
@format_option
def ls(session: Session, *, quiet: bool, as_json: bool) -> None:
    """List the leases of the namespace.

    One that has expired is listed until the next collection.
    """
    metadata = session.metadata()
    found = () if metadata is None else metadata.namespace(session.namespace).leases()
    if quiet:
        show(lease.id for lease in found)
    elif as_json:
        show(json_lines(map(_record, found)))
    else:
        now = time.time_ns()
        rows = (
            (
                lease.id,
                age_text(lease.created_ns, now),
                span_until(lease.expires_ns, now),
                labels_text(lease.labels),
            )
            for lease in found
        )
        show(table(("LEASE", "AGE", "EXPIRES", "LABELS"), rows))


@command.add("create")
@click.option("--id", "name", metavar="ID", help="Its name; else one is made.")
@_EXPIRY
@click.option("--keep", is_flag=True, help="It does not expire, and ends with `leases rm`.")
@labels_argument
@format_option
def create(
    session: Session,
    labels: dict[str, str],
    *,
    name: str | None,
    expires_in: timedelta,
    keep: bool,
    as_json: bool,
) -> None:
    """Make a lease, and print its id.

    `lading ingest --lease ID` stores what it keeps; so does $LADING_LEASE.
    """
    namespace = session.made_metadata().namespace(session.namespace)
    lease = namespace.lease(name, expires_in=None if keep else expires_in, labels=labels)
    show(json_lines([_record(lease.record())]) if as_json else [lease.id])


@command.add("rm")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@ignore_missing_option
@format_option
def rm(session: Session, ids: tuple[str, ...], *, ignore_missing: bool, as_json: bool) -> Outcome:
    """End leases.

    What they alone kept goes with the next collection. Prints the id of each that is gone.
    """
    return end_each(
        session,
        ids,
        lambda id_: _leased(session, id_).end(),
        key="id",
        as_json=as_json,
        ignore_missing=ignore_missing,
    )


@command.add("renew")
@click.argument("id_", metavar="ID")
@_EXPIRY
@format_option
def renew(session: Session, id_: str, *, expires_in: timedelta, as_json: bool) -> None:
    """Let a lease end later, and print when."""
    record = _leased(session, id_).renew(expires_in)
    until = time_text(record.expires_ns or 0) or "-"
    show(json_lines([_record(record)]) if as_json else [until])


@command.add("resources")
@click.argument("id_", metavar="ID")
@format_option
def resources(session: Session, id_: str, *, as_json: bool) -> None:
    """List what a lease keeps."""
    held = _leased(session, id_).resources()
    if as_json:
        show(json_lines({"kind": each.kind, "id": each.id} for each in held))
    else:
        show(table(("KIND", "ID"), held))


@command.add("add")
@click.argument("id_", metavar="ID")
@click.argument("digests", metavar="[DIGEST]...", nargs=-1, type=DIGEST)
@click.option("--ref", "refs", metavar="REF", multiple=True, type=REF, help="An ingest.")
@click.option("--image", "images", metavar="NAME", multiple=True, help="An image.")
def add(
    session: Session,
    id_: str,
    digests: tuple[Digest, ...],
    *,
    refs: tuple[str, ...],
    images: tuple[str, ...],
) -> None:
    """Let a lease keep more: blobs, ingests or images that are here."""
    if not (digests or refs or images):
        raise click.UsageError("Name a DIGEST, --ref or --image", click.get_current_context())
    lease = _leased(session, id_)
    from lading.content.catalog import Resource  # noqa: PLC0415 - few need it

    found = [Resource("content", lease.blob(digest).digest) for digest in digests]
    found += [Resource("ingests", lease.ingest(ref).ref) for ref in refs]
    found += [Resource("images", lease.images.get(name).name) for name in images]
    for resource in found:
        lease.hold(resource)


def _leased(session: Session, id_: str) -> "Lease":
    metadata = session.metadata()
    if metadata is None:
        raise NotFound(id_, "lease")
    return metadata.namespace(session.namespace).leased(id_)


def _record(lease: "LeaseRecord") -> Record:
    return {
        "id": lease.id,
        "created_at": time_text(lease.created_ns),
        "expires_at": None if lease.expires_ns is None else time_text(lease.expires_ns),
        "labels": dict(lease.labels),
    }
