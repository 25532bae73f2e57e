"""Disks that do what real ones do on a bad day."""

import errno
import os
from pathlib import Path

from lading.stores.local.disk import Disk


class Notebook(Disk):
    """The real disk, and a list of what was asked of it: the call, and what it was about."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def sync(self, file):
        self.calls.append(("sync", os.fstat(file).st_ino))
        super().sync(file)

    def sync_directory(self, path):
        self.calls.append(("sync_directory", path))
        super().sync_directory(path)

    def sync_file_system(self, path):
        self.calls.append(("sync_file_system", path))
        return super().sync_file_system(path)

    def rename_exclusively(self, source, target, *, folder=None):
        found = os.stat(source, dir_fd=folder)
        self.calls.append(("name", Path(target), found))
        super().rename_exclusively(source, target, folder=folder)

    def link(self, file, target):
        self.calls.append(("name", Path(target), os.fstat(file)))
        super().link(file, target)


class SmallDisk(Disk):
    """A disk that has room for so many bytes in all, and takes at most so many at once."""

    def __init__(self, room, *, most=1 << 30):
        super().__init__()
        self.room, self.most = room, most

    def write(self, file, data, offset):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = super().write(file, memoryview(data)[: min(self.room, self.most)], offset)
        self.room -= count
        return count

    def reserve(self, file, offset, size):
        """Nothing is promised beforehand."""


class FailingDisk(Disk):
    """A disk on which the calls named in `fails` fail, as long as they are named there."""

    def __init__(self):
        super().__init__()
        self.fails = {}

    def _check(self, name):
        if code := self.fails.get(name):
            raise OSError(code, os.strerror(code))

    def rename_exclusively(self, source, target, *, folder=None):
        self._check("rename_exclusively")
        super().rename_exclusively(source, target, folder=folder)

    def sync(self, file):
        self._check("sync")
        super().sync(file)

    def sync_directory(self, path: Path):
        self._check(f"sync_directory {path.name}")
        super().sync_directory(path)

    def link_within(self, source, folder, name):
        self._check(f"link_within {name}")
        super().link_within(source, folder, name)
