"""How the bytes of an ingest become a blob.

The order is the promise: the bytes are synced, then get their name, then its folder is synced.
"""

import contextlib
import os
from typing import NamedTuple

from lading.errors import DigestMismatch
from lading.model.digest import Digest
from lading.stores.local.blobs import BlobFolder
from lading.stores.local.disk import Disk
from lading.stores.local.follower import READ_SIZE, digest_of
from lading.stores.local.paths import DATA, StorePaths
from lading.stores.local.scratch import Draft


class Publication(NamedTuple):
    """What of one ingest is to be published: the first `size` bytes of `file`, as `digest`."""

    disk: Disk
    blobs: BlobFolder
    file: int
    size: int
    digest: Digest
    now_ns: int

    def move(self, folder: int) -> None:
        """Give the file itself its name. It is sealed and synced, and ours alone.

        `folder` is the one that we hold, and abort empties that one: so no other writer's file
        can be met there under the name `data`. It is ours, or there is none.
        """
        self.blobs.publish(
            self.digest,
            self.size,
            lambda target: self.disk.rename_exclusively(DATA, target, folder=folder),
            lambda target: self.disk.rename(DATA, target, folder=folder),
        )

    def give_back(self, folder: int) -> bool:
        """Where `move` failed after it had moved the file, give it its old name too, if that goes.

        False if it was not moved. Its new name stays: somebody may have seen the blob, and been
        promised that it is there.
        """
        target = self.blobs.path(self.digest)
        try:
            if not os.path.samestat(os.stat(target, follow_symlinks=False), os.fstat(self.file)):
                return False
        except FileNotFoundError:
            return False
        except OSError:
            return True  # nobody can say, so nobody may write to it
        with contextlib.suppress(OSError):
            self.disk.link_within(target, folder, DATA)
        return True

    def copy(self, paths: StorePaths) -> None:
        """Where a second writer may have the same file open, publish one that it has not.

        The copy is hashed as it was stored. If it is not what was written, nothing is published
        and `DigestMismatch` is raised.
        """
        self.blobs.record(self.digest.algorithm)
        with Draft(self.disk, paths, self.digest.algorithm) as draft:
            while piece := os.pread(self.file, min(READ_SIZE, self.size - draft.size), draft.size):
                draft.write(piece)
            actual = digest_of(draft.file, draft.size, self.digest.algorithm)
            if actual != self.digest:
                raise DigestMismatch(self.digest, actual)
            self.disk.seal(draft.file, self.now_ns)
            self.disk.sync(draft.file)
            self.blobs.publish(self.digest, draft.size, draft.name, draft.replace)
