"""Having the disk busy while bytes arrive, so that the sync at the end is short."""

import contextlib

from lading.stores.local.disk import Disk

STEP = 8 << 20


class WriteBack:
    """Starts to write a file's bytes to the disk, a step at a time. Promises nothing."""

    def __init__(self, disk: Disk, file: int, position: int) -> None:
        self._disk, self._file = disk, file
        self.position = position

    def advance(self, end: int) -> None:
        """Say that the file is good up to `end`."""
        if end - self.position >= STEP:
            with contextlib.suppress(OSError):  # a sync will tell
                self._disk.start_write_back(self._file, self.position, end - self.position)
            self.position = end
