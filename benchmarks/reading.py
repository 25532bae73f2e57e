"""Blobs on their way out: as fast as any file."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from benchmarks import table
from benchmarks.material import GIB, MIB, chunks
from benchmarks.session import Session
from lading.content.transfer import ingest
from lading.stores.local.store import LocalStore

STEP = MIB
TIMES = 10
"""Readings in one turn: a single one from the cache takes less than a tenth of a second."""


def rows(session: Session) -> Iterator[table.Row]:
    """Read the same cached bytes through the store, and from a file of one's own."""
    size = session.size(GIB, quick=32 * MIB)
    what = f"reading {size // MIB} MiB through open; a plain read of the file"
    session.say(what)
    with session.scratch(room=size) as root:
        store = LocalStore(root)
        digest = ingest(store, "large", chunks(size), total=size).digest
        path: Path = store.path(digest)

        def ours() -> float:
            return _read_often(lambda: store.open(digest), size)

        def plain() -> float:
            return _read_often(lambda: path.open("rb"), size)

        times = session.compare({"lading": ours, "plain": plain}, uses=2 * STEP)
    yield table.faster(what, times, ours="lading", rival="plain", at_least=0.95)


def _read_often(opened: Callable[[], IO[bytes]], size: int) -> float:
    started = time.perf_counter()
    for _ in range(TIMES):
        read = 0
        with opened() as file:
            while data := file.read(STEP):
                read += len(data)
        assert read == size
    return (time.perf_counter() - started) / TIMES
