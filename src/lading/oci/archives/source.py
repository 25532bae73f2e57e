"""Where an archive is read from: a file that can seek, or a stream that cannot.

A stream comes once: from a pipe, or out of a compressed file. Nothing of it is kept here.
"""

import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from lading.content.store import COPY_STEP, given
from lading.errors import InvalidArchive

READ_SIZE = 256 << 10
_AFTER_END_LIMIT = 1 << 20
"""Bytes after the end that are read, so that whoever feeds a pipe can finish."""
_GZIP = b"\x1f\x8b"
_COMPRESSED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
_MAGIC_SIZE = 6


class SeekableInput:
    """An archive in a file, from its position on."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self.label, self.file = label, file
        self.beginning = file.tell()
        self.size = file.seek(0, io.SEEK_END) - self.beginning
        file.seek(self.beginning)

    def read_exactly(self, size: int) -> bytes:
        data = self.file.read(size)
        while 0 < len(data) < size and (more := self.file.read(size - len(data))):
            data += more
        if len(data) != size:
            raise ended_early(self.label, self.size)
        return data

    def go_to(self, position: int) -> None:
        if position > self.size:
            raise ended_early(self.label, self.size)
        self.file.seek(self.beginning + position)


class StreamInput(io.RawIOBase):
    """An archive that comes once. As a file it gives what is there, from where it is."""

    def __init__(self, stream: BinaryIO, label: str, ahead: bytes = b"") -> None:
        super().__init__()
        self.label = label
        self.position = 0
        self._stream, self._ahead = stream, ahead
        self._read_into = getattr(stream, "readinto1", None) or getattr(stream, "readinto", None)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what this one is given
        """Take what there is, at least a byte; 0 at the end."""
        view = memoryview(buffer).cast("B")
        with _damage_told(self.label):
            count = self._take(view)
        self.position += count
        return count

    def _take(self, view: memoryview) -> int:
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        if self._read_into is not None:
            return given(cast("int | None", self._read_into(view)))
        data = given(self._stream.read(len(view)))
        view[: len(data)] = data
        return len(data)

    def read_exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        done = 0
        while done < size:
            count = self.readinto(view[done:])
            if not count:
                raise ended_early(self.label, self.position)
            done += count
        return bytes(data)

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay the next ones."""
        data = self.read_exactly(size)
        self._ahead = data + self._ahead
        self.position -= size
        return data

    def go_to(self, position: int) -> None:
        for _ in self.pieces(position - self.position):
            pass

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next so many bytes, piece by piece. Each is good until the next is asked for."""
        buffer = memoryview(bytearray(min(size, COPY_STEP)))
        while size > 0:
            count = self.readinto(buffer[: min(size, len(buffer))])
            if not count:
                raise ended_early(self.label, self.position)
            yield buffer[:count]
            size -= count

    def drain(self) -> None:
        """Read what follows the end, where it is as little as it should be."""
        buffer = memoryview(bytearray(READ_SIZE))
        left = _AFTER_END_LIMIT
        while left > 0 and (count := self.readinto(buffer[: min(left, READ_SIZE)])):
            left -= count


def ended_early(label: str, size: int) -> InvalidArchive:
    """Say that there should be more."""
    return EndedEarly(label, f"it ends too early, after {size} bytes; get the whole of it")


class EndedEarly(InvalidArchive):
    """There should be more of it. What came of its blobs is kept, as ingests."""


@contextlib.contextmanager
def tar_input(source: str | os.PathLike[str] | BinaryIO) -> Iterator[SeekableInput | StreamInput]:
    """Open an archive; `InvalidArchive` for what is compressed in a way that we do not read."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            label = os.fspath(source)
            file = cast("BinaryIO", stack.enter_context(open(source, "rb", buffering=0)))  # noqa: PTH123 - any path-like
        else:
            file, label = source, label_of(source)
        can_seek = _can_seek(file)
        if can_seek:
            beginning = file.tell()
            magic = file.read(_MAGIC_SIZE)
            file.seek(beginning)
        else:
            _widen(file)
            magic = _first(file)
        if magic.startswith(_GZIP):
            behind = file if can_seek else io.BufferedReader(StreamInput(file, label, magic))
            unpacked = stack.enter_context(gzip.GzipFile(fileobj=behind, mode="rb"))
            yield StreamInput(cast("BinaryIO", unpacked), label)
            return
        for mark, way in _COMPRESSED.items():
            if magic.startswith(mark):
                raise InvalidArchive(
                    label, f"it is compressed with {way}; feed it as `{way} -dc FILE | … -`"
                )
        yield SeekableInput(file, label) if can_seek else StreamInput(file, label, magic)


def label_of(stream: BinaryIO) -> str:
    """What to call a stream in a sentence."""
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "the archive"


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except AttributeError:
        return False


def _first(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, which has no more only where it has ended."""
    data = b""
    while len(data) < _MAGIC_SIZE and (more := given(stream.read(_MAGIC_SIZE - len(data)))):
        data += more
    return data


def _widen(file: BinaryIO) -> None:
    """Let a pipe hold more at a time, where that can be had: fewer turns for the same bytes."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError, TypeError):
        import fcntl  # noqa: PLC0415 - absent from Windows

        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, COPY_STEP)


@contextlib.contextmanager
def _damage_told(label: str) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise EndedEarly(label, "its compressed bytes end too early; get all of them") from None
    except (gzip.BadGzipFile, zlib.error) as damage:
        raise InvalidArchive(label, f"its compressed bytes are damaged: {damage}") from None
