"""Sealed disks: read-only for everybody, so that a database on one may be read without a lock.

SQLite's log needs files beside the database, for readers as well. Where they are missing and cannot
be made, it opens a database only on the word that nobody changes it. A folder that is mounted
read-only for us may be written through another mount; a file system that is read-only itself may
not. Whoever makes it writable again opens the database anew.
"""

import os
from pathlib import Path
from urllib.parse import quote

_MOUNTS = Path("/proc/self/mountinfo")


def address_of(path: str) -> str | None:
    """The address by which SQLite reads a database on a sealed disk; None if it is on no such disk.

    Neither if it has a log: what that says would be passed over.
    """
    if Path(f"{path}-wal").exists() or not _is_sealed(path):
        return None
    return f"file:{quote(path)}?mode=ro&immutable=1"


def _is_sealed(path: str) -> bool:
    try:
        device = Path(path).stat().st_dev
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        if mount.split(" ")[2] == number:
            return "ro" in file_system.rsplit(" ", 1)[-1].split(",")
    return False
