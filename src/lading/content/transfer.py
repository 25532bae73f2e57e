"""Moving bytes into stores and checking them there, knowing only the contract."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import BinaryIO, Protocol, cast

from lading.content.store import Blob, ContentStore, Ingest, Labels, Writer, given
from lading.errors import AlreadyExists, DataLoss, DigestMismatch
from lading.model.digest import Data, Digest, bytes_of

Source = str | os.PathLike[str] | Data | BinaryIO | Iterable[Data]
"""A path, bytes, an open binary file (from its position on), or anything that yields bytes."""
Progress = Callable[[int], None]
"""Called with the offset so far: first with the one resumed from; less than before on a restart."""

STEP = 16 << 20
"""Bytes between two calls of a progress function, at most."""
REPORT_SECONDS = 0.25
"""The same in time, for sources that come slowly."""
READ_SIZE = 256 << 10
PIECE_SIZE = 1 << 20


def ref_for(path: str | os.PathLike[str]) -> str:
    """A ref for a file as it is now: the same as long as the file is the same, unchanged.

    Made of where and what it is and when it last changed, so that an ingest under it can be
    resumed from the file without comparing what is there already.
    """
    found = os.stat(path)  # noqa: PTH116 - any path-like, as the caller has it
    identity = (
        os.path.realpath(path),
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
    )
    return f"file-{hashlib.sha256(repr(identity).encode(errors='surrogateescape')).hexdigest()}"


def ingest(
    store: ContentStore,
    ref: str,
    source: Source,
    *,
    expected: Digest | None = None,
    total: int | None = None,
    labels: Labels | None = None,
    append: bool = False,
    wait: timedelta | None = None,
    progress: Progress | None = None,
) -> Blob:
    """Bring a whole source into the store under `ref`, and commit it.

    An earlier attempt under the same ref is resumed: a source that can seek goes on where that
    stopped; one that cannot is taken from its beginning into the emptied ingest, under the same
    lock. What is there already is believed if it is sure to be this source's (an `expected`
    digest is checked at the end; the ref is the file's own, see `ref_for`); else the source is
    read up to there and compared, and the ingest is begun anew if it differs. With `append`
    the source is added at the end of what the ref holds.

    A blob that is in the store already is no error: it is returned. After any other failure the
    ingest is kept at its offset. Raises what `ContentStore.writer` and `Writer.commit` raise,
    and whatever reading the source raises.
    """
    report = progress or _nobody
    with _opened(source) as stream:
        is_own_ref = _is_ref_of(source, ref)
        if total is None and is_own_ref and not append:
            # Such a ref is about this size. Any other may be tried again with a longer source.
            total = stream.size
        try:
            with store.writer(ref, expected=expected, total=total, wait=wait) as writer:
                resumed = writer.offset > 0 and not append
                if resumed:
                    believed = expected is not None or is_own_ref
                    resumed = _goes_on(writer, stream, believed=believed)
                _fill(writer, stream, report)
                try:
                    return writer.commit(expected=expected, labels=labels)
                except DigestMismatch:
                    if not resumed:
                        raise
                # The part that was there before is the one that we did not see. The source is
                # all here, so nothing is lost by taking it once more, from its beginning.
                writer.truncate()
                stream.go_to(0)
                _fill(writer, stream, report)
                return writer.commit(expected=expected, labels=labels)
        except AlreadyExists as known:
            digest: Digest = known.what
            return store.label(digest, labels) if labels else store.blob(digest)


def append(
    store: ContentStore,
    ref: str,
    source: Source,
    *,
    expected: Digest | None = None,
    total: int | None = None,
    wait: timedelta | None = None,
    progress: Progress | None = None,
) -> Ingest:
    """Add a source at the end of what `ref` holds, and keep the ingest open for more.

    What was added is as durable as `Writer.close` makes it. Raises what `ContentStore.writer`
    and `Writer.write` raise, and whatever reading the source raises.
    """
    with (
        _opened(source) as stream,
        store.writer(ref, expected=expected, total=total, wait=wait) as writer,
    ):
        _fill(writer, stream, progress or _nobody)
        return writer.status()


def verify(store: ContentStore, digest: Digest, *, progress: Progress | None = None) -> Blob:
    """Read a whole blob and compare it with its digest.

    Raises `NotFound` if there is none, `DataLoss` if its bytes are others or cannot be read.
    """
    report = progress or _nobody
    blob = store.blob(digest)
    hash_ = hashlib.new(digest.algorithm)
    buffer = memoryview(bytearray(READ_SIZE))
    done, reported = 0, 0
    with store.open(digest) as file:
        report(0)
        try:
            while count := cast("_ReadsInto", file).readinto(buffer):
                hash_.update(buffer[:count])
                done += count
                if done - reported >= STEP:
                    report(done)
                    reported = done
        except OSError as error:
            raise DataLoss(digest, f"it cannot be read at {done}: {error.strerror}") from error
    report(done)
    if (found := hash_.hexdigest()) != digest.hex:
        raise DataLoss(digest, f"its {done} bytes are {digest.algorithm}:{found}")
    return blob


class _ReadsInto(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


class _Stream:
    """A source, opened: a file that may seek, or pieces that come one after another."""

    def __init__(self, file: BinaryIO | None, pieces: Iterable[Data]) -> None:
        self.file, self.pieces = file, pieces
        self.size: int | None = None
        """Bytes from the beginning on; None where it cannot seek."""
        self._beginning = 0
        if file is not None and _can_seek(file):
            self._beginning = file.tell()
            self.size = max(0, file.seek(0, io.SEEK_END) - self._beginning)
            file.seek(self._beginning)

    def go_to(self, offset: int) -> None:
        assert self.file is not None
        self.file.seek(self._beginning + offset)


@contextmanager
def _opened(source: Source) -> Iterator[_Stream]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:  # noqa: PTH123 - any path-like, as the caller has it
            yield _Stream(file, ())
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield _Stream(io.BytesIO(bytes_of(source)), ())
    elif hasattr(source, "read"):
        yield _Stream(cast("BinaryIO", source), ())
    else:
        yield _Stream(None, source)


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except AttributeError:
        return False


def _is_ref_of(source: Source, ref: str) -> bool:
    return isinstance(source, (str, os.PathLike)) and ref == ref_for(source)


def _goes_on(writer: Writer, stream: _Stream, *, believed: bool) -> bool:
    """Bring source and writer to the same offset: the writer's, or the beginning. Say which."""
    offset = writer.offset
    if stream.size is not None and stream.size >= offset:
        if believed or _begins_with(stream, offset, writer.digest):
            stream.go_to(offset)
            return True
        stream.go_to(0)
    writer.truncate()
    return False


