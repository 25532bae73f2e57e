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

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What text does not hold, and what a terminal may obey."""


class Target(Protocol):
    """A place for bytes."""

    def write(self, data: bytes) -> None:
        """Append all of `data`."""

    def finish(self) -> None:
        """Make what was written count. Without it, a file does not appear."""


def target_of(output: str | None) -> contextlib.AbstractContextManager[Target]:
    """Open what `--output` names: a file, or standard output where it is absent or `-`."""
    if output is None and sys.stdout.isatty():
        return contextlib.nullcontext(_Terminal(sys.stdout.buffer))
    if output in {None, "-"}:
        return contextlib.nullcontext(_Stream(sys.stdout.buffer))
    assert output is not None
    try:
        found = os.stat(output)  # noqa: PTH116 - a link counts as what it leads to
    except FileNotFoundError:
        return _new_file(output, 0o666)
    if stat.S_ISREG(found.st_mode):
        return _new_file(output, found.st_mode & 0o777, chmod=True)
    # A device or a named pipe is written to, not replaced. A folder says by itself that it is one.
    return _special_file(output)


class _Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def finish(self) -> None:
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


class _File(_Stream):
    """A new file under a name of its own, until `finish` gives it the name that was asked for."""

    def __init__(self, stream: BinaryIO, written: str, wanted: str) -> None:
        super().__init__(stream)
        self._written, self._wanted = written, wanted

    def finish(self) -> None:
        # Bytes before the name, so that not even a power cut shows a name with less behind it.
        self._stream.flush()
        os.fsync(self._stream.fileno())
        os.replace(self._written, self._wanted)  # noqa: PTH105 - both are texts
        _sync_folder(os.path.dirname(self._wanted))  # noqa: PTH120 - the same


@contextlib.contextmanager
def _new_file(output: str, mode: int, *, chmod: bool = False) -> Iterator[Target]:
    if output.endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), output)
    wanted = os.path.realpath(output)  # through a link, as `>` would write
    folder = os.path.dirname(wanted)  # noqa: PTH120 - stays a text, whatever its bytes
    written = os.path.join(folder, f".lading-{os.urandom(8).hex()}")  # noqa: PTH118 - the same
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        file = os.open(written, flags, mode)
    except OSError as error:
        error.filename = output
        raise
    with open(file, "wb") as stream:  # noqa: PTH123 - a descriptor
        try:
            if chmod:
                os.fchmod(file, mode)
            yield _File(stream, written, wanted)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(written)  # noqa: PTH108 - gone already if it was finished


@contextlib.contextmanager
def _special_file(output: str) -> Iterator[Target]:
    with open(output, "wb") as stream:  # noqa: PTH123 - as it was given
        yield _Stream(stream)


def _sync_folder(folder: str) -> None:
    file = os.open(folder or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _binary() -> Complaint:
    return Complaint(
        "this is not text, and standard output is a terminal; name a file with -o FILE, "
        "or write it there all the same with -o -",
        Outcome.USAGE,
    )
