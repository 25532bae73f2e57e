"""The blobs of one root: read, listed, and given their names."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from lading.content.store import NO_LABELS, Blob
from lading.errors import AlreadyExists, NotFound
from lading.model.digest import ALGORITHMS, Digest
from lading.stores.local.disk import READ, Disk
from lading.stores.local.faults import in_our_words, translated
from lading.stores.local.paths import StorePaths
from lading.stores.local.shared_sync import SharedSync

Name = Callable[[str], None]
"""Gives a file the name it is called with."""


class BlobFolder:
    """The folder `blobs`. Only regular files under the name of a digest are blobs."""

    def __init__(self, paths: StorePaths, disk: Disk) -> None:
        self._paths, self._disk = paths, disk
        self._recorded: set[str] = set()
        self._syncs: dict[str, SharedSync] = {}

    # Reading

    def path(self, digest: Digest) -> Path:
        """Where a blob lies, or would."""
        return self._paths.blob(digest)

    def blob(self, digest: Digest) -> Blob:
        """Describe a blob, or raise `NotFound`."""
        found = self._found(digest)
        if found is None:
            raise NotFound(digest)
        return Blob(digest, found.st_size, found.st_mtime_ns, found.st_mtime_ns)

    def has(self, digest: Digest) -> bool:
        """Whether there is a blob; for those who need not know more, in half of the time."""
        return self._found(digest) is not None

    def _found(self, digest: Digest) -> os.stat_result | None:
        try:
            found = os.lstat(self._paths.blob_name(digest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translated(error, digest) from error
        return found if stat.S_ISREG(found.st_mode) else None

    def __iter__(self) -> Iterator[Blob]:
        """Every blob, passing over whatever else lies there."""
        for algorithm in ALGORITHMS:
            try:
                entries = os.scandir(self._paths.algorithm(algorithm))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                with in_our_words(self._paths.algorithm(algorithm)):
                    raise error from None
            read, make, is_file = Digest.reader(algorithm), Blob._make, stat.S_ISREG
            with entries:
                for entry in entries:
                    if (digest := read(entry.name)) is None:
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # deleted while we looked
                    if is_file(found.st_mode):
                        time_ns = found.st_mtime_ns
                        yield make((digest, found.st_size, time_ns, time_ns, NO_LABELS))

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob to read, or raise `NotFound`."""
        with in_our_words(digest):
            try:
                file = os.open(self._paths.blob_name(digest), READ)
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound(digest) from None
            except OSError as error:
                if error.errno == errno.ELOOP:  # a link is no blob, whatever it points to
                    raise NotFound(digest) from None
                raise
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise NotFound(digest)
        os.set_blocking(file, True)
        return open(file, "rb")

    def delete(self, digest: Digest) -> None:
        """Delete a blob, or raise `NotFound`."""
        self.blob(digest)
        with in_our_words(digest):
            if not self._disk.remove(self._paths.blob(digest)):
                raise NotFound(digest)  # somebody else has deleted it just now

    # Writing

    def record(self, algorithm: str) -> None:
        """Make the folder of an algorithm, so that it outlives a power cut. Once per store."""
        if algorithm not in self._recorded:
            self._disk.make_directory(self._paths.blobs, 0o755)
            self._disk.make_directory(self._paths.algorithm(algorithm), 0o755)
            self._recorded.add(algorithm)

    def _sync_names(self, algorithm: str) -> None:
        """Return when the names in the folder of an algorithm would survive a power cut."""
        sync = self._syncs.get(algorithm)
        if sync is None:
            folder = self._paths.algorithm(algorithm)
            made = SharedSync(partial(self._disk.sync_directory, folder))
            sync = self._syncs.setdefault(algorithm, made)
        sync()

    def settled(self, digest: Digest, size: int | None = None) -> Blob | None:
        """Find a blob and make sure that a power cut could not take its name. None if absent.

        A file of another size than is known to be right is no blob, and is not found.
        """
        try:
            blob = self.blob(digest)
        except NotFound:
            return None
        if size is not None and blob.size != size:
            return None
        # Whoever gave it its name may have died before recording it, or never meant to sync it.
        try:
            with self.open(digest) as file:
                self._disk.sync(file.fileno())
        except NotFound:
            return None
        self.record(digest.algorithm)
        self._sync_names(digest.algorithm)
        return blob

    def publish(self, digest: Digest, size: int, name: Name, replace: Name) -> None:
        """Give verified, synced bytes the name of their digest, durably.

        Raises `AlreadyExists` where the blob is there already, whole: see `_named`.
        """
        self.record(digest.algorithm)
        is_new = self._named(digest, size, name, replace)
        self._sync_names(digest.algorithm)
        if not is_new:
            raise AlreadyExists(digest)

    def publish_all(self, blobs: Iterable[tuple[Digest, int, Name, Name]]) -> None:
        """Do so for many, with one sync for each folder. Known ones are no error."""
        algorithms = set()
        for digest, size, name, replace in blobs:
            self._named(digest, size, name, replace)
            algorithms.add(digest.algorithm)
        for algorithm in algorithms:
            self._sync_names(algorithm)

    def _named(self, digest: Digest, size: int, name: Name, replace: Name) -> bool:
        """Name a file, or find that its blob is there. What is there is read and compared.

        The caller holds the right bytes and can mend a blob now, and perhaps never again.
        """
        target = self._paths.blob_name(digest)
        try:
            name(target)
        except FileExistsError:
            if self._is_whole(digest, size):
                return False
            replace(target)
        return True

    def _is_whole(self, digest: Digest, size: int) -> bool:
        import hashlib  # noqa: PLC0415 - costs milliseconds that a listing can spare

        try:
            with self.open(digest) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return False
                found = hashlib.file_digest(cast("BufferedReader", file), digest.algorithm)
                self._disk.sync(file.fileno())
        except (NotFound, OSError):
            return False
        return found.hexdigest() == digest.hex
