"""`lading fetch`: one blob comes from a URL or a registry, or goes on coming."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import click

from lading.cli.keeping import kept_by, lease_option
from lading.cli.listing import show
from lading.cli.options import DIGEST, progress_option, verb
from lading.cli.outcome import Complaint, outcome_of, say, sentence_of
from lading.cli.progress import Progress, progress_of
from lading.cli.quantities import size_text
from lading.cli.quoting import command_line
from lading.cli.registry import (
    RegistryOptions,
    extra_is_there,
    read_password,
    registry_options,
)
from lading.cli.session import Session
from lading.cli.transfers import streams_option, transfer_progress
from lading.content.store import ContentStore, Labels
from lading.errors import Error, InvalidArgument
from lading.model.digest import Digest
from lading.model.reference import Reference

if TYPE_CHECKING:
    from lading.oci.progress import Step


@verb
@click.argument("text", metavar="URL|REFERENCE")
@click.option("--digest", type=DIGEST, metavar="DIGEST", help="Take these bytes and no others.")
@lease_option
@streams_option
@registry_options
@progress_option
def command(
    session: Session,
    text: str,
    *,
    digest: Digest | None,
    lease: str | None,
    streams: int,
    registry: RegistryOptions,
    progress: str,
) -> None:
    """Bring one blob from a URL or a registry, and print its digest.

    A REFERENCE names the blob by its digest: registry/repository@sha256:... Nothing that it points
    to comes along, which is for pull. The bytes of a URL are verified where --digest says which
    they are. Stopped at any point, the same command goes on where it was.
    """
    options = [
        *(["--digest", digest] if digest is not None else []),
        *(["--lease", lease] if lease is not None else []),
        *registry.words(),
    ]
    scheme, is_url, _ = text.partition("://")
    if is_url and scheme.lower() not in {"http", "https", "docker"}:
        raise InvalidArgument(f"{scheme}: is nothing that can be fetched from; http and https are")
    store, labels = kept_by(session, lease)
    run = _Run(session, text, digest, store, labels, registry, streams, progress, options)
    with extra_is_there():
        show([_from_url(run) if run.is_url else _from_registry(run)])


class _Run(NamedTuple):
    """What was said on the command line."""

    session: Session
    text: str
    digest: Digest | None
    store: ContentStore
    labels: Labels | None
    registry: RegistryOptions
    streams: int
    progress: str
    options: list[str]
    """What another run has to say again."""

    @property
    def is_url(self) -> bool:
        return self.text.lower().startswith(("http://", "https://"))

    def watch(self, offset: Callable[[], int], total: Callable[[], int | None]) -> None:
        """Know how far it is, for the sentence that ends it."""

        def kept() -> str:
            if not offset():
                return f"nothing was fetched yet; start over with {self._again()}"
            of = f" of {size_text(known)}" if (known := total()) else ""
            return f"{size_text(offset())}{of} are here; go on with {self._again()}"

        self.session.kept = kept

    def complaint(self, failure: Error) -> Complaint:
        return Complaint(f"{sentence_of(failure)}; {self.session.kept()}", outcome_of(failure))

    def _again(self) -> str:
        # What is after the name in a URL can be a secret, and what is before it is one.
        if self.is_url and ("@" in self.text or "?" in self.text):
            return "the same command"
        return f"`{command_line(self.session.words('fetch', *self.options, self.text))}`"


def _from_registry(run: _Run) -> Digest:
    reference = Reference.parse(run.text)
    if run.digest is not None:
        if reference.digest not in {None, run.digest}:
            raise click.UsageError(
                f"{run.text} and --digest {run.digest} are two blobs; choose one",
                click.get_current_context(),
            )
        reference = reference.at(run.digest)
    with (
        run.registry.client(run.session, host=reference.host, streams=run.streams) as client,
        transfer_progress(run.progress, "fetch", str(reference)) as report,
    ):
        run.watch(lambda: report.offset, lambda: report.total)
        try:
            return client.fetch(
                reference, into=run.store, labels=run.labels, progress=report
            ).digest
        except Error as failure:
            if not failure.retryable:
                raise
            raise run.complaint(failure) from failure


def _from_url(run: _Run) -> Digest:
    from lading.oci.transport.addresses import shown  # noqa: PLC0415 - not for `--help`
    from lading.oci.transport.http import Tls  # noqa: PLC0415 - ditto
    from lading.oci.urls import fetch_url  # noqa: PLC0415 - ditto

    url = shown(run.text)
    with progress_of(run.progress, "fetch", _name_of(run.text)) as report:
        run.watch(lambda: report.offset, lambda: report.total)
        try:
            fetched = fetch_url(
                run.text,
                into=run.store,
                digest=run.digest,
                streams=run.streams,
                headers=_credentials(run.registry),
                tls=Tls(tuple(map(str, run.registry.ca_files)), verifies=not run.registry.insecure),
                labels=run.labels,
                progress=_told_to(report),
            )
        except Error as failure:
            if not failure.retryable:
                raise
            raise run.complaint(failure) from failure
        digest = fetched.blob.digest
        word = "fetched" if report.began else "already here:"
        report.done(f"{word} {digest}", digest=digest)
    if not fetched.is_verified:
        say(f"{url}: nobody has said which bytes it should have; --digest {digest} would")
    return digest


def _told_to(report: Progress) -> "Callable[[Step], None]":
    """Tell the steps of one blob as a progress that knows one transfer alone."""
    from lading.oci.progress import Begun, Moved, Restarted, Waiting  # noqa: PLC0415 - not for `--help`

    def told(step: "Step") -> None:
        match step:
            case Begun():
                report.total = step.blob.size or None
                report(step.offset)
            case Moved():
                report(step.offset)
            case Restarted():
                report.note(f"what is here cannot be gone on with: {step.reason}")
                report(0)
            case Waiting():
                report.note(f"waiting {step.pause_s:.1f} s: {step.reason}")

    return told


def _name_of(url: str) -> str:
    path = urlsplit(url).path
    return unquote(path.rstrip("/").rpartition("/")[2]) or "/"


def _credentials(registry: RegistryOptions) -> dict[str, str]:
    if registry.username is None:
        return {}
    secret = f"{registry.username}:{read_password()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
