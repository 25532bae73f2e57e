"""A file that has its name when it is whole, and not before; a power cut included.

Until then it has no name at all where the system can do that, so that not even `kill -9` leaves
anything behind; elsewhere one that nobody takes for another.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_MODE = 0o666
_NAMELESS_REFUSED = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str],
    *,
    mode: int | None = None,
    replaces: bool = True,
    follows_links: bool = False,
) -> Iterator[int]:
    """A file to write and to read, which gets the name `path` if the block ends normally.

    It takes the place of what has this name, and its mode, where `replaces`; else it is dropped
    where the name is taken. A device or a pipe is written to, as it is.
    """
    target = Path(os.path.realpath(path) if follows_links else path)
    before = _status(target)
    if before is not None and stat.S_ISLNK(before.st_mode):
        before = None  # it is replaced, whatever it leads to
    if before is not None and not stat.S_ISREG(before.st_mode):
        if stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        with _closing(os.open(target, os.O_WRONLY | os.O_CLOEXEC)) as file:
            yield file
        return
    name = target.with_name(f".lading-{os.urandom(8).hex()}")
    with _unnamed_at_the_end(name):
        try:
            file, is_named = _opened(target.parent, name)
        except OSError as error:
            error.filename, error.filename2 = os.fspath(path), None
            raise
        with _closing(file):
            yield file
            if mode is None and before is not None:
                mode = stat.S_IMODE(before.st_mode)
            if mode is not None:
                os.fchmod(file, mode)
            os.fsync(file)
            if not is_named:
                _give_name(file, name)
            with contextlib.suppress(FileExistsError):
                name.replace(target) if replaces else os.link(name, target)
            sync_folder(target.parent)


def swap_file(path: Path, data: bytes, *, claim: Path, is_unchanged: Callable[[], bool]) -> bool:
    """Replace a small file if `is_unchanged` says so while `claim` is ours; say whether it was.

    Everybody who would replace the same version of it claims the same name, which one alone can
    have. Whoever finds that it was taken away, since it seemed to be forgotten, has not replaced
    anything. Raises `FileExistsError` where somebody else has it.
    """
    name = path.with_name(f".lading-{os.urandom(8).hex()}")
    with _unnamed_at_the_end(name):
        file, is_named = _opened(path.parent, name)
        with _closing(file):
            write_all(file, data)
            os.fsync(file)
            if is_named:
                os.link(name, claim)
            else:
                _give_name(file, claim)
    try:
        if not is_unchanged():
            return False
        claim.replace(path)
        sync_folder(path.parent)
    except FileNotFoundError:
        return False
    else:
        return True
    finally:
        claim.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    with _closing(os.open(folder, os.O_RDONLY | os.O_CLOEXEC)) as file:
        os.fsync(file)


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of `data` at the position of a file."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


@contextlib.contextmanager
def _unnamed_at_the_end(name: Path) -> Iterator[None]:
    """Remove a temporary name, which may not be there; entered before anything gets it.

    A signal may end any step, and with it whatever would have been done after it.
    """
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            name.unlink()


def _give_name(file: int, name: Path) -> None:
    # With a descriptor given, though not needed, links are followed, as this one has to be.
    os.link(f"/proc/self/fd/{file}", name, src_dir_fd=file, follow_symlinks=True)


def _opened(folder: Path, name: Path) -> tuple[int, bool]:
    """A new file, and whether it has its temporary name already."""
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").exists():
        try:
            return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, _MODE), False
        except OSError as error:
            if error.errno not in _NAMELESS_REFUSED:
                raise
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(name, flags, _MODE), True


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)