def _begins_with(stream: _Stream, size: int, digest: Digest) -> bool:
    assert stream.file is not None
    hash_ = hashlib.new(digest.algorithm)
    while size and (data := stream.file.read(min(size, READ_SIZE))):
        hash_.update(data)
        size -= len(data)
    return size == 0 and hash_.hexdigest() == digest.hex


def _fill(writer: Writer, stream: _Stream, report: Progress) -> None:
    """Write all that the source still has."""
    report(writer.offset)
    if stream.file is not None and stream.size is not None:
        while writer.copy_from(stream.file, limit=STEP) == STEP:
            report(writer.offset)
    else:
        reported, reported_at = writer.offset, monotonic()
        for piece in stream.pieces if stream.file is None else _arriving(stream.file):
            writer.write(piece)
            now = monotonic()
            if writer.offset - reported >= STEP or now - reported_at >= REPORT_SECONDS:
                reported, reported_at = writer.offset, now
                report(reported)
    report(writer.offset)


def _arriving(file: BinaryIO) -> Iterator[Data]:
    """What a pipe or a socket gives, as soon as it gives it.

    Each piece is good until the next is asked for.
    """
    read_into = getattr(file, "readinto1", None) or getattr(file, "readinto", None)
    if read_into is None:
        while data := given(file.read(READ_SIZE)):
            yield data
        return
    _widen(file)
    buffer = memoryview(bytearray(PIECE_SIZE))
    while count := given(read_into(buffer)):
        yield buffer[:count]


def _widen(file: BinaryIO) -> None:
    """Let a pipe hold a whole piece, where that can be had: fewer turns for the same bytes."""
    with suppress(ImportError, AttributeError, OSError, ValueError, TypeError):
        import fcntl  # noqa: PLC0415 - absent from Windows

        fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIECE_SIZE)


def _nobody(offset: int) -> None:
    """Nobody asked for progress."""
