"""Where `lading get` writes: a file that appears when it is whole, or a stream."""

import codecs
import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from lading.cli.outcome import Complaint, Outcome
from lading.oci.archives.new_file import new_file

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What text does not hold, and what a terminal may obey."""


class Target(Protocol):
    """A place for bytes."""

    def write(self, data: bytes) -> None:
        """Append all of `data`."""


def target_of(output: str | None) -> contextlib.AbstractContextManager[Target]:
    """Open what `--output` names: a file, or standard output where it is absent or `-`.

    A file appears, whole and durable, when the block ends normally; else there is none.
    """
    if output is None and sys.stdout.isatty():
        return _flushed(_Terminal(sys.stdout.buffer))
    if output in {None, "-"}:
        return _flushed(_Stream(sys.stdout.buffer))
    assert output is not None
    try:
        found = os.stat(output)  # noqa: PTH116 - a link counts as what it leads to
    except FileNotFoundError:
        return _new_file(output, None)
    if stat.S_ISREG(found.st_mode):
        return _new_file(output, found.st_mode & 0o777)
    # A device or a named pipe is written to, not replaced. A folder says by itself that it is one.
    return _special_file(output)


class _Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


class _Terminal(_Stream):
    """A terminal, which gets text only: the bytes of a stranger could steer it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def write(self, data: bytes) -> None:
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError:
            raise _binary() from None
        if _NO_TEXT.search(text):
            raise _binary()
        super().write(data)


@contextlib.contextmanager
def _flushed(stream: _Stream) -> Iterator[Target]:
    yield stream
    stream.flush()


@contextlib.contextmanager
def _new_file(output: str, mode: int | None) -> Iterator[Target]:
    if output.endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), output)
    with (
        new_file(output, mode=mode, follows_links=True) as file,  # through a link, as `>` would
        open(file, "wb", closefd=False) as stream,
    ):
        yield _Stream(stream)


@contextlib.contextmanager
def _special_file(output: str) -> Iterator[Target]:
    with open(output, "wb") as stream:  # noqa: PTH123 - as it was given
        yield _Stream(stream)


def _binary() -> Complaint:
    return Complaint(
        "this is not text, and standard output is a terminal; name a file with -o FILE, "
        "or write it there all the same with -o -",
        Outcome.USAGE,
    )
