"""What one call needs while it runs: bytes that have no name yet, folders on their way out.

Nothing below `scratch` is ever read again after a crash; what is old and in nobody's use is swept.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from lading.model.closing import Closing
from lading.model.digest import Data, bytes_of
from lading.stores.local import renaming
from lading.stores.local.disk import FOLDER, NEW, Disk, write_whole
from lading.stores.local.paths import DATA, ENDING_ORDER, LOCK, StorePaths

WRITE_SIZE = 64 << 10
"""The most bytes in one write: the same speed in warm memory, and much faster in cold."""
SWEEP_AGE_NS = 3600 * 1_000_000_000


class Draft(Closing):
    """Bytes that will be a blob, in a file that nobody else can write to.

    Nameless where the system knows such files, so that a crash leaves nothing; else a file below
    `scratch`, locked while it is in use.
    """

    def __init__(self, disk: Disk, paths: StorePaths, algorithm: str) -> None:
        self._disk, self._paths = disk, paths
        self._path: Path | None = None
        file = disk.open_nameless(paths.algorithm(algorithm))
        if file is None:
            disk.make_folder(paths.scratch)
            self._path = paths.new_scratch("draft")
            file = disk.open(self._path, NEW | os.O_EXCL)
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.file = file
        self.size = 0

    def write(self, data: Data) -> None:
        """Append all of `data`."""
        view = bytes_of(data)
        for start in range(0, len(view), WRITE_SIZE):
            piece = view[start : start + WRITE_SIZE]
            write_whole(self._disk, self.file, piece, self.size)
            self.size += len(piece)

    def name(self, target: str) -> None:
        """Become `target`, or raise FileExistsError."""
        if self._path is None:
            self._disk.link(self.file, target)
        else:
            self._disk.rename_exclusively(self._path, target)
            self._path = None

    def replace(self, target: str) -> None:
        """Become `target`, whatever has that name now."""
        if self._path is None:
            self._disk.make_folder(self._paths.scratch)
            path = self._paths.new_scratch("draft")
            self._disk.link(self.file, path)
            self._path = path
        self._disk.rename(self._path, target)
        self._path = None

    def close(self) -> None:
        """Let go. What did not get its name is gone."""
        if self._path is not None:
            self._disk.remove(self._path)
            self._path = None
        os.close(self.file)


def empty(disk: Disk, folder: int) -> bool:
    """Remove the files of an ingest's open folder, in an order that no crash makes ambiguous.

    True if its data was there, and nobody else took it.
    """
    names = os.listdir(folder)
    had_data = DATA in names and disk.remove(DATA, folder=folder)
    others = [name for name in names if name not in ENDING_ORDER]
    for name in (*others, *(name for name in ENDING_ORDER[1:] if name in names)):
        with contextlib.suppress(IsADirectoryError, PermissionError):
            disk.remove(name, folder=folder)
    return had_data


def end(disk: Disk, folder: int, path: Path) -> bool:
    """Remove an ingest's open folder, which is at `path`. What cannot be removed is seen as ended.

    False if its data was gone: it has become a blob, or an abort has taken it.
    """
    try:
        had_data = empty(disk, folder)
    except FileNotFoundError:  # the whole folder was removed
        return False
    except OSError:
        return True
    with contextlib.suppress(OSError):
        disk.remove_folder(path)
    return had_data


def bury(disk: Disk, paths: StorePaths, folder: Path) -> bool:
    """Take an ingest's folder out of reach of its writer and of everybody, and remove it.

    It gets another name before it is emptied: from then on nobody can begin an ingest in this
    folder, so what its writer still does there can meet no other writer's files. False if there was
    no ingest to end: a commit took the data first.
    """
    disk.make_folder(paths.scratch)
    grave = paths.new_scratch("aborted")
    try:
        with renaming.alone(paths.ingests):
            disk.rename(folder, grave)
    except FileNotFoundError:
        return False
    return _remove(disk, grave)


def sweep(disk: Disk, paths: StorePaths, now_ns: int) -> None:
    """Remove what crashed calls left below `scratch` more than an hour ago."""
    try:
        entries = list(os.scandir(paths.scratch))
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            age = now_ns - entry.stat(follow_symlinks=False).st_mtime_ns
            if age > SWEEP_AGE_NS and not in_use(Path(entry.path)):
                _remove(disk, Path(entry.path))


def _remove(disk: Disk, path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return disk.remove(path)
    folder = os.open(path, FOLDER)
    try:
        had_data = empty(disk, folder)
    finally:
        os.close(folder)
    disk.remove_folder(path)
    return had_data


def in_use(path: Path) -> bool:
    """Whether a living process holds what is at `path`, a file or an ingest's folder."""
    place = path / LOCK if path.is_dir() else path
    try:
        file = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
