"""`lading push`: an image or an artifact goes to a registry, or goes on going there."""

from typing import TYPE_CHECKING

import click

from lading.cli.listing import show
from lading.cli.options import progress_option, verb
from lading.cli.outcome import Complaint, Outcome, outcome_of, sentence_of
from lading.cli.quoting import command_line
from lading.cli.registry import (
    RegistryOptions,
    platform_option,
    platform_words,
    registry_options,
)
from lading.cli.sending import check_is_at_registry, kept_there
from lading.cli.session import Session
from lading.cli.transfers import at_once_option, transfer_progress
from lading.errors import Error, InvalidDigest, NotFound
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.content.store import ContentStore
    from lading.model.descriptor import Descriptor
    from lading.oci.choosing import Platforms


@verb
@click.argument("text", metavar="NAME|DIGEST")
@click.argument("target", metavar="[REFERENCE]", required=False)
@platform_option
@at_once_option
@registry_options
@progress_option
def command(
    session: Session,
    text: str,
    target: str | None,
    *,
    platform: "Platforms",
    at_once: int | None,
    registry: RegistryOptions,
    progress: str,
) -> None:
    """Send an image or an artifact to a registry.

    To REFERENCE; without it, to where the name of the image says. Everything it points to goes
    first, and what is there already is not sent. Prints its repository and digest. Stopped at any
    point, the same command goes on where the registry is, if that remembers it.
    """
    from lading.model.reference import Reference  # noqa: PLC0415 - not for `--help`

    if target is not None:
        check_is_at_registry(target, instead="lading export")
    store, pushed, name = _found(session, text)
    if target is None and name is None:
        raise click.UsageError(
            "A digest has no name, so say where to: REFERENCE", click.get_current_context()
        )
    reference = Reference.parse(target or name or "")
    words = [*platform_words(platform), *registry.words(), text, *([target] if target else [])]
    again = command_line(session.words("push", *words))
    with (
        registry.client(session, host=reference.host, blobs_at_once=at_once) as client,
        transfer_progress(progress, "push", str(reference)) as report,
    ):
        session.kept = lambda: kept_there(report, again)
        try:
            sent = client.push(
                reference, pushed, source=store, platform=platform or "all", progress=report
            )
        except NotFound as missing:
            if missing.kind is not None or platform is not None:
                raise
            raise Complaint(
                f"{missing}; what is here for one platform goes with --platform, such as"
                " --platform linux/amd64",
                Outcome.NOT_FOUND,
            ) from missing
        except Error as failure:
            if not failure.retryable:
                raise
            sentence = f"{sentence_of(failure)}; {kept_there(report, again)}"
            raise Complaint(sentence, outcome_of(failure)) from failure
    show([f"{reference.name}@{sent.digest}"])


def _found(session: Session, text: str) -> "tuple[ContentStore, Descriptor, str | None]":
    """What to send, the store that has it, and its name."""
    from lading.cli.targets import image_of, manifest_of  # noqa: PLC0415 - not for `--help`
    from lading.model.manifest import is_manifest  # noqa: PLC0415 - ditto

    store = session.store()
    try:
        return store, manifest_of(store, Digest.parse(text)), None
    except InvalidDigest:
        metadata = session.metadata()
    if metadata is None:
        raise NotFound(text, "image")
    image = image_of(metadata.namespace(session.namespace), text)
    target = image.target
    if not is_manifest(target.media_type):
        # Whoever gave it its name by hand need not have said what it is.
        target = manifest_of(store, target.digest)
    return store, target, image.name
