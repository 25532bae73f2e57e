"""Rows beside the bytes: commits, look-ups, listings, and nobody waiting for a stranger's disk."""

import itertools
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import table
from benchmarks.measuring import longest_beside
from benchmarks.session import Session
from lading.metadata.catalog import Metadata
from lading.metadata.namespace import Namespace
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

EACH = 4096
THREADS = 16
LABELS = {"team": "web", "containerd.io/gc.root": "benchmark"}
WAIT_LIMIT_SECONDS = 0.05
BATCH = 1000
_SELECT = (
    "SELECT size, created_ns, updated_ns, labels FROM blobs WHERE namespace = ? AND digest = ?"
)
_LIST = "SELECT digest, size, created_ns, updated_ns, labels FROM blobs WHERE namespace = ?"


def rows(session: Session) -> Iterator[table.Row]:
    """Each against the bare engine, with the same rows and the same calls for the files."""
    yield from _commits(session)
    yield from _reads(session)
    yield from _strangers(session)


def _opened(folder: Path) -> Metadata:
    return Metadata(f"sqlite:///{folder}/metadata.db", content=LocalStore(folder / "root"))


def _commits(session: Session) -> Iterator[table.Row]:
    count = session.size(1_000, quick=32)
    what = f"add of {count:,} blobs of 4 KiB with row and labels"
    session.say(what)

    def ours() -> float:
        with _opened(session.lasting()) as metadata:
            return _added(metadata.namespace("images"), count)

    def ours_at_once() -> float:
        with _opened(session.lasting()) as metadata:
            namespace = metadata.namespace("images")
            share = count // THREADS
            threads = [
                threading.Thread(target=_added, args=(namespace, share)) for _ in range(THREADS)
            ]
            return _timed(lambda: _run(threads)) * count / (share * THREADS)

    def bare() -> float:
        folder = session.lasting()
        with closing(_bare_database(folder / "bare.db")) as database:
            return _timed(lambda: _add_by_hand(folder, database, count))

    times = session.compare({"lading": ours, "sixteen": ours_at_once, "bare": bare})
    yield table.faster(
        f"{what}; bare files and bare SQLite", times, ours="lading", rival="bare", at_least=0.7
    )
    yield table.faster(
        f"{what}, by {THREADS} threads; by one",
        times,
        ours="sixteen",
        rival="lading",
        at_least=2.5,
    )


def _reads(session: Session) -> Iterator[table.Row]:
    count = session.size(100_000, quick=1_000)
    session.say(f"looking up and listing {count:,} blobs with labels")
    folder = session.lasting()
    with _opened(folder) as metadata:
        namespace = metadata.namespace("images")
        digests = _filled(namespace, count)
        some = digests[:: max(1, count // 10_000)]
        with closing(sqlite3.connect(folder / "metadata.db", isolation_level=None)) as database:
            times = session.compare(
                {
                    "lading": lambda: _timed(lambda: [namespace.blob(each) for each in some]),
                    "bare": lambda: _timed(
                        lambda: [
                            database.execute(_SELECT, ("images", each)).fetchone() for each in some
                        ]
                    ),
                }
            )
            yield table.slower(
                f"{len(some):,} look-ups of one blob; a prepared SELECT",
                times,
                ours="lading",
                rival="bare",
                at_most=3,
            )
            yield from _listings(session, namespace, database, count)


def _listings(
    session: Session, namespace: Namespace, database: sqlite3.Connection, count: int
) -> Iterator[table.Row]:
    def listed(*filters: str) -> float:
        return _timed(lambda: [blob.size for blob in namespace.blobs(*filters)])

    times = session.compare(
        {
            "lading": listed,
            "filtered": lambda: listed("labels.team==web"),
            "bare": lambda: _timed(lambda: list(database.execute(_LIST, ("images",)))),
        }
    )
    for ours, how in (("lading", ""), ("filtered", ", filtered")):
        yield table.slower(
            f"listing {count:,} blobs with labels{how}; the bare query",
            times,
            ours=ours,
            rival="bare",
            at_most=3,
        )


def _strangers(session: Session) -> Iterator[table.Row]:
    """How long an opening waits while another namespace resumes and commits a large ingest."""
    size = session.size(1 << 30, quick=1 << 20)
    what = f"opening a ref while another namespace hashes and commits {size >> 20} MiB"
    session.say(what)
    waits: list[float] = []

    def beside() -> float:
        with _opened(session.lasting()) as metadata:
            return _timed(lambda: waits.append(_longest_wait(metadata, size)))

    session.compare({"lading": beside}, uses=size)
    longest = max(waits)
    yield table.Row(
        f"{what}: the longest wait",
        table.duration(longest),
        "",
        "",
        f"≤ {table.duration(WAIT_LIMIT_SECONDS)}",
        longest <= WAIT_LIMIT_SECONDS,
    )


def _longest_wait(metadata: Metadata, size: int) -> float:
    other, namespace = metadata.namespace("other"), metadata.namespace("images")
    piece, numbers = memoryview(bytes(1 << 20)), itertools.count()

    def work() -> None:
        with other.writer("large", total=size) as writer:
            for _ in range(size >> 20):
                writer.write(piece)
            writer.commit()

    def open_one() -> float:
        started = time.perf_counter()
        writer = namespace.writer(f"small {next(numbers)}")
        took = time.perf_counter() - started
        writer.close()  # waits for its own sync, and so for the disk
        return took

    return longest_beside(work, open_one)


def _added(namespace: Namespace, count: int) -> float:
    return _timed(lambda: [namespace.add(os.urandom(EACH), labels=LABELS) for _ in range(count)])


def _filled(namespace: Namespace, count: int) -> list[Digest]:
    digests: list[Digest] = []
    for start in range(0, count, BATCH):
        with namespace.batch() as batch:
            digests += [batch.add(str(number).encode()) for number in range(start, start + BATCH)]
    for digest in digests[: count // 100]:
        namespace.label(digest, LABELS)
    return digests


def _bare_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE blobs (namespace TEXT, digest TEXT, size INTEGER, created_ns INTEGER,"
        " updated_ns INTEGER, labels TEXT, PRIMARY KEY (namespace, digest))"
    )
    return database


def _add_by_hand(folder: Path, database: sqlite3.Connection, count: int) -> None:
    """Write, sync, name and record each, and ask no questions."""
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    labels = json.dumps(LABELS)
    for number in range(count):
        data = os.urandom(EACH)
        digest = Digest.of(data)
        temporary = folder / f"draft-{number}"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT)
        os.write(file, data)
        os.fsync(file)
        os.close(file)
        temporary.rename(folder / digest.hex)
        os.fsync(parent)
        row = ("images", digest, EACH, 1, 1, labels)
        database.execute("INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?)", row)
    os.close(parent)


def _run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
