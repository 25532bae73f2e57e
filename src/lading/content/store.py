"""The contract: what every content store promises.

A *blob* is committed: it has a digest, never changes, and is visible to every reader.
An *ingest* is not: it has a ref, grows at its end, and is visible only as an ingest.
`Writer.commit` turns the second into the first, in one step that a crash cannot split.

Any method of a store may be called from any thread at any time. A `Writer` belongs to one
thread at a time. All times are nanoseconds since 1970 UTC, since the wire has nanoseconds and
`datetime` has not; the `…_at` properties give the `datetime`.
"""

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import BinaryIO, NamedTuple, Self, TypeVar

from lading.errors import AlreadyExists, InvalidArgument, NotFound
from lading.model.closing import Closing
from lading.model.digest import Data, Digest

Labels = Mapping[str, str]
NO_LABELS: Labels = MappingProxyType({})

REF_LIMIT = 65_536
"""Bytes of a ref in UTF-8."""
COPY_STEP = 1 << 20
ADD_WAIT = timedelta(minutes=1)
Answer = TypeVar("Answer", bytes, int)


def time_of(nanoseconds: int) -> datetime:
    """The moment, cut to the microseconds that `datetime` has."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).replace(
        microsecond=nanoseconds % 1_000_000_000 // 1000
    )


def check_ref(ref: str) -> str:
    """Return `ref`, or raise `InvalidArgument` for one that no store can take."""
    if not ref:
        raise InvalidArgument("ref must not be empty")
    try:
        size = len(ref.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"ref {ref[:80]!a} is not Unicode text") from None
    if size > REF_LIMIT:
        raise InvalidArgument(f"a ref of {size} bytes is longer than {REF_LIMIT}")
    return ref


def check_total(total: int | None) -> None:
    """Raise `InvalidArgument` for what can be no size."""
    if total is not None and total < 0:
        raise InvalidArgument(f"a total of {total} bytes: it cannot be negative")


def given(answer: Answer | None) -> Answer:
    """What a read gave; `BlockingIOError` for None, which says that there is nothing *yet*."""
    if answer is None:
        raise BlockingIOError(errno.EAGAIN, "the source does not block, and has no more just now")
    return answer


class Blob(NamedTuple):
    """A committed blob. containerd: `content.Info`."""

    digest: Digest
    size: int
    created_ns: int
    updated_ns: int
    labels: Labels = NO_LABELS

    @property
    def created_at(self) -> datetime:
        """When it was committed."""
        return time_of(self.created_ns)

    @property
    def updated_at(self) -> datetime:
        """When its labels last changed."""
        return time_of(self.updated_ns)


class Ingest(NamedTuple):
    """A write that has begun and not ended. containerd: `content.Status`."""

    ref: str
    offset: int
    total: int | None
    expected: Digest | None
    started_ns: int
    updated_ns: int

    @property
    def started_at(self) -> datetime:
        """When the ref was first opened."""
        return time_of(self.started_ns)

    @property
    def updated_at(self) -> datetime:
        """When the last bytes arrived."""
        return time_of(self.updated_ns)


class Writer(Closing):
    """One writer of one ingest, and the holder of its ref until it is closed.

    Leaving its `with` block without `commit` keeps the bytes; the next writer of the ref goes
    on at `offset`. Every method raises `WriterClosed` on a closed writer and `Aborted` when
    somebody aborted the ingest meanwhile.
    """

    ref: str

    @property
    @abstractmethod
    def offset(self) -> int:
        """How many bytes the ingest holds: what reached the store, never what was offered."""

    @property
    @abstractmethod
    def digest(self) -> Digest:
        """The digest of the bytes so far; after `commit`, that of the blob. Waits for hashing."""

    @abstractmethod
    def write(self, data: Data) -> int:
        """Append all of `data` and return its length.

        After a failure `offset` is true to what the store holds. Raises `SizeMismatch`, and
        writes nothing, where `data` would pass the total; `ResourceExhausted` on a full disk.
        """

    @abstractmethod
    def truncate(self, size: int = 0) -> None:
        """Forget every byte, under the held ref, so that the transfer can start over.

        At once: offset, digest and the stored bytes are empty when this returns, and the room is
        free. Total and expected digest stay. Raises `InvalidArgument` for a size other than 0.
        """

    @abstractmethod
    def status(self) -> Ingest:
        """Describe the ingest as this writer knows it, to the nanosecond."""

    @abstractmethod
    def sync(self) -> None:
        """Make the bytes so far survive a power cut, as a resumable ingest."""

    @abstractmethod
    def commit(
        self,
        *,
        size: int | None = None,
        expected: Digest | None = None,
        labels: Labels | None = None,
    ) -> Blob:
        """Make the bytes a blob, durably, and end the ingest; the writer is then closed.

        `size` and `expected` take the place of the ones given at opening. Raises
        `SizeMismatch` or `DigestMismatch` and keeps the ingest and the writer open at its
        offset; or `AlreadyExists` and ends the ingest: the blob is there either way.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the ref; the bytes stay, durably, for the next writer. Safe to call twice."""

    def copy_from(self, source: BinaryIO, *, limit: int | None = None) -> int:
        """Append what `source` holds from its position on, at most `limit` bytes; say how many.

        Like repeated `write`, which it may be, or cheaper where the store can do better. Raises
        `BlockingIOError` for a source that gives None, having no bytes *yet*.
        """
        copied = 0
        read_into = getattr(source, "readinto", None)
        buffer = memoryview(bytearray(COPY_STEP if read_into else 0))
        while limit is None or copied < limit:
            step = COPY_STEP if limit is None else min(COPY_STEP, limit - copied)
            data: Data = (
                buffer[: given(read_into(buffer[:step]))] if read_into else given(source.read(step))
            )
            if not data:
                break
            copied += self.write(data)
        return copied


class Batch:
    """Many small blobs on their way in together. This one just adds each by itself."""

    def __init__(self, store: "ContentStore") -> None:
        self._store = store

    def add(self, data: Data) -> Digest:
        """Take a blob, which is in the store, durably, when the `with` block is left normally."""
        return self._store.add(data).digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish on a normal exit. A batch left by an error may have kept any of its blobs."""


