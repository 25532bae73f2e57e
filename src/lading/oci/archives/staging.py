"""Blobs of an archive on their way in, of which none is visible before all are known to be right.

    stage_file    from a place that can be read again
    stage_stream  from a stream, which comes once
    drop          what turned out not to be needed
    commit        all of them, each verified before the first one is visible

Each blob is an ingest under the ref that its content has, so that an attempt that was stopped is
gone on with by the next, from wherever the same blob comes then.
"""

import hashlib
import threading
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from secrets import token_hex
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from lading.content.store import ContentStore, Writer
from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    IngestMismatch,
    InvalidArchive,
    NotFound,
    RefLocked,
    Unavailable,
    WriterClosed,
)
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.archives.source import EndedEarly, StreamInput, ended_early
from lading.oci.graph import ref_for
from lading.oci.progress import Begun, Done, Found, Moved, Progress, Restarted, Step

Answer = TypeVar("Answer")
Place = Callable[[], AbstractContextManager[tuple[BinaryIO, int]]]
"""Opens a file that can seek, and says where in it the bytes begin."""

STEP = 16 << 20
HELD_LIMIT = 16
"""Writers that are open at once: each is some open files, or a call to a daemon."""
COMMITS_AT_ONCE = 4
_LAYER = "application/vnd.oci.image.layer.v1.tar"


