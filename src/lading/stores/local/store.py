"""LocalStore: content in a directory."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lading.content.store import (
    Batch,
    Blob,
    ContentStore,
    Ingest,
    Labels,
    Writer,
    check_ref,
    check_total,
)
from lading.errors import (
    AlreadyExists,
    FailedPrecondition,
    ForeignRoot,
    NotFound,
)
from lading.model.digest import Data, Digest
from lading.stores.local.blobs import BlobFolder
from lading.stores.local.disk import Disk
from lading.stores.local.faults import in_our_words
from lading.stores.local.paths import StorePaths

if TYPE_CHECKING:
    from lading.stores.local.spares import Spares

_NO_LABELS = "update not supported: this store keeps no labels; use a namespace"


class LocalStore(ContentStore):
    """A directory, laid out as containerd's content store. Any number of processes may share it.

    Opening writes nothing, so a read-only root, or one that is not there yet, can be read. The
    first write makes and records the standing folders. A root that is containerd's is read
    only: writing raises `ForeignRoot`.
    """

    gains_by_batches = True

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        disk: Disk | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paths = StorePaths(Path(os.path.abspath(root)))
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise FailedPrecondition(f"{self.root}: not a directory; name the folder of a store")
        self._disk = disk or Disk()
        self._clock = clock
        self._blobs = BlobFolder(self._paths, self._disk)
        self._preparing = threading.Lock()
        self._prepared = self._is_ours = False
        self._spares: Spares | None = None
        self._locks_reach_everyone = False

    @property
    def root(self) -> Path:
        """The directory."""
        return self._paths.root

    # Blobs

    def blob(self, digest: Digest) -> Blob:
        return self._blobs.blob(digest)

    def __contains__(self, digest: Digest) -> bool:
        return self._blobs.has(digest)

    def blobs(self, *filters: str) -> Iterator[Blob]:
        if not filters:
            return iter(self._blobs)
        from lading.content.filtering import select_blobs  # noqa: PLC0415 - compiles its grammar

        return select_blobs(iter(self._blobs), filters)

    def open(self, digest: Digest) -> BinaryIO:
        return self._blobs.open(digest)

    def path(self, digest: Digest) -> Path:
        """Where a blob lies, for programs that want a file; or `NotFound`. Read only."""
        self._blobs.blob(digest)
        return self._paths.blob(digest)

    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        raise FailedPrecondition(_NO_LABELS)

    def delete(self, digest: Digest) -> None:
        self._check_ours()
        self._blobs.delete(digest)

    def add(self, data: Data, *, labels: Labels | None = None) -> Blob:
        """Store bytes that are at hand, durably, by the short way: no ref, no ingest."""
        from lading.stores.local.scratch import Draft  # noqa: PLC0415 - for writers only

        if labels:
            raise FailedPrecondition(_NO_LABELS)
        digest = Digest.of(data)
        now_ns = self._clock()
        self._prepare()
        with in_our_words(digest):
            self._blobs.record(digest.algorithm)
            with Draft(self._disk, self._paths, digest.algorithm) as draft:
                draft.write(data)
                self._disk.seal(draft.file, now_ns)
                self._disk.sync(draft.file)
                try:
                    self._blobs.publish(digest, draft.size, draft.name, draft.replace)
                except AlreadyExists:
                    return self.blob(digest)
                return Blob(digest, draft.size, now_ns, now_ns)

    def batch(self) -> Batch:
        """Take many small blobs with one wait for the disk: see `LocalBatch`."""
        from lading.stores.local.batch import LocalBatch  # noqa: PLC0415 - for writers only

        self._prepare()
        return LocalBatch(self._disk, self._paths, self._blobs, self._clock())

    # Ingests

    def writer(
        self,
        ref: str,
        *,
        expected: Digest | None = None,
        total: int | None = None,
        wait: timedelta | None = None,
    ) -> Writer:
        from lading.stores.local.ingests import FolderLost  # noqa: PLC0415 - for writers only

        check_ref(ref)
        check_total(total)
        self._prepare()
        with in_our_words(ref):
            if expected is not None and self._blobs.settled(expected, total):
                raise AlreadyExists(expected)
            while True:
                try:
                    return self._opened(ref, expected, total, wait)
                except FolderLost:
                    continue  # somebody aborted what we had just locked: it is ours to begin

    def _opened(
        self, ref: str, expected: Digest | None, total: int | None, wait: timedelta | None
    ) -> Writer:
        from lading.stores.local import ingests, locks  # noqa: PLC0415 - for writers only
        from lading.stores.local.writer import LocalWriter  # noqa: PLC0415 - ditto

        path = self._paths.ingest(ref)
        now_ns = self._clock()
        spares = self._spares
        assert spares is not None  # since it is prepared
        lock = spares.lend(path, now_ns)
        if lock is None:
            lock = locks.take(self._disk, path, ref, wait=wait, now_ns=now_ns)
            lock.trusted = lock.trusted and self._locks_reach_everyone
        try:
            if wait and expected is not None and self._blobs.settled(expected, total):
                raise AlreadyExists(expected)  # noqa: TRY301 - it came while we waited
            ingest = ingests.begin_or_resume(
                self._disk, lock, path, ref, expected=expected, total=total, now_ns=now_ns
            )
            return LocalWriter(
                lock,
                ingest,
                disk=self._disk,
                paths=self._paths,
                blobs=self._blobs,
                spares=spares,
                clock=self._clock,
            )
        except BaseException as error:
            lost = isinstance(error, FileNotFoundError) and not lock.is_in_place()
            ingests.drop_unbegun(self._disk, lock, path)
            lock.release()
            if lost:
                raise ingests.FolderLost from error
            raise

    def ingest(self, ref: str) -> Ingest:
        from lading.stores.local import ingests  # noqa: PLC0415 - not for those who list blobs

        path = self._paths.ingest(check_ref(ref))
        found = ingests.describe(path)
        if found is None:
            with in_our_words(ref), suppress(FileNotFoundError, NotADirectoryError):
                os.stat(path)  # what we may not look into is not said to be absent
            raise NotFound(ref, "ingest")
        return found

    def ingests(self, *filters: str) -> Iterator[Ingest]:
        from lading.stores.local import ingests  # noqa: PLC0415 - not for those who list blobs

        found = ingests.walk(self._paths)
        if not filters:
            return found
        from lading.content.filtering import select_ingests  # noqa: PLC0415 - compiles its grammar

        return select_ingests(found, filters)

    def abort(self, ref: str) -> None:
        from lading.stores.local import scratch  # noqa: PLC0415 - for writers only

        self.ingest(ref)
        self._check_ours()
        with in_our_words(ref):
            if not scratch.bury(self._disk, self._paths, self._paths.ingest(ref)):
                raise NotFound(ref, "ingest")

    # The root

    def facts(self) -> dict[str, str | bool | None]:
        """What is so about this root on this machine, for people who ask why."""
        from lading.stores.local import inspection  # noqa: PLC0415 - for those who ask

        return inspection.facts(self._paths)

    def strays(self) -> Iterator[tuple[Path, str]]:
        """Every file in the root that is neither blob nor ingest, and what is wrong with it."""
        from lading.stores.local import inspection  # noqa: PLC0415 - for those who ask

        return inspection.strays(self._paths)

    def _check_ours(self) -> None:
        """Make sure, once, that the root is not containerd's."""
        from lading.stores.local.ownership import foreign  # noqa: PLC0415 - for writers only

        if not self._is_ours:
            reason: ForeignRoot | None = foreign(self.root)
            if reason is not None:
                raise reason
            self._is_ours = True

    def _prepare(self) -> None:
        """Make sure, once, that we may write here, and that the standing folders are recorded."""
        if self._prepared:
            return
        from lading.stores.local import scratch  # noqa: PLC0415 - for writers only
        from lading.stores.local.ownership import locks_reach_everyone  # noqa: PLC0415 - ditto
        from lading.stores.local.spares import Spares  # noqa: PLC0415 - ditto

        with self._preparing, in_our_words(self.root):
            if not self._prepared:
                self._check_ours()
                self._disk.make_directory(self.root, 0o755)
                self._disk.make_directory(self._paths.ingests)
                self._blobs.record("sha256")
                # While there is room: on a full disk `abort` needs it, to make some.
                self._disk.make_folder(self._paths.scratch)
                self._locks_reach_everyone = locks_reach_everyone(self.root)
                scratch.sweep(self._disk, self._paths, self._clock())
                self._spares = Spares(self._disk, self._paths)
                weakref.finalize(self, self._spares.clear)
                self._prepared = True
