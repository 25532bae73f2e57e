"""The file-system calls whose order decides what a crash can lose.

Everything that changes the root goes through one `Disk`, so that a test can put a disk of its own
here: one that forgets whatever was not synced, that fills up, that fails. Methods raise the
system's own `OSError`; `faults` says it in our words.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from lading.model.digest import Data, bytes_of

NEW = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
"""Open for writing, made if absent, never through a link."""
READ = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Open to read, never through a link, and never waiting at a pipe that somebody put there."""
FOLDER = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
_NAMELESS = getattr(os, "O_TMPFILE", 0)
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


class Disk:
    """The real disk."""

    def __init__(self) -> None:
        self._failed: dict[Path, OSError] = {}

    # Files

    def open(self, path: str | Path, flags: int = NEW, *, folder: int | None = None) -> int:
        """Open a file, relative to an open folder if one is given."""
        return os.open(path, flags, 0o666, dir_fd=folder)

    def open_nameless(self, folder: Path) -> int | None:
        """A new file in `folder` that has no name until `link` gives it one; None if there are
        no such files here. A crash leaves nothing of it.
        """
        if not _NAMELESS or not _can_be_named():
            return None
        try:
            return os.open(folder, _NAMELESS | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno in _NO_NAMELESS and folder.is_dir():
                return None
            raise

    def write(self, file: int, data: Data, offset: int) -> int:
        """Write at `offset`; the disk may take less than it was offered."""
        return os.pwrite(file, data, offset)

    def copy(self, source: int, target: int, count: int, start: int, offset: int) -> int:
        """Copy inside the kernel, sharing blocks where the file system can."""
        if not hasattr(os, "copy_file_range"):  # macOS
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return os.copy_file_range(source, target, count, start, offset)

    def reserve(self, file: int, offset: int, size: int) -> None:
        """Take room now that will be written later, where that can be done."""
        from lading.stores.local import kernel  # noqa: PLC0415 - ctypes, for writers only

        kernel.reserve(file, offset, size)

    def start_write_back(self, file: int, offset: int, size: int) -> None:
        """Have the disk busy early. Promises nothing."""
        from lading.stores.local import kernel  # noqa: PLC0415 - ctypes, for writers only

        kernel.start_write_back(file, offset, size)

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def seal(self, file: int, now_ns: int) -> None:
        """Make a file what containerd makes of a blob: read-only, its times the commit's."""
        os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode) & 0o777 & ~0o333)
        os.utime(file, ns=(now_ns, now_ns))

    def unseal(self, file: int) -> None:
        """Let the owner write a file again."""
        os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode) | stat.S_IWUSR)

    # Names

    def rename(self, source: str | Path, target: str | Path, *, folder: int | None = None) -> None:
        """Give a file or folder another name; what has that name goes."""
        os.rename(source, target, src_dir_fd=folder)

    def replace_within(self, folder: int, source: str, target: str) -> None:
        """Rename a file inside an open folder; what has that name goes."""
        os.rename(source, target, src_dir_fd=folder, dst_dir_fd=folder)

    def rename_exclusively(
        self, source: str | Path, target: str | Path, *, folder: int | None = None
    ) -> None:
        """Give a file a name that nothing has, or raise FileExistsError."""
        from lading.stores.local import kernel  # noqa: PLC0415 - ctypes, for writers only

        if not kernel.rename_exclusively(folder, source, target):
            # A link and a removal would be two steps, and an abort between them would succeed too.
            with _alone_in(Path(target).parent):
                if os.path.exists(target):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
                os.rename(source, target, src_dir_fd=folder)

    def link(self, file: int, target: str | Path) -> None:
        """Give a nameless file its name, or raise FileExistsError."""
        # Only with some descriptor does Python follow /proc's link to the file itself. The system
        # passes over it, since both paths are absolute.
        os.link(f"/proc/self/fd/{file}", target, src_dir_fd=file)

    def link_within(self, source: Path, folder: int, name: str) -> None:
        """Give a file one more name, in an open folder, or raise FileExistsError."""
        os.link(source, name, dst_dir_fd=folder)

    def remove(self, name: str | Path, *, folder: int | None = None) -> bool:
        """Remove a file; False if it is not there (any more)."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    # Folders

    def make_folder(self, path: Path) -> None:
        """Make a folder that a crash may lose. One that is there is no error."""
        try:
            os.mkdir(path)
        except FileExistsError:
            with suppress(FileNotFoundError):  # it may go at any moment, too
                if not stat.S_ISDIR(os.stat(path).st_mode):
                    raise

    def make_directory(self, path: Path, mode: int = 0o777) -> None:
        """Make a folder that stands for as long as the store does, and record it in its parent.

        Recorded even if it was there already: whoever made it may have died before that.
        """
        if path.parent != path and not path.parent.is_dir():
            self.make_directory(path.parent)
        try:
            os.mkdir(path, mode)
            made = True
        except FileExistsError:
            if not path.is_dir():
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)
                ) from None
            made = False
        try:
            self.sync_directory(path.parent)
        except PermissionError:
            # The parent of somebody's mount point may be closed to us; it was recorded before.
            if made:
                raise

    def remove_folder(self, path: Path) -> bool:
        """Remove an empty folder; False if it is not empty (any more) or not there."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        return True

    # Syncs

    def sync(self, file: int) -> None:
        """Return when the bytes, size, mode and times of a file would survive a power cut."""
        _full_sync(file)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a folder would survive a power cut.

        A failed sync is final: the kernel reports it once and then forgets, so a second try would
        succeed without having kept anything. From then on this folder always fails.
        """
        if error := self._failed.get(path):
            raise OSError(error.errno, error.strerror, str(path))
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _full_sync(folder)
        except OSError as error:
            self._failed[path] = error
            raise
        finally:
            os.close(folder)

    def sync_file_system(self, path: Path) -> bool:
        """Sync all files at once; False if that cannot be done, and then nothing was done."""
        from lading.stores.local import kernel  # noqa: PLC0415 - ctypes, for writers only

        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return kernel.sync_file_system(folder)
        finally:
            os.close(folder)

    # The machine

    def boot_id(self) -> str:
        """What changes whenever the machine starts, so that we know what memory it forgot."""
        return _boot_id()


def write_whole(disk: Disk, file: int, data: Data, offset: int) -> None:
    """Write all of `data`, however little the disk takes at once."""
    view = bytes_of(data)
    done = 0
    while done < len(view):
        count = disk.write(file, view[done:], offset + done)
        if count == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += count


@cache
def _can_be_named() -> bool:
    """Whether there is a /proc through which a nameless file can get its name."""
    return os.path.isdir("/proc/self/fd")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold off whoever comes this way too. Where nothing can be locked, nobody is held off."""
    import fcntl  # noqa: PLC0415 - absent from Windows, where this room says so itself

    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _full_sync(file: int) -> None:
    import fcntl  # noqa: PLC0415 - absent from Windows, where this room says so itself

    if full := getattr(fcntl, "F_FULLFSYNC", None):
        # fsync on macOS leaves the bytes in the drive's cache.
        try:
            fcntl.fcntl(file, full)
        except OSError as error:
            if error.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(file)


@cache
def _boot_id() -> str:
    """Asked for once: no process outlives the boot that it began in."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _boot_session()


def _boot_session() -> str:
    """macOS's name for one run of the kernel; elsewhere a name that is never met again."""
    import ctypes  # noqa: PLC0415 - only where there is no /proc

    name = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(name))
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except AttributeError:
        return f"unknown-{os.urandom(8).hex()}"
    if ask(b"kern.bootsessionuuid", name, ctypes.byref(size), None, 0) != 0:
        return f"unknown-{os.urandom(8).hex()}"
    return name.value.decode()
