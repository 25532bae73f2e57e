"""Bytes of a blob on their way out, hashed beside being written.

A thread hashes one piece while the next is read and written: `hashlib` lets other threads run.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Self, cast

from lading.content.store import given
from lading.errors import DataLoss, DiskFailed
from lading.model.digest import Digest

PIECE_SIZE = 1 << 20
PIECES = 4
"""Pieces in memory at once."""
REPORT_SIZE = 16 << 20


class VerifiedCopy:
    """Copies blobs, one after another. Has a thread, until the block ends."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "hash")
        self._buffers = [memoryview(bytearray(PIECE_SIZE)) for _ in range(PIECES)]

    def copy(
        self,
        source: BinaryIO,
        digest: Digest,
        size: int,
        write: Callable[[memoryview], object],
        report: Callable[[int], object],
    ) -> None:
        """Hand all bytes to `write`, or raise `DataLoss`: after the last, if they are others."""
        hash_ = hashlib.new(digest.algorithm)
        free = deque(self._buffers)
        hashing: deque[tuple[Future[None], memoryview]] = deque()
        done, reported = 0, 0
        try:
            while done < size:
                if not free:
                    pending, buffer = hashing.popleft()
                    pending.result()
                    free.append(buffer)
                buffer = free.popleft()
                count = _read(source, buffer[: min(size - done, PIECE_SIZE)], digest, done)
                hashing.append((self._pool.submit(hash_.update, buffer[:count]), buffer))
                write(buffer[:count])
                done += count
                if done - reported >= REPORT_SIZE:
                    report(done)
                    reported = done
        finally:
            for pending, _ in hashing:
                pending.result()
        if hash_.hexdigest() != digest.hex:
            raise DataLoss(digest, f"its bytes are {digest.algorithm}:{hash_.hexdigest()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()


def _read(source: BinaryIO, view: memoryview, digest: Digest, done: int) -> int:
    try:
        read_into = getattr(source, "readinto", None)
        if read_into is not None:
            count = given(cast("int | None", read_into(view)))
        else:
            data = source.read(len(view))
            count = len(data)
            view[:count] = data
    except OSError as error:
        raise DiskFailed(digest, error) from error
    if not count:
        raise DataLoss(digest, f"it ends at {done}")
    return count
