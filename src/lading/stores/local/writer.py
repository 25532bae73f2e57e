"""The write transaction: bytes on their way to becoming a blob."""

import contextlib
import errno
import os
import time
import warnings
import weakref
from collections.abc import Callable
from typing import BinaryIO

from lading.content.store import Blob, Ingest, Labels, Writer
from lading.errors import (
    Aborted,
    AlreadyExists,
    DigestMismatch,
    FailedPrecondition,
    InvalidArgument,
    SizeMismatch,
    WriterClosed,
)
from lading.model import hashing
from lading.model.digest import Data, Digest, bytes_of
from lading.stores.local import follower, ingests, sidecars
from lading.stores.local.blobs import BlobFolder
from lading.stores.local.disk import Disk
from lading.stores.local.faults import in_our_words, translated
from lading.stores.local.kernel_copy import STEP, KernelSource, kernel_source
from lading.stores.local.locks import RefLock
from lading.stores.local.paths import DATA, StorePaths
from lading.stores.local.publication import Publication
from lading.stores.local.scratch import WRITE_SIZE, end
from lading.stores.local.spares import Spares
from lading.stores.local.writeback import WriteBack

OVERLAP_LIMIT = 4 << 20
"""With more than this still to be hashed, the bytes are synced while they are."""


class LocalWriter(Writer):
    """Made by `LocalStore.writer`. The ref's lock is in it, and goes with it."""

    def __init__(
        self,
        lock: RefLock,
        ingest: ingests.OpenIngest,
        *,
        disk: Disk,
        paths: StorePaths,
        blobs: BlobFolder,
        spares: Spares,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ref, self._lock, self._ingest = ingest.known.ref, lock, ingest
        self._disk, self._paths, self._blobs, self._clock = disk, paths, blobs, clock
        self._spares = spares
        self._folder = lock.path
        self._file, self._offset = ingest.file, ingest.offset
        found = os.fstat(ingest.file)
        self._identity = found.st_dev, found.st_ino
        # The file's own time too: a crash may have come before `updatedat` was written.
        self._updated_ns = max(ingest.known.updated_ns, found.st_mtime_ns)
        self._write_back = WriteBack(disk, self._file, ingest.offset)
        self._closed: type[Aborted | WriterClosed] | None = None
        self._final: Digest | None = None
        self._follow(ingest.hasher, ingest.hashed)

    # What is known

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def digest(self) -> Digest:
        if self._final is not None:
            return self._final
        self._check_open()
        return self._hashed().digest()

    def status(self) -> Ingest:
        self._check_open()
        known = self._ingest.known
        return Ingest(
            ref=self.ref,
            offset=self._offset,
            total=known.total,
            expected=known.expected,
            started_ns=known.started_ns,
            updated_ns=self._updated_ns,
        )

    # Writing

    def write(self, data: Data) -> int:
        self._check_open()
        view = bytes_of(data)
        size = len(view)
        self._check_room_in_total(size)
        done = 0
        try:
            while done < size:
                count = self._disk.write(
                    self._file, view[done : done + WRITE_SIZE], self._offset + done
                )
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as if the system said it
                done += count
        except OSError as error:
            self._advance(done)
            self._cut_to_offset()
            raise translated(error, self.ref, offset=self._offset, needed=size - done) from error
        self._advance(size)
        return size

    def copy_from(self, source: BinaryIO, *, limit: int | None = None) -> int:
        self._check_open()
        copied = 0
        if real := kernel_source(source):
            copied = self._copy_in_kernel(real, limit)
            source.seek(real.start + copied)
        # The rest comes the slow way, and so does any byte that there should not be.
        rest = None if limit is None else limit - copied
        return copied + super().copy_from(source, limit=rest)

    def truncate(self, size: int = 0) -> None:
        if size != 0:
            raise InvalidArgument(f"truncate to {size}: an ingest can only be emptied, to 0")
        self._check_open()
        ingest = self._ingest
        with self._in_our_words():
            closed = ingest.known.closed_at is not None  # by us or, it says, by another
            synced = closed or ingest.synced is not None or ingest.checkpoint.has_durable
            if synced:
                ingest.checkpoint.forget(self._folder)
            self._empty()
            if synced:
                self._sync_data()
            self._mark_live(0, ingest.hasher)
            ingests.reserve(self._disk, ingest)

    def sync(self) -> None:
        self._check_open()
        self._make_durable(closing=False)

    # Ending

    def commit(
        self,
        *,
        size: int | None = None,
        expected: Digest | None = None,
        labels: Labels | None = None,
    ) -> Blob:
        self._check_open()
        if labels:
            raise FailedPrecondition("labels: this store keeps none; use a namespace")
        if size is None:
            size = self._ingest.known.total
        if size is not None and size != self._offset:
            raise SizeMismatch(size, self._offset)
        if self._follower.waiting >= OVERLAP_LIMIT:
            self._sync_data()  # the disk and the hash at the same time; harmless if we refuse
        digest = self._verified(expected or self._ingest.known.expected)
        try:
            now_ns = self._publish(digest)
        except AlreadyExists:
            self._end(digest, was_there=True)
            raise
        self._end(digest, was_there=False)
        return Blob(digest, self._offset, now_ns, now_ns)

    def close(self) -> None:
        if self._closed is not None:
            return
        try:
            if self._lock.held and not self._is_aborted():
                self._make_durable(closing=True)
        except Aborted:
            pass  # ended while it was being closed, which is what was asked for
        finally:
            self._release(WriterClosed)

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None and self._lock.held:
            warnings.warn(f"unclosed writer of ref {self.ref!r}", ResourceWarning, stacklevel=2)
            self._release(WriterClosed)

    # Inside

    def _check_open(self) -> None:
        if self._closed is None:
            if not self._lock.held:  # a fork's child: the parent is the writer
                self._closed = WriterClosed
            elif self._is_aborted():
                self._release(Aborted)
        if self._closed is not None:
            raise self._closed(self.ref)

    def _is_aborted(self) -> bool:
        # Abort removes the data's name. Its file may have another one, in a backup of hard links.
        try:
            found = os.stat(DATA, dir_fd=self._lock.folder, follow_symlinks=False)
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def _check_room_in_total(self, more: int) -> None:
        total = self._ingest.known.total
        if total is not None and self._offset + more > total:
            raise SizeMismatch(total, self._offset + more)

    def _advance(self, count: int) -> None:
        if not count:
            return
        self._offset += count
        self._updated_ns = self._clock()
        if self._ingest.is_young and self._offset >= follower.INLINE_LIMIT:
            self._ingest.hashed = self._follower.position  # no thread moves it on so soon
            with contextlib.suppress(OSError):  # it is kept as well without
                self._ingest.write_out(self._disk, self._lock.folder)
        self._follower.advance(self._offset)
        self._write_back.advance(self._offset)

    def _cut_to_offset(self) -> None:
        """Leave nothing behind the offset that a failed write may have put there."""
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_size > self._offset:
                self._disk.truncate(self._file, self._offset)

    def _copy_in_kernel(self, source: KernelSource, limit: int | None) -> int:
        known_total = self._ingest.known.total
        room = STEP if known_total is None else known_total - self._offset
        left = room if limit is None else min(limit, room)
        copied = 0
        while left > 0:
            try:
                count = source.copy(
                    self._disk,
                    self._file,
                    done=copied,
                    offset=self._offset,
                    count=min(STEP, left),
                )
            except OSError as error:
                self._cut_to_offset()
                raise translated(error, self.ref, offset=self._offset, needed=left) from error
            if not count:
                break
            copied += count
            self._advance(count)
            self._check_open()
            if limit is not None or known_total is not None:
                left -= count
        return copied

    def _empty(self) -> None:
        self._follower.stop()
        try:
            self._disk.truncate(self._file, 0)
        except OSError:
            self._follow(self._ingest.hasher, self._follower.position)
            raise
        self._offset = self._ingest.offset = self._write_back.position = 0
        self._ingest.synced = None
        self._updated_ns = self._clock()
        self._follow(hashing.hasher(self._ingest.hasher.algorithm), 0)

    def _follow(self, hasher: hashing.Hasher, position: int) -> None:
        self._ingest.hasher = hasher
        # Weakly, so that the thread does not keep alive a writer that everybody has forgotten.
        mark_live = weakref.WeakMethod(self._mark_live)

        def on_step(position: int, hasher: hashing.Hasher) -> None:
            if call := mark_live():
                call(position, hasher)

        self._follower = follower.HashFollower(self._file, hasher, position, on_step)
        self._follower.advance(self._offset)

    def _in_our_words(self) -> in_our_words:
        """Translate the system's errors; what is missing because of an abort is an abort."""
        return in_our_words(self.ref, lambda: self._offset, missing=self._check_in_place)

    def _check_in_place(self) -> None:
        self._check_open()
        if not self._lock.is_in_place():  # an abort has just begun
            self._release(Aborted)
            raise Aborted(self.ref)

    def _hashed(self) -> hashing.Hasher:
        with self._in_our_words():
            return self._follower.finish()

    def _mark_live(self, position: int, hasher: hashing.Hasher) -> None:
        self._ingest.hashed = position
        with contextlib.suppress(OSError):  # without it resuming costs more, and that is all
            self._ingest.mark_live(self._disk)

    def _sync_data(self) -> None:
        try:
            self._disk.sync(self._file)
        except OSError as error:
            self._give_up_unsynced()
            self._release(WriterClosed)
            raise translated(error, self.ref, offset=self._ingest.synced or 0) from error

    def _give_up_unsynced(self) -> None:
        """After a failed sync nothing since the last good one counts, and a second would lie."""
        synced = self._ingest.synced or 0
        with contextlib.suppress(OSError):
            self._disk.truncate(self._file, synced)
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_size > synced:
                self._disk.remove(DATA, folder=self._lock.folder)

    def _make_durable(self, *, closing: bool) -> None:
        """Bytes first, then what is said of them."""
        ingest, folder = self._ingest, self._lock.folder
        self._hashed()
        ingest.hashed = self._offset
        with self._in_our_words():
            if self._offset == ingest.synced and not closing:
                return
            if self._offset:
                self._sync_data()
            if ingest.synced is None:
                ingest.write_out(self._disk, folder)
                sidecars.record(self._disk, folder, ingest.known)
                self._disk.sync_directory(self._folder)
                self._disk.sync_directory(self._paths.ingests)
            has_moved = closing and self._updated_ns != ingest.known.updated_ns
            if has_moved:
                ingest.known = ingest.known._replace(updated_ns=self._updated_ns)
            mtime_ns = os.fstat(self._file).st_mtime_ns if closing else 0
            # The old `updatedat` has a mark, and the new one before it takes its place.
            ingest.checkpoint.write(ingest.mark(self._disk, durable=True, mtime_ns=mtime_ns))
            if has_moved:
                # Only now: `updatedat` later than the data says that the data was synced.
                sidecars.write_updated(self._disk, folder, self._updated_ns)
                self._disk.sync_directory(self._folder)
            ingest.synced = self._offset

    def _verified(self, expected: Digest | None) -> Digest:
        """The digest of the stored bytes, which is `expected` if that is given."""
        digest = self._hashed().digest()
        if expected is not None and expected.algorithm != digest.algorithm:
            with self._in_our_words():
                digest = follower.digest_of(self._file, self._offset, expected.algorithm)
        if expected is not None and expected != digest:
            raise DigestMismatch(expected, digest)
        return digest

    def _publish(self, digest: Digest) -> int:
        """Make the bytes a blob, durably; say when. Raises `AlreadyExists` if it is one already."""
        now_ns = self._clock()
        publication = Publication(self._disk, self._blobs, self._file, self._offset, digest, now_ns)
        with self._in_our_words():
            if self._lock.trusted and os.fstat(self._file).st_size == self._offset:
                self._disk.seal(self._file, now_ns)
                self._sync_data()
                self._move(publication)
            else:
                publication.copy(self._paths)
        return now_ns

    def _move(self, publication: Publication) -> None:
        try:
            publication.move(self._lock.folder)
        except AlreadyExists:
            raise
        except OSError:
            # The file may have its name, and perhaps not for good. It is a blob then, which nobody
            # may write to any more, and the bytes of the ingest as well.
            if publication.give_back(self._lock.folder):
                self._release(WriterClosed)
            raise

    def _end(self, digest: Digest, *, was_there: bool) -> None:
        """Remove the ingest of a blob; of one that `was_there`, unless an abort was faster."""
        self._follower.stop()
        is_kept = self._ingest.is_young and self._spares.keep(self._lock)
        had_data = not is_kept and end(self._disk, self._lock.folder, self._folder)
        is_aborted = was_there and not had_data
        self._final = None if is_aborted else digest
        self._release(Aborted if is_aborted else WriterClosed)
        if is_aborted:
            raise Aborted(self.ref) from None

    def _release(self, reason: type[Aborted | WriterClosed]) -> None:
        self._closed = reason
        if self._file < 0:
            return
        self._follower.stop()
        file, self._file = self._file, -1
        os.close(file)
        self._ingest.checkpoint.close()
        self._lock.release()