class Staging:
    """Ingests of one import. Leaving the block early keeps them, but for those of a bad archive."""

    def __init__(self, store: ContentStore, label: str, progress: Progress) -> None:
        self._store, self._label, self._progress = store, label, progress
        self._telling = threading.Lock()
        self._staged: dict[Digest, _Staged] = {}
        self._held: list[_Staged] = []
        self._found: set[Digest] = set()

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._staged or digest in self._found

    def stage_file(self, blob: Descriptor, place: Place) -> None:
        """Bring a blob in, going on where an earlier attempt has stopped."""
        if blob.digest in self:
            return
        staged = self._begin(blob)
        if staged is not None:
            staged.place = place
            self._fill(staged)

    def stage_stream(self, size: int, stream: StreamInput, digest: Digest | None) -> Digest:
        """Bring in the next bytes of a stream, and say their digest: the one given, if it is."""
        if digest is None:
            return self._stage_unknown(size, stream)
        blob = Descriptor(_LAYER, digest, size)
        staged = None if digest in self else self._begin(blob)
        if staged is not None:
            if staged.began_at:
                self._skip(staged, stream)
            self._copy(staged, stream)
        return digest

    def stage_unknown(self, size: int, place: Place) -> Digest:
        """Bring in a file whose digest nobody knows yet, and say it."""
        with place() as (file, beginning):
            file.seek(beginning)
            return self._stage_unknown(size, file)

    def drop(self, needed: Container[Digest]) -> None:
        """End the ingests of blobs that are not needed."""
        for digest in [each for each in self._staged if each not in needed]:
            self._end(self._staged.pop(digest))

    def commit(self) -> None:
        """Make blobs of all ingests, or raise `InvalidArchive` and make none.

        A failure of the store in the middle leaves some of them blobs, and the others ingests.
        """
        staged = list(self._staged.values())
        for each in staged:
            self._verify(each)
        with ThreadPoolExecutor(COMMITS_AT_ONCE, "commit") as pool:
            # All are tried, and the first failure is raised.
            list(pool.map(self._commit, staged))
        self._staged.clear()

    def tell(self, step: Step) -> None:
        """Report a step, one at a time."""
        with self._telling:
            self._progress(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_bad = isinstance(error, InvalidArchive) and not isinstance(error, EndedEarly)
        with ExitStack() as stack:  # which goes on where one of them fails
            for staged in self._staged.values():
                if staged.is_one_off or (is_bad and staged.began_at == 0):
                    stack.callback(self._end, staged)
                else:
                    stack.callback(staged.close)

    def _begin(self, blob: Descriptor) -> "_Staged | None":
        """Open the ingest of a blob; None where the blob is here."""
        ref, is_one_off = ref_for(blob._replace(annotations={})), False
        while True:
            try:
                writer = self._store.writer(ref, expected=blob.digest, total=blob.size)
            except AlreadyExists:
                self._sweep(ref)
                self._found.add(blob.digest)
                self.tell(Found(blob))
                return None
            except IngestMismatch as mismatch:
                # Somebody was told another size, or we are now; it is this one that can be right.
                with suppress(NotFound):
                    self._store.abort(ref)
                self.tell(Restarted(blob, str(mismatch)))
            except RefLocked:
                # Whoever brings it in, too, may wait for a blob that we hold.
                ref, is_one_off = f"import-{token_hex(12)}", True
            else:
                break
        return self._hold(_Staged(blob, ref, writer, is_one_off=is_one_off))

    def _sweep(self, ref: str) -> None:
        """End what is left of an ingest whose blob is there: a disk failed just behind that."""
        with suppress(NotFound, RefLocked, AlreadyExists):
            self._store.ingest(ref)
            with self._store.writer(ref):  # nobody else has it
                self._store.abort(ref)

    def _hold(self, staged: "_Staged") -> "_Staged":
        self._staged[staged.blob.digest] = staged
        self._held.append(staged)
        if len(self._held) > HELD_LIMIT:
            first = self._held.pop(0)
            self._verify(first)
            first.close()
        self.tell(Begun(staged.blob, staged.began_at))
        return staged

    def _fill(self, staged: "_Staged") -> None:
        """Copy what an ingest lacks, from a place that can be read again."""
        assert staged.place is not None
        with staged.place() as (file, beginning):
            file.seek(beginning + staged.open_writer.offset)
            self._copy(staged, file)

    def _copy(
        self, staged: "_Staged", file: BinaryIO | StreamInput, *, silent: bool = False
    ) -> None:
        writer, size = staged.open_writer, staged.blob.size
        while writer.offset < size:
            count = writer.copy_from(file, limit=min(STEP, size - writer.offset))  # type: ignore[arg-type]  # it only reads into
            if not count:
                raise ended_early(self._label, writer.offset)
            if not silent:
                self.tell(Moved(staged.blob, writer.offset))

    def _skip(self, staged: "_Staged", stream: StreamInput) -> None:
        """Pass over what an earlier attempt has brought in, comparing it."""
        writer = staged.open_writer
        held = writer.digest
        hash_ = hashlib.new(held.algorithm)
        for piece in stream.pieces(writer.offset):
            hash_.update(piece)
        if hash_.hexdigest() != held.hex:
            writer.truncate()
            self.tell(Restarted(staged.blob, "an earlier attempt had brought other bytes"))
            raise Unavailable(
                f"an earlier attempt had left other bytes of {staged.blob.digest}, which are gone"
                " now, and a stream cannot go back; import it again"
            )

    def _stage_unknown(self, size: int, file: BinaryIO | StreamInput) -> Digest:
        ref = f"import-{token_hex(12)}"
        writer = self._store.writer(ref, total=size)
        unnamed = _Staged(Descriptor(_LAYER, _EMPTY, size), ref, writer, is_one_off=True)
        try:
            self._copy(unnamed, file, silent=True)
            digest = writer.digest
        except BaseException:
            self._end(unnamed)
            raise
        if digest in self:
            self._end(unnamed)
            return digest
        unnamed.blob = unnamed.blob._replace(digest=digest)
        self._hold(unnamed)
        self.tell(Moved(unnamed.blob, size))
        return digest

    def _verify(self, staged: "_Staged") -> None:
        """See that the bytes are right, while nothing is visible yet."""
        if staged.is_verified or staged.writer is None:
            return
        expected = staged.blob.digest
        actual = self._asked(staged, lambda writer: writer.digest)
        if actual != expected and staged.began_at and staged.place is not None:
            # What we did not see is the part from before. It is all in the archive once more.
            staged.open_writer.truncate()
            staged.began_at = 0
            self.tell(Restarted(staged.blob, "an earlier attempt had brought other bytes"))
            self._fill(staged)
            actual = staged.open_writer.digest
        # A store may compute another algorithm until the end; its `commit` compares then.
        if actual.algorithm == expected.algorithm and actual != expected:
            raise self._other_bytes(expected, actual)
        staged.is_verified = True

    def _commit(self, staged: "_Staged") -> None:
        blob = staged.blob
        try:
            self._asked(staged, lambda writer: writer.commit(size=blob.size, expected=blob.digest))
        except AlreadyExists:
            pass
        except DigestMismatch as mismatch:
            raise self._other_bytes(mismatch.expected, mismatch.actual) from None
        staged.close()
        self.tell(Done(blob, blob.size - staged.began_at))

    def _asked(self, staged: "_Staged", ask: Callable[[Writer], Answer]) -> Answer:
        """Ask something of a writer, or of its successor where it has been silent for too long.

        A daemon cancels the calls of those who are silent while others wait.
        """
        try:
            return ask(self._reopened(staged))
        except (WriterClosed, Unavailable):
            staged.close()
            return ask(self._reopened(staged))

    def _reopened(self, staged: "_Staged") -> Writer:
        if staged.writer is None:
            blob = staged.blob
            staged.writer = self._store.writer(staged.ref, expected=blob.digest, total=blob.size)
        return staged.writer

    def _other_bytes(self, expected: Digest, actual: Digest) -> InvalidArchive:
        return InvalidArchive(self._label, f"what it has as {expected} is {actual}")

    def _end(self, staged: "_Staged") -> None:
        staged.close()
        with suppress(NotFound):
            self._store.abort(staged.ref)


_EMPTY = Digest.known_good("sha256", hashlib.sha256().hexdigest())


class _Staged:
    """One blob that is an ingest."""

    def __init__(self, blob: Descriptor, ref: str, writer: Writer, *, is_one_off: bool) -> None:
        self.blob, self.ref, self.is_one_off = blob, ref, is_one_off
        self.writer: Writer | None = writer
        self.began_at = writer.offset
        self.place: Place | None = None
        self.is_verified = False

    @property
    def open_writer(self) -> Writer:
        assert self.writer is not None
        return self.writer

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None
