"""`lading copy`: an image or an artifact goes from a registry to another, and is kept nowhere."""

from typing import TYPE_CHECKING

import click

from lading.cli.listing import show
from lading.cli.options import progress_option, verb
from lading.cli.outcome import Complaint, outcome_of, sentence_of
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
from lading.errors import Error

if TYPE_CHECKING:
    from lading.oci.choosing import Platforms


@verb
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@platform_option
@click.option("--referrers", is_flag=True, help="With what is attached to it, such as signatures.")
@at_once_option
@registry_options
@progress_option
def command(
    session: Session,
    source: str,
    target: str,
    *,
    platform: "Platforms",
    referrers: bool,
    at_once: int | None,
    registry: RegistryOptions,
    progress: str,
) -> None:
    """Copy an image or an artifact between registries, or within one.

    SOURCE and TARGET are references. All platforms go along. Within one registry nothing is moved;
    between two everything passes through, checked, and is kept nowhere. Prints the repository and
    the digest. Stopped at any point, the same command goes on where the target is.
    """
    from lading.model.reference import Reference  # noqa: PLC0415 - not for `--help`

    check_is_at_registry(source, instead="lading import")
    check_is_at_registry(target, instead="lading export")
    there, here = Reference.parse(target), Reference.parse(source)
    options = [*platform_words(platform), *(["--referrers"] if referrers else [])]
    words = [*options, *registry.words(), source, target]
    again = command_line(session.words("copy", *words))
    with (
        registry.client(session, host=there.host, blobs_at_once=at_once) as client,
        transfer_progress(progress, "copy", f"{here} to {there}") as report,
    ):
        session.kept = lambda: kept_there(report, again)
        try:
            sent = client.copy(
                here, there, platform=platform or "all", referrers=referrers, progress=report
            )
        except Error as failure:
            if not failure.retryable:
                raise
            sentence = f"{sentence_of(failure)}; {kept_there(report, again)}"
            raise Complaint(sentence, outcome_of(failure)) from failure
    show([f"{there.name}@{sent.digest}"])
