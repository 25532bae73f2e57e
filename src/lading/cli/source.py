"""Where `lading ingest` reads: a file, which has an identity, or a stream, which has none."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import click

from lading.content.transfer import ref_for
from lading.errors import InvalidArgument
from lading.model.digest import Digest

STDIN = "-"


class Source(NamedTuple):
    """Bytes to ingest."""

    name: str
    """As the command line names it: a path, or `-`."""
    reader: str | BinaryIO
    default_ref: str
    identity: tuple[int, ...] | None = None
    """What changes when a regular file does; None for a stream."""
    size: int | None = None

    @property
    def has_changed(self) -> bool:
        """Whether the file is another one than it was. One that is deleted was not changed."""
        try:
            return self.identity is not None and self.identity != _identity(os.stat(self.name))  # noqa: PTH116 - stays a text
        except FileNotFoundError:
            return False


@contextlib.contextmanager
def source_of(name: str | None, expected: Digest | None) -> Iterator[Source]:
    """Open what the command line names; standard input where it names nothing."""
    if name is None and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError(
            "Name a FILE, or - to read what is typed here", click.get_current_context()
        )
    if name in {None, STDIN}:
        with _standard_input() as stream:
            yield Source(STDIN, stream, _stream_ref(expected))
        return
    assert name is not None
    found = os.stat(name)  # noqa: PTH116 - stays a text
    if stat.S_ISREG(found.st_mode):
        yield Source(name, name, ref_for(name), _identity(found), found.st_size)
    else:
        # A named pipe or a device is a stream. A folder says by itself that it is one.
        with open(name, "rb", buffering=0) as stream:  # noqa: PTH123 - stays a text
            yield Source(name, stream, _stream_ref(expected))


@contextlib.contextmanager
def _standard_input() -> Iterator[BinaryIO]:
    if sys.stdin is None:
        raise InvalidArgument("standard input is closed; name a FILE")
    try:
        file = sys.stdin.fileno()
    except (OSError, ValueError):
        yield sys.stdin.buffer  # a stream of this program's own
        return
    # Unbuffered, so that what a slow pipe has given is stored and not waiting to fill a buffer;
    # and blocking, since a read that says "nothing yet" must not be taken for the end.
    os.set_blocking(file, True)
    with open(file, "rb", buffering=0, closefd=False) as stream:
        yield stream


def _stream_ref(expected: Digest | None) -> str:
    # The digest, where it is known, is what the next attempt will know too.
    return f"stream-{expected or os.urandom(8).hex()}"


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
