"""The bytes that are stored: made from a seed, so that every run and every rival has the same.

`python -m benchmarks.material SIZE` writes them to standard output: the producer of every pipe.
"""

import hashlib
import os
import random
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from benchmarks.programs import started

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

STEP = MIB
BLOCK_SIZE = 64 * MIB
SEED = 20261124
ROOT = Path(__file__).parent.parent


@cache
def block() -> bytes:
    """The bytes that everything is cut from."""
    return random.Random(SEED).randbytes(BLOCK_SIZE)  # noqa: S311 - data, not a secret


def chunks(size: int) -> Iterator[memoryview]:
    """`size` bytes in steps of a MiB, out of memory: the block again and again."""
    view = memoryview(block())
    for offset in range(0, size, STEP):
        start = offset % BLOCK_SIZE
        yield view[start : start + min(STEP, size - offset)]


def digest_of(size: int) -> str:
    """The digest of `size` bytes of material."""
    hasher = hashlib.sha256()
    for chunk in chunks(size):
        hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def write_file(path: Path, size: int) -> Path:
    """Put `size` bytes of material into a file, which is then cached and on the disk."""
    with path.open("wb", buffering=0) as file:
        for chunk in chunks(size):
            file.write(chunk)
        os.fsync(file.fileno())
    return path


def small_blobs(count: int, each: int) -> list[bytes]:
    """`count` pieces of the block, no two alike: the first eight bytes of each are its number.

    The Go reference cuts the same ones.
    """
    material, starts = block(), BLOCK_SIZE - each + 1
    return [
        i.to_bytes(8, "little") + material[i * each % starts + 8 : i * each % starts + each]
        for i in range(count)
    ]


def digest_of_all(digests: list[str]) -> str:
    """One digest that stands for many, in their order."""
    return f"sha256:{hashlib.sha256(''.join(digests).encode()).hexdigest()}"


@contextmanager
def piped(size: int) -> Iterator[IO[bytes]]:
    """Lend the reading end of a pipe that another process fills with `size` bytes from memory."""
    command = [sys.executable, "-m", "benchmarks.material", str(size)]
    with started(command, folder=ROOT) as producer:
        assert producer.stdout is not None
        # Its start and the making of the block are not the reader's time.
        select.select([producer.stdout], [], [])
        yield producer.stdout
    if producer.returncode:
        raise ChildProcessError(f"the producer of a pipe ended with {producer.returncode}")


if __name__ == "__main__":
    # When the run ends early this has nothing to say about it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for piece in chunks(int(sys.argv[1])):
        while piece:
            piece = piece[os.write(1, piece) :]  # noqa: PLW2901 - what is left of it
