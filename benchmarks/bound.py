"""What the machine allows: the halves of an ingest, each alone and as fast as this machine does it.

An ingest that overlaps them perfectly takes as long as the slower one.
"""

import ctypes
import hashlib
import os
import sys
import time
from pathlib import Path

from benchmarks.material import MIB

READ_STEP = MIB // 4
COPY_STEP = 2 * MIB
WRITE_BACK_STEP = 8 * MIB
SYNC_FILE_RANGE_WRITE = 2


def read_and_hash(path: Path) -> float:
    """Read a file into one small buffer and hash it."""
    started = time.perf_counter()
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(READ_STEP))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    hasher.digest()
    return time.perf_counter() - started


def write_and_sync(source: Path, target: Path) -> float:
    """Make a copy inside the kernel, with early write-back where there is such a thing, and sync.

    Early write-back makes this bound harder to reach than a plain write and sync would. The
    target must be new: to empty an old one is work of its own.
    """
    started = time.perf_counter()
    with source.open("rb", buffering=0) as file, target.open("xb", buffering=0) as copy:
        written = begun = 0
        while count := _copy(file.fileno(), copy.fileno()):
            written += count
            if written - begun >= WRITE_BACK_STEP:
                _begin_write_back(copy.fileno(), begun, written - begun)
                begun = written
        os.fsync(copy.fileno())
    return time.perf_counter() - started


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)
    _libc.sync_file_range.argtypes = (
        ctypes.c_int,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_uint,
    )

    def _copy(source: int, target: int) -> int:
        return os.copy_file_range(source, target, COPY_STEP)

    def _begin_write_back(file: int, start: int, size: int) -> None:
        _libc.sync_file_range(file, start, size, SYNC_FILE_RANGE_WRITE)

else:

    def _copy(source: int, target: int) -> int:
        data = os.read(source, COPY_STEP)
        return os.write(target, data) if data else 0

    def _begin_write_back(file: int, start: int, size: int) -> None:
        """Elsewhere the system begins when it likes."""