class ContentStore(ABC):
    """Nine promises, and the conveniences built on them."""

    gains_by_batches: bool = False
    """Whether a `batch` by one thread takes small blobs in sooner than a thread for each does."""

    @abstractmethod
    def blob(self, digest: Digest) -> Blob:
        """Describe a blob, or raise `NotFound`."""

    @abstractmethod
    def blobs(self, *filters: str) -> Iterator[Blob]:
        """Every blob that any of the filters accepts; all without filters. In no order.

        A bad filter raises `InvalidFilter` here, not at the first step. What appears or goes
        while the iterator runs may or may not be seen. Stray files are never seen.
        """

    @abstractmethod
    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob as a seekable, read-only file, or raise `NotFound`.

        The bytes stay readable until the file is closed, even if the blob is deleted. They are
        not hashed on the way: `content.transfer.verify` does that.
        """

    @abstractmethod
    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        """Set labels, an empty value deleting its key; with `replace`, drop all others.

        Raises `FailedPrecondition` where a store keeps no labels.
        """

    @abstractmethod
    def delete(self, digest: Digest) -> None:
        """Delete a blob, or raise `NotFound`."""

    @abstractmethod
    def writer(
        self,
        ref: str,
        *,
        expected: Digest | None = None,
        total: int | None = None,
        wait: timedelta | None = None,
    ) -> Writer:
        """Begin the ingest named `ref`, or resume it where it stopped, and hold the ref.

        Waits up to `wait` for another writer to let go, then raises `RefLocked`. Raises
        `AlreadyExists` where `expected` is here already (with `total` bytes, if that is given);
        `IngestMismatch` where the ref was begun with another total or expected digest;
        `ResourceExhausted` where `total` bytes would not fit. A total or an expected digest that
        is new is remembered.
        """

    @abstractmethod
    def ingest(self, ref: str) -> Ingest:
        """Describe an ingest, or raise `NotFound`."""

    @abstractmethod
    def ingests(self, *filters: str) -> Iterator[Ingest]:
        """Every ingest that any of the filters accepts; all without filters. In no order."""

    @abstractmethod
    def abort(self, ref: str) -> None:
        """End an ingest and free its room, even under a writer; or raise `NotFound`.

        When this returns, that writer can never publish: its next call raises `Aborted`.
        """

    # What follows comes free to every store.

    def __contains__(self, digest: Digest) -> bool:
        try:
            self.blob(digest)
        except NotFound:
            return False
        return True

    def read(self, digest: Digest) -> bytes:
        """All bytes of a blob, or `NotFound`. For blobs that fit in memory."""
        with self.open(digest) as file:
            return file.read()

    def add(self, data: Data, *, labels: Labels | None = None) -> Blob:
        """Store a small blob whose bytes are at hand, durably. Storing it again is no error.

        A failure leaves no ingest behind: who has the bytes has nothing to resume.
        """
        digest = Digest.of(data)
        ref = f"add-{digest}"
        try:
            # Whoever else is adding the same bytes now is done in a moment.
            with self.writer(ref, expected=digest, wait=ADD_WAIT) as writer:
                try:
                    writer.truncate()
                    writer.write(data)
                    return writer.commit(expected=digest, labels=labels)
                except AlreadyExists:
                    raise
                except BaseException:
                    with contextlib.suppress(NotFound):
                        self.abort(ref)
                    raise
        except AlreadyExists:
            return self.label(digest, labels) if labels else self.blob(digest)

    def batch(self) -> Batch:
        """Take many small blobs with one wait for the disk, where a store knows how."""
        return Batch(self)
