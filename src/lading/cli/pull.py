"""`lading pull`: an image or an artifact comes from a registry, or goes on coming."""

import click

from lading.cli.listing import show
from lading.cli.options import progress_option, verb
from lading.cli.outcome import Complaint, outcome_of, sentence_of
from lading.cli.quantities import size_text
from lading.cli.quoting import command_line
from lading.cli.registry import (
    RegistryOptions,
    platform_option,
    platform_words,
    registry_options,
)
from lading.cli.session import Session
from lading.cli.transfers import Transfers, at_once_option, streams_option, transfer_progress
from lading.content.catalog import Scope
from lading.errors import Error
from lading.model.descriptor import Descriptor
from lading.model.reference import Reference
from lading.oci.choosing import Platforms
from lading.oci.graph import ref_for


@verb
@click.argument("text", metavar="REFERENCE")
@click.option("--name", metavar="NAME", help="What to call the image. Default: REFERENCE in full.")
@platform_option
@at_once_option
@streams_option
@registry_options
@progress_option
def command(
    session: Session,
    text: str,
    *,
    name: str | None,
    platform: Platforms,
    at_once: int | None,
    streams: int,
    registry: RegistryOptions,
    progress: str,
) -> None:
    """Bring an image or an artifact from a registry.

    It is named, and its repository and digest are printed. Of several platforms this machine's is
    brought. Stopped at any point, the same command goes on where it was, and what is here already
    is not fetched again; until then a lease keeps it for a day.
    """
    reference = Reference.parse(text)
    options = [
        *(["--name", name] if name else []),
        *platform_words(platform),
        *registry.words(),
    ]
    again = command_line(session.words("pull", *options, text))
    with (
        registry.client(
            session, host=reference.host, blobs_at_once=at_once, streams=streams
        ) as client,
        transfer_progress(progress, "pull", str(reference)) as report,
    ):
        namespace: Scope | None = None
        session.kept = lambda: _kept(report, namespace, again)
        try:
            if not session.has_database:
                client.resolve(reference)  # or a name that was mistyped would make a database
            namespace = session.made_metadata().namespace(session.namespace)
            target = client.pull(
                reference, into=namespace, platform=platform, name=name, progress=report
            )
        except Error as failure:
            if not failure.retryable:
                raise
            sentence = f"{sentence_of(failure)}; {_kept(report, namespace, again)}"
            raise Complaint(sentence, outcome_of(failure)) from failure
    show([f"{reference.name}@{target.digest}"])


def _kept(report: Transfers, namespace: Scope | None, again: str) -> str:
    """Say what a pull that stopped leaves behind, and how to go on."""
    kept = sum(blob.size for blob in report.finished)
    if namespace is not None:
        kept += sum(_offset_of(blob, namespace) for blob in report.unfinished)
    if not kept:
        return f"nothing was pulled yet; start over with: {again}"
    return f"{size_text(kept)} of {size_text(report.total)} are here; go on with: {again}"


def _offset_of(blob: Descriptor, namespace: Scope) -> int:
    # Steps are told now and then; the last bytes, and even the commit, may have come after them.
    try:
        return blob.size if blob.digest in namespace else namespace.ingest(ref_for(blob)).offset
    except Error:
        return 0
