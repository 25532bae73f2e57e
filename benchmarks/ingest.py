"""Large blobs on their way in: from a file, from a pipe, from memory."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bound, table
from benchmarks.material import (
    BLOCK_SIZE,
    GIB,
    MIB,
    chunks,
    digest_of,
    piped,
    write_file,
)
from benchmarks.measuring import Contestant
from benchmarks.session import Session
from lading.content.transfer import ingest
from lading.stores.local.store import LocalStore


def rows(session: Session) -> Iterator[table.Row]:
    """Measure all three with the same bytes."""
    size = session.size(GIB, quick=32 * MIB)
    expected = digest_of(size)
    with session.scratch(room=3 * size) as folder:
        yield from _from_a_file(session, write_file(folder / "source", size), expected)
    with session.scratch(room=2 * size) as folder:
        yield _from_a_pipe(session, size, expected)
        yield _from_memory(session, write_file(folder / "block", BLOCK_SIZE), size, expected)


def _ours(session: Session, source: Any, expected: str, *, total: int | None = None) -> float:
    with session.scratch() as root:
        store = LocalStore(root)
        store.add(b"makes the folders that a store in use has")
        started = time.perf_counter()
        blob = ingest(store, "large", source, total=total)
        took = time.perf_counter() - started
        assert blob.digest == expected
    return took


def _go(session: Session, expected: str, mode: str, source: object, **options: Any) -> float:
    with session.scratch() as root:
        outcome = session.peer.run(mode, root=root, source=source, **options)
    assert outcome.digest == expected
    return outcome.seconds


def _from_a_file(session: Session, source: Path, expected: str) -> Iterator[table.Row]:
    size = source.stat().st_size
    what = f"ingest of a file of {size // MIB} MiB, cached"
    session.say(what)

    def write_and_sync() -> float:
        with session.scratch() as folder:
            return bound.write_and_sync(source, folder / "target")

    halves: dict[str, Contestant] = {
        "read and hash": partial(bound.read_and_hash, source),
        "write and sync": write_and_sync,
    }
    times = session.compare(
        {
            "lading": lambda: _ours(session, source, expected),
            "go": lambda: _go(session, expected, "ingest", source),
            **halves,
        },
        uses=size,
    )
    yield table.faster(f"{what}; Go", times, ours="lading", rival="go", at_least=1.8)
    slower = max(halves, key=lambda half: median(times[half]))
    what = f"{what}; only to {slower}, the slower half"
    yield table.faster(what, times, ours="lading", rival=slower, at_least=0.9)


def _from_a_pipe(session: Session, size: int, expected: str) -> table.Row:
    what = f"ingest of {size // MIB} MiB from a pipe; Go, from the same producer"
    session.say(what)

    def ours() -> float:
        with piped(size) as pipe:
            return _ours(session, pipe, expected)

    def go() -> float:
        with piped(size) as pipe:
            return _go(session, expected, "ingest", "-", stdin=pipe)

    times = session.compare({"lading": ours, "go": go}, uses=size)
    return table.faster(what, times, ours="lading", rival="go", at_least=1.5)


def _from_memory(session: Session, block: Path, size: int, expected: str) -> table.Row:
    what = f"ingest of {size // MIB} MiB from an iterator over memory; Go, from memory"
    session.say(what)
    times = session.compare(
        {
            "lading": lambda: _ours(session, chunks(size), expected, total=size),
            "go": lambda: _go(session, expected, "memory", block, size=size),
        },
        uses=size,
    )
    return table.faster(what, times, ours="lading", rival="go", at_least=1.5)
