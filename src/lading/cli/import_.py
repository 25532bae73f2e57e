"""`lading import`: images come from an archive or an image layout."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

from lading.cli.listing import json_lines, show
from lading.cli.options import FILE, format_option, progress_option, verb
from lading.cli.outcome import Complaint, outcome_of, sentence_of
from lading.cli.quoting import command_line
from lading.cli.registry import platform_option, platform_words
from lading.cli.session import Session
from lading.cli.source import STDIN, source_of
from lading.cli.transfers import transfer_progress
from lading.errors import Error

if TYPE_CHECKING:
    from lading.oci.choosing import Platforms


@verb
@click.argument("file", metavar="FILE|FOLDER|-", required=False, type=FILE)
@click.option("--name", metavar="NAME", help="What to call the image, where there is one.")
@click.option(
    "--base-name", metavar="NAME", help="What to put before names that are a tag and no more."
)
@click.option(
    "--index-name", metavar="NAME", help="Keep the archive's index too, as an image of this name."
)
@platform_option
@format_option
@progress_option
def command(
    session: Session,
    file: str | None,
    *,
    name: str | None,
    base_name: str | None,
    index_name: str | None,
    platform: "Platforms",
    as_json: bool,
    progress: str,
) -> None:
    """Bring images from an archive or an image layout.

    FILE is a tar as docker, podman, skopeo, containerd and `lading export` write it, or gzip'ed;
    FOLDER is an OCI image layout. Prints the name of each image, or the digest of one that has
    none. All platforms are brought. Nothing is there before everything is known to be right;
    stopped at any point, the same command goes on where it was.
    """
    from lading.oci.archives.importing import import_archive  # noqa: PLC0415 - not for `--help`

    named = (("--name", name), ("--base-name", base_name), ("--index-name", index_name))
    options = [word for option, value in named if value for word in (option, value)]
    options += platform_words(platform)
    title = "standard input" if file in {None, STDIN} else os.path.basename(os.path.normpath(file))  # noqa: PTH119 - stays a text
    again = command_line(session.words("import", *options, file or STDIN))
    with _opened(file) as source, transfer_progress(progress, "import", title) as report:
        way = "feed the same archive again to" if title == "standard input" else "go on with"
        session.kept = lambda: f"what came is kept for a day; {way}: {again}"
        namespace = session.made_metadata().namespace(session.namespace)
        try:
            imported = import_archive(
                source,
                into=namespace,
                name=name,
                base_name=base_name,
                index_name=index_name,
                platform="all" if platform is None else platform,
                progress=report,
            )
        except Error as failure:
            if not failure.retryable:
                raise
            raise Complaint(
                f"{sentence_of(failure)}; {session.kept()}", outcome_of(failure)
            ) from failure
    if as_json:
        show(
            json_lines(
                {
                    "name": each.name,
                    "digest": str(each.target.digest),
                    "media_type": each.target.media_type,
                    "size": each.target.size,
                }
                for each in imported
            )
        )
    else:
        show(each.name or str(each.target.digest) for each in imported)


@contextmanager
def _opened(file: str | None) -> Iterator[str | BinaryIO]:
    if file is not None and os.path.isdir(file):  # noqa: PTH112 - stays a text
        yield file
        return
    with source_of(file, None) as source:
        yield source.reader
