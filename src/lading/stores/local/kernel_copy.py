"""Copying between two files without the bytes passing through this process.

Where the file system can, nothing is copied at all: both files share the blocks (a reflink).
"""

import errno
from typing import BinaryIO, NamedTuple

from lading.stores.local.disk import Disk

STEP = 2 << 20
_CANNOT = {
    errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM,
    errno.EISDIR, errno.ETXTBSY,
}  # fmt: skip


class KernelSource(NamedTuple):
    """A file that the kernel can read for us, from `start` on."""

    file: int
    start: int

    def copy(self, disk: Disk, target: int, *, done: int, offset: int, count: int) -> int | None:
        """Copy on after `done` bytes, to `offset`; say how many, or None if it cannot be done."""
        try:
            return disk.copy(self.file, target, count, self.start + done, offset)
        except OSError as error:
            if error.errno in _CANNOT:
                return None
            raise


def kernel_source(source: BinaryIO) -> KernelSource | None:
    """What of `source` the kernel can copy; None for what is no real, seekable file."""
    try:
        return KernelSource(source.fileno(), source.tell())
    except (OSError, AttributeError, ValueError):
        return None
