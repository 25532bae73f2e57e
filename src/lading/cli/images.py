"""`lading images`: names for blobs."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lading.cli.ending import end_each, ignore_missing_option
from lading.cli.listing import Record, json_lines, show, show_labels, table
from lading.cli.options import (
    DIGEST,
    format_option,
    labels_argument,
    quiet_option,
    replace_option,
    verbs,
)
from lading.cli.outcome import Complaint, Outcome
from lading.cli.quantities import age_text, size_text, time_text
from lading.cli.session import Session
from lading.errors import AlreadyExists, NotFound
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.content.catalog import Image, Images
    from lading.model.descriptor import Descriptor

command = verbs("images", "Give names to blobs.")
_FORCE = click.option("--force", is_flag=True, help="A name that is taken stands for this now.")


@command.add("ls")
@click.argument("filters", metavar="[FILTER]...", nargs=-1)
@quiet_option("names")
@format_option
def ls(session: Session, filters: tuple[str, ...], *, quiet: bool, as_json: bool) -> None:
    """List the images of the namespace.

    With filters, those that any of them accepts, such as name~=^registry.
    """
    found = () if session.metadata() is None else _images(session, "").list(*filters)
    if quiet:
        show(image.name for image in found)
    elif as_json:
        show(json_lines(map(_record, found)))
    else:
        now = time.time_ns()
        rows = (
            (
                image.name,
                image.target.digest,
                size_text(image.target.size),
                age_text(image.updated_ns, now),
                image.target.media_type,
            )
            for image in found
        )
        show(table(("IMAGE", "DIGEST", "SIZE", "AGE", "MEDIA TYPE"), rows))


@command.add("create")
@click.argument("name")
@click.argument("digest", type=DIGEST)
@click.option(
    "--media-type",
    metavar="TYPE",
    default="application/octet-stream",
    show_default=True,
    help="What the bytes are.",
)
@_FORCE
@labels_argument
@format_option
def create(
    session: Session,
    name: str,
    digest: Digest,
    labels: dict[str, str],
    *,
    media_type: str,
    force: bool,
    as_json: bool,
) -> None:
    """Give a name to a blob that is here, and keep it from collection.

    Prints the digest. So is kept what the blob refers to by containerd.io/gc.ref.content labels.
    """
    namespace = session.made_metadata().namespace(session.namespace)
    size = namespace.blob(digest).size
    from lading.model.descriptor import Descriptor  # noqa: PLC0415 - an extra

    _name(
        namespace.images,
        name,
        Descriptor(media_type, digest, size),
        labels,
        force=force,
        as_json=as_json,
    )


@command.add("tag")
@click.argument("name")
@click.argument("another", metavar="ANOTHER")
@_FORCE
@format_option
def tag(session: Session, name: str, another: str, *, force: bool, as_json: bool) -> None:
    """Give one more name to what an image stands for."""
    images = _images(session, name)
    image = images.get(name)
    _name(images, another, image.target, dict(image.labels), force=force, as_json=as_json)


@command.add("label")
@click.argument("name")
@labels_argument
@replace_option
@format_option
def label(
    session: Session, name: str, labels: dict[str, str], *, replace: bool, as_json: bool
) -> None:
    """Set labels of an image, and show all that it has.

    KEY= deletes a label.
    """
    images = _images(session, name)
    if replace:
        image = images.update(name, labels=labels)
    elif labels:
        image = images.update(name, labels=labels, fields=[f"labels.{key}" for key in labels])
    else:
        image = images.get(name)
    show_labels(image.labels, _record(image), as_json=as_json)


@command.add("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@ignore_missing_option
@format_option
def rm(session: Session, names: tuple[str, ...], *, ignore_missing: bool, as_json: bool) -> Outcome:
    """Delete images.

    The blobs that they alone kept go with the next collection. Prints each name that is gone.
    """
    return end_each(
        session,
        names,
        lambda name: _images(session, name).delete(name),
        key="name",
        as_json=as_json,
        ignore_missing=ignore_missing,
    )


def _images(session: Session, name: str) -> "Images":
    metadata = session.metadata()
    if metadata is None:
        raise NotFound(name, "image")
    return metadata.namespace(session.namespace).images


def _name(
    images: "Images",
    name: str,
    target: "Descriptor",
    labels: dict[str, str],
    *,
    force: bool,
    as_json: bool,
) -> None:
    image = None
    if force:
        with suppress(NotFound):
            image = images.update(name, target=target, labels=labels)
    try:
        image = image or images.create(name, target, labels=labels)
    except AlreadyExists as taken:
        raise Complaint(f"{taken}; --force lets it stand for this now", Outcome.FAILED) from taken
    show(json_lines([_record(image)]) if as_json else [image.target.digest])


def _record(image: "Image") -> Record:
    return {
        "name": image.name,
        "digest": str(image.target.digest),
        "media_type": image.target.media_type,
        "size": image.target.size,
        "created_at": time_text(image.created_ns),
        "updated_at": time_text(image.updated_ns),
        "labels": dict(image.labels),
    }
