"""Collecting half of a large store, and how long a writer waits for it at worst."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import table
from benchmarks.measuring import longest_beside
from benchmarks.session import Session
from lading.metadata.catalog import Metadata
from lading.metadata.collector import ROW_STEP
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

EACH = 16
BEHIND = 99
"""Blobs that one manifest refers to."""
WAIT_LIMIT_SECONDS = 0.05
NAMESPACE = "images"


class House(NamedTuple):
    """A store in which one half is named by images, and the other by nobody."""

    folder: Path
    kept: list[str]
    doomed: list[str]

    def open(self) -> Metadata:
        """The store, with its database."""
        return Metadata(f"sqlite:///{self.folder}/metadata.db", content=LocalStore(self.folder))

    def path(self, digest: str) -> Path:
        """Where a blob lies."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def check(self) -> None:
        """See that what had to go is gone, and nothing else."""
        assert not any(self.path(digest).exists() for digest in self.doomed)
        assert all(self.path(digest).exists() for digest in self.kept)


def rows(session: Session) -> Iterator[table.Row]:
    """Collect with us and by hand, and then under a writer."""
    count = session.size(200_000, quick=2_000)
    what = f"collecting {count // 2:,} blobs of {count:,}"
    session.say(what)
    numbers = iter(range(1_000_000))
    waits: list[float] = []

    def prepared() -> House:
        return build(session.lasting(), count, next(numbers))

    def ours() -> float:
        house = prepared()
        with house.open() as metadata:
            started = time.perf_counter()
            done = metadata.collect()
            took = time.perf_counter() - started
        assert done.blobs == done.rows == len(house.doomed)
        house.check()
        return took

    def bare() -> float:
        house = prepared()
        started = time.perf_counter()
        collect_by_hand(house)
        took = time.perf_counter() - started
        house.check()
        return took

    def under_a_writer() -> float:
        house = prepared()
        started = time.perf_counter()
        with house.open() as metadata:
            waits.append(longest_wait(metadata, house.kept[0]))
        return time.perf_counter() - started

    times = session.compare({"lading": ours, "bare": bare})
    yield table.slower(
        f"{what}; the same rows and unlinks by hand", times, ours="lading", rival="bare", at_most=2
    )
    session.compare({"lading": under_a_writer})
    longest = max(waits)
    yield table.Row(
        f"the longest that a durable write waited for {what}",
        table.duration(longest),
        "",
        "",
        f"≤ {table.duration(WAIT_LIMIT_SECONDS)}",
        longest <= WAIT_LIMIT_SECONDS,
    )


def longest_wait(metadata: Metadata, digest: str) -> float:
    """Label a blob again and again while a collection runs; the seconds that one took at most."""
    namespace = metadata.namespace(NAMESPACE)
    namespace.label(Digest(digest), {"turn": "first"})  # opens what there is to open

    def label() -> float:
        started = time.perf_counter()
        namespace.label(Digest(digest), {"turn": str(started)})
        return time.perf_counter() - started

    return longest_beside(metadata.collect, label)


def collect_by_hand(house: House) -> None:
    """The same changes of rows and files, in pieces of the same size, and no questions asked."""
    with closing(sqlite3.connect(house.folder / "metadata.db", isolation_level=None)) as database:
        for setting in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {setting}")
        for step in _steps(sorted(house.doomed)):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "DELETE FROM blobs WHERE namespace = ? AND digest = ?",
                [(NAMESPACE, digest) for digest in step],
            )
            database.executemany(
                "INSERT INTO condemned (digest, size, going) VALUES (?, ?, 0)",
                [(digest, EACH) for digest in step],
            )
            database.execute("COMMIT")
        for step in _steps(sorted(house.doomed)):
            for digest in step:
                os.unlink(house.path(digest))  # noqa: PTH108 - the bare call
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "DELETE FROM condemned WHERE digest = ?", [(digest,) for digest in step]
            )
            database.execute("COMMIT")


def build(folder: Path, count: int, number: int) -> House:
    """Make a store without waiting for the disk: files by hand, and rows as the store has them."""
    house = House(folder, [], [])
    with house.open() as metadata:
        metadata.content.add(b"makes the folders that a store in use has")
        namespace = metadata.namespace(NAMESPACE)
        first = namespace.add(b"makes the namespace", labels={"containerd.io/gc.root": "now"})
    house.kept.append(first.digest)
    blobs: list[tuple[str, int, str]] = []
    images: list[str] = []
    for group in range(count // (BEHIND + 1)):
        half = house.kept if group % 2 else house.doomed
        digests = [_write(house, f"{number} {group} {each}") for each in range(BEHIND + 1)]
        half += digests
        labels = {f"containerd.io/gc.ref.content.{i}": each for i, each in enumerate(digests[1:])}
        blobs.append((digests[0], EACH, json.dumps(labels, sort_keys=True)))
        blobs += [(each, EACH, "") for each in digests[1:]]
        if group % 2:
            images.append(digests[0])
    with closing(sqlite3.connect(folder / "metadata.db")) as database, database:
        database.executemany(
            "INSERT INTO blobs (namespace, digest, size, created_ns, updated_ns, labels)"
            " VALUES (?, ?, ?, 0, 0, ?)",
            [(NAMESPACE, *blob) for blob in sorted(blobs)],
        )
        database.executemany(
            "INSERT INTO images"
            " (namespace, name, target, target_digest, created_ns, updated_ns, labels)"
            " VALUES (?, ?, '{}', ?, 0, 0, '')",
            [(NAMESPACE, f"image {each}", each) for each in images],
        )
    os.sync()  # what building left to write is not the collection's
    return house


def _steps(digests: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(digests), ROW_STEP):
        yield digests[start : start + ROW_STEP]


def _write(house: House, text: str) -> str:
    data = text.ljust(EACH).encode()
    digest = Digest.of(data)
    house.path(digest).write_bytes(data)
    return digest
