"""The calls of the kernel that Python's `os` lacks. Each says whether it could be done.

None of them is needed for a right result, so where a system or a file system lacks one, the
caller goes the longer way.
"""

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_LINUX = sys.platform == "linux"
_KEEP_SIZE = 1  # fallocate(2): FALLOC_FL_KEEP_SIZE
_WRITE = 2  # sync_file_range(2): SYNC_FILE_RANGE_WRITE
_NO_REPLACE = 1  # renameat2(2): RENAME_NOREPLACE
_EXCLUSIVE = 4  # renameatx_np(2) of macOS: RENAME_EXCL
_AT_CWD = -100 if _LINUX else -2
_CANNOT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ENOTSUP}


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    if _LINUX:
        libc.sync_file_range.argtypes = [
            ctypes.c_int,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_uint,
        ]
        libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return libc


def _call(name: str, *arguments: object) -> bool:
    """Call libc: True when done, False when it cannot be done here; else the system's error."""
    try:
        function = getattr(_libc(), name)
    except AttributeError:
        return False
    while function(*arguments) != 0:
        error = ctypes.get_errno()
        if error == errno.EINTR:
            continue
        if error in _CANNOT:
            return False
        raise OSError(error, os.strerror(error))
    return True


def start_write_back(file: int, offset: int, size: int) -> bool:
    """Begin to write a range to the disk, without waiting and without promising anything."""
    return _LINUX and _call("sync_file_range", file, offset, size, _WRITE)


def reserve(file: int, offset: int, size: int) -> bool:
    """Take room for a range without changing the file's size, or raise ENOSPC."""
    return _LINUX and _call("fallocate", file, _KEEP_SIZE, offset, size)


def sync_file_system(file: int) -> bool:
    """Write everything that the file system of `file` has in memory, and report errors.

    Linux reports write-back errors here since 5.8; before that the caller must sync file by file.
    """
    return _LINUX and _release() >= (5, 8) and _call("syncfs", file)


def rename_exclusively(folder: int | None, source: str | Path, target: str | Path) -> bool:
    """Rename unless `target` exists, in one step; FileExistsError if it does."""
    at = _AT_CWD if folder is None else folder
    name, flag = ("renameat2", _NO_REPLACE) if _LINUX else ("renameatx_np", _EXCLUSIVE)
    return _call(name, at, os.fsencode(source), _AT_CWD, os.fsencode(target), flag)


@cache
def _release() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())
