"""A process that does large things with a store, and tells by how much it has grown at its peak.

    python -m tests.memory.eating ROOT SOURCE DEED…

It says one line for each deed: the bytes by which its peak is over its size at the start.
"""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from lading.content.transfer import ingest, verify
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

SIZE = 1 << 30
BLOCK = bytes(range(256)) * 4096
READ_SIZE = 1 << 20
BLOBS = 20_000
STATUS = Path("/proc/self/status")


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    if STATUS.exists():
        # What `getrusage` says may be the peak of the process that started this one.
        [line] = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def blocks() -> Iterator[bytes]:
    """As many bytes as were asked for, of which no more than one block is ever in memory."""
    for _ in range(SIZE // len(BLOCK)):
        yield BLOCK


def ingest_blocks(store: LocalStore, source: Path) -> None:
    """From what yields bytes."""
    assert ingest(store, "blocks", blocks()).size == SIZE


def ingest_file(store: LocalStore, source: Path) -> None:
    """From a file, which is one hole."""
    with source.open("wb") as file:
        file.truncate(SIZE)
    assert ingest(store, "file", source).size == SIZE


def ingest_pipe(store: LocalStore, source: Path) -> None:
    """From a file that cannot seek."""
    with open("/dev/zero", "rb", buffering=0) as zeros, store.writer("pipe") as writer:  # noqa: PTH123 - no file of ours
        assert writer.copy_from(zeros, limit=SIZE) == SIZE
        assert writer.commit().size == SIZE


def read_blobs(store: LocalStore, source: Path) -> None:
    """Whatever is there, by `open`, and once more by `verify`."""
    for blob in store.blobs():
        size = 0
        with store.open(blob.digest) as file:
            while data := file.read(READ_SIZE):
                size += len(data)
        assert size == verify(store, blob.digest).size == blob.size


def add_many(store: LocalStore, source: Path) -> None:
    """Many small ones, in one batch."""
    with store.batch() as batch:
        for number in range(BLOBS):
            batch.add(number.to_bytes(4) * 256)


def list_many(store: LocalStore, source: Path) -> None:
    """Each of them, looked at and let go."""
    assert sum(1 for blob in store.blobs() if blob.size == 1024) == BLOBS
    assert sum(1 for blob in store.blobs(f"digest!={Digest.of(b'')}")) >= BLOBS


DEEDS = {
    deed.__name__: deed
    for deed in (ingest_blocks, ingest_file, ingest_pipe, read_blobs, add_many, list_many)
}


if __name__ == "__main__":
    _store, _source = LocalStore(sys.argv[1]), Path(sys.argv[2])
    _start = peak()
    for _name in sys.argv[3:]:
        DEEDS[_name](_store, _source)
        print(_name, peak() - _start, flush=True)  # noqa: T201 - its answer
