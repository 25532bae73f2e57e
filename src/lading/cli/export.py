"""`lading export`: images go to an archive or an image layout."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, cast

import click

from lading.cli.listing import show
from lading.cli.options import FILE, progress_option, verb
from lading.cli.outcome import Complaint, Outcome
from lading.cli.quoting import command_line
from lading.cli.registry import platform_option, platform_words
from lading.cli.session import Session
from lading.cli.targets import target_of
from lading.cli.transfers import transfer_progress
from lading.errors import NotFound

if TYPE_CHECKING:
    from lading.oci.choosing import Platforms

STDOUT = "-"


@verb
@click.argument("names", metavar="NAME|DIGEST...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER|-",
    type=FILE,
    help="Where to write. A FOLDER, which is there or ends with /, is an image layout, to which "
    "they are added; FILE is a tar, and appears only when it is whole; - is standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    default="oci",
    show_default=True,
    help="docker: such that docker load reads it, too.",
)
@platform_option
@progress_option
def command(
    session: Session,
    names: tuple[str, ...],
    *,
    output: str | None,
    form: str,
    platform: "Platforms",
    progress: str,
) -> None:
    """Write images to an archive or an image layout.

    Prints the digest of each, where the bytes go elsewhere. All platforms are written, unless one
    is chosen; the same images make the same bytes. What is missing is said before the first byte,
    and every blob is compared with its digest on its way.
    """
    from lading.oci.archives.exporting import export_archive  # noqa: PLC0415 - not for `--help`

    if output is None and sys.stdout.isatty():
        raise click.UsageError(
            "Standard output is a terminal; name a FILE or a FOLDER with -o",
            click.get_current_context(),
        )
    options = [*(["--format", form] if form != "oci" else []), *platform_words(platform)]
    options += ["-o", output] if output is not None else []
    again = command_line(session.words("export", *options, *names))
    is_stream = output in {None, STDOUT}
    session.kept = lambda: (
        f"nothing was written that counts; start over with: {again}"
        if is_stream or not _is_folder(cast("str", output))
        else f"the blobs that were written stay, and are not named yet; go on with: {again}"
    )
    metadata = session.metadata()
    if metadata is None:
        raise NotFound(names[0], "image")
    namespace = metadata.namespace(session.namespace)
    targets = [target_of(namespace, name) for name in names]
    with transfer_progress(progress, "export", ", ".join(names)) as report:
        try:
            exported = export_archive(
                targets,
                sys.stdout.buffer if is_stream else cast("str", output),
                source=namespace,
                format=cast("Literal['oci', 'docker']", form),
                platform="all" if platform is None else platform,
                progress=report,
            )
        except NotFound as missing:
            if platform is not None:
                raise
            raise Complaint(
                f"{missing}; --platform chooses, of several platforms, one that is here",
                Outcome.NOT_FOUND,
            ) from missing
        except OSError as failure:
            with suppress(TypeError):
                failure.filename = failure.filename or output
            raise
    if not is_stream:
        show(target.digest for target in exported)


def _is_folder(output: str) -> bool:
    return output.endswith(os.sep) or os.path.isdir(output)  # noqa: PTH112 - stays a text
