"""Listings: little more than asking the file system."""

import os
import time
from collections.abc import Iterator

from benchmarks import table
from benchmarks.material import small_blobs
from benchmarks.session import Session
from lading.stores.local.store import LocalStore

EACH = 16
BATCH = 10_000


def rows(session: Session) -> Iterator[table.Row]:
    """List a full store, and walk its folder by hand."""
    count = session.size(100_000, quick=1_000)
    what = f"listing {count:,} blobs; scandir and stat"
    session.say(what)
    store = LocalStore(session.lasting())
    blobs = small_blobs(count, EACH)
    for start in range(0, count, BATCH):
        with store.batch() as batch:
            digests = [batch.add(data) for data in blobs[start : start + BATCH]]
    folder = store.path(digests[0]).parent

    def ours() -> float:
        started = time.perf_counter()
        sizes = [blob.size for blob in store.blobs()]
        took = time.perf_counter() - started
        assert len(sizes) == count
        return took

    def walk() -> float:
        started = time.perf_counter()
        with os.scandir(folder) as entries:
            sizes = [entry.stat().st_size for entry in entries]
        took = time.perf_counter() - started
        assert len(sizes) == count
        return took

    times = session.compare({"lading": ours, "walk": walk})
    yield table.slower(what, times, ours="lading", rival="walk", at_most=1.5)
