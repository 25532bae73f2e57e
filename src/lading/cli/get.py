"""`lading get`: the bytes of a blob, verified while they are written."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from lading.cli.options import DIGEST, FILE, progress_option, verb
from lading.cli.progress import progress_of
from lading.cli.quoting import command_line
from lading.cli.session import Session
from lading.cli.target import target_of
from lading.content.store import COPY_STEP
from lading.errors import DataLoss, DiskFailed, OutOfRange
from lading.model.digest import Digest


@verb
@click.argument("digest", type=DIGEST)
@click.option(
    "-o",
    "--output",
    metavar="FILE|-",
    type=FILE,
    help="Where to write; FILE appears only when it is whole. - is standard output, "
    "even if that is a terminal.",
)
@click.option(
    "--offset", type=click.IntRange(min=0), metavar="BYTES", help="Begin here. Not verified."
)
@click.option(
    "--size", type=click.IntRange(min=0), metavar="BYTES", help="Stop after so many. Not verified."
)
@progress_option
def command(
    session: Session,
    digest: Digest,
    *,
    output: str | None,
    offset: int | None,
    size: int | None,
    progress: str,
) -> None:
    """Write a blob to a file or to standard output.

    The bytes are compared with the digest on their way. If they differ, no FILE appears and the
    exit code is 5; what went to standard output by then is not to be used. A range (--offset,
    --size) cannot be compared.
    """
    store = session.store()
    held = store.blob(digest).size
    begin = offset or 0
    if begin > held:
        raise OutOfRange(begin, held)
    count = held - begin if size is None else min(size, held - begin)
    file = None if output in {None, "-"} else output
    again = command_line(session.words("get", "-o", file or "-", digest))
    session.kept = lambda: f"no file was written; start over with: {again}"
    if progress == "auto" and file is None:
        progress = "none"  # the bytes may go to the same terminal
    with progress_of(progress, "get", digest, total=count) as report:
        with store.open(digest) as source, _named(file), target_of(output) as target:
            source.seek(begin)
            whole = hashlib.new(digest.algorithm) if offset is None and size is None else None
            written = 0
            report(written)
            for data in _pieces(source, digest, None if whole else count):
                if whole:
                    whole.update(data)
                target.write(data)
                written += len(data)
                report(written)
            if whole and whole.hexdigest() != digest.hex:
                found = f"{digest.algorithm}:{whole.hexdigest()}"
                raise DataLoss(digest, f"the bytes are those of {found}")
        report.done(f"wrote {digest}", digest=digest)


@contextmanager
def _named(file: str | None) -> Iterator[None]:
    """Give an error of the target its name: one that comes while writing has none."""
    try:
        yield
    except OSError as failure:
        failure.filename = failure.filename or file
        raise


def _pieces(source: BinaryIO, digest: Digest, count: int | None) -> Iterator[bytes]:
    """Read on, up to `count` bytes, and tell a disk that fails here from a target that does."""
    while count is None or count > 0:
        try:
            data = source.read(COPY_STEP if count is None else min(COPY_STEP, count))
        except OSError as error:
            raise DiskFailed(digest, error) from error
        if not data:
            break
        if count is not None:
            count -= len(data)
        yield data
    if count:
        raise DataLoss(digest, f"it ends {count} bytes early")
