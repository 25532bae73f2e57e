"""Many small blobs with one wait for the disk."""

import contextlib
from types import TracebackType

from lading.content.store import Batch
from lading.errors import WriterClosed
from lading.model.digest import Data, Digest
from lading.stores.local.blobs import BlobFolder
from lading.stores.local.disk import Disk
from lading.stores.local.faults import in_our_words
from lading.stores.local.paths import StorePaths
from lading.stores.local.scratch import Draft

OPEN_LIMIT = 256
"""Blobs that wait together: each is an open file, and a process may have 1,024."""
SIZE_LIMIT = 64 << 20
WHOLE_SYNC_LIMIT = 8
"""From this many blobs on, one sync of the whole file system is cheaper than one for each."""


class LocalBatch(Batch):
    """Made by `LocalStore.batch`. For one thread.

    The order for each group: all bytes, one sync, all names, one sync of their folder. No name
    is given before the bytes are durable, so each blob is as safe as one added alone.
    """

    def __init__(self, disk: Disk, paths: StorePaths, blobs: BlobFolder, now_ns: int) -> None:
        self._disk, self._paths, self._blobs, self._now_ns = disk, paths, blobs, now_ns
        self._waiting: dict[Digest, Draft] = {}
        self._known: set[Digest] = set()
        self._size = 0
        self._open = True
        self._failure: BaseException | None = None

    def add(self, data: Data) -> Digest:
        if not self._open:
            raise WriterClosed("batch")
        digest = Digest.of(data)
        if digest in self._waiting or digest in self._known:
            return digest
        with in_our_words(digest):
            self._blobs.record(digest.algorithm)
            draft = Draft(self._disk, self._paths, digest.algorithm)
            try:
                draft.write(data)
                self._disk.seal(draft.file, self._now_ns)
            except BaseException:
                draft.close()
                raise
        self._waiting[digest] = draft
        self._size += draft.size
        if len(self._waiting) >= OPEN_LIMIT or self._size >= SIZE_LIMIT:
            self._flush()
        return digest

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        if kind is not None:
            self._drop()
            return
        if self._failure is not None:
            raise self._failure  # somebody caught it, and would now take the batch for done
        self._flush()

    def _flush(self) -> None:
        """Publish what waits. A failure ends the batch: a second sync could not be believed."""
        try:
            if self._waiting:
                with in_our_words(next(iter(self._waiting))):
                    self._publish()
            self._known.update(self._waiting)
        except BaseException as failure:
            self._failure, self._open = failure, False
            raise
        finally:
            self._drop()

    def _publish(self) -> None:
        together = len(self._waiting) >= WHOLE_SYNC_LIMIT
        if not (together and self._disk.sync_file_system(self._paths.blobs)):
            self._sync_each()
        self._blobs.publish_all(
            (digest, draft.size, draft.name, draft.replace)
            for digest, draft in self._waiting.items()
        )

    def _sync_each(self) -> None:
        """Sync file by file, while the disk is at the next ones already: half of the wait."""
        for draft in self._waiting.values():
            with contextlib.suppress(OSError):  # the sync will tell
                self._disk.start_write_back(draft.file, 0, draft.size)
        for draft in self._waiting.values():
            self._disk.sync(draft.file)

    def _drop(self) -> None:
        for draft in self._waiting.values():
            draft.close()
        self._waiting.clear()
        self._size = 0
