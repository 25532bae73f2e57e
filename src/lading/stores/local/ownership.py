"""Whose root this is, and whether its file system can be trusted with locks."""

import fcntl
import os
from pathlib import Path

from lading.errors import ForeignRoot

_CONTAINERD_METADATA = Path("io.containerd.metadata.v1.bolt", "meta.db")
_LOCAL_LOCKS = {
    "apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2",
    "overlay", "ramfs", "reiserfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs",
}  # fmt: skip
"""File systems of one machine, whose `flock` is the kernel's own and sees every opener.

All others (nfs, lustre, gpfs, ceph, cifs, 9p, fuse …) may lock for one machine only, or not at all.
"""


def foreign(root: Path) -> ForeignRoot | None:
    """Tell whether `root` lies in a containerd's state, whose collector would eat our blobs.

    containerd's database stands beside its content; while it runs, it holds a lock on it.
    """
    database = Path(os.path.realpath(root)).parent / _CONTAINERD_METADATA
    try:
        file = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        # Where its folder can be seen, it is there, and we may not even look.
        return ForeignRoot(root, live=True) if os.path.isdir(database.parent) else None
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return ForeignRoot(root, live=True)
    finally:
        os.close(file)
    return ForeignRoot(root, live=False)


def file_system(path: Path) -> str | None:
    """The kind of file system that `path` is, or would be, on; None where nobody says."""
    place = os.path.realpath(path)
    best, kind = "", None
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ").replace("\\134", "\\")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount covers an earlier one
            best, kind = point, after.split(" ", 1)[0]
    return kind


def locks_reach_everyone(path: Path) -> bool:
    """Whether a lock below `path` is seen by all who can write there."""
    kind = file_system(path)
    return kind is None or kind in _LOCAL_LOCKS
