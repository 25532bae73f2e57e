"""Small blobs: each durable alone, and many with one wait for the disk."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import table
from benchmarks.material import BLOCK_SIZE, KIB, digest_of_all, small_blobs, write_file
from benchmarks.session import Session
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

EACH = 4 * KIB


def rows(session: Session) -> Iterator[table.Row]:
    """Measure one by one and all at once against the ways of the peer, in the same rounds."""
    count = session.size(1000, quick=200)
    session.say(f"add and batch of {count} blobs of 4 KiB")
    blobs = small_blobs(count, EACH)
    expected = digest_of_all([Digest.of(data) for data in blobs])

    def add(store: LocalStore) -> list[Digest]:
        return [store.add(data).digest for data in blobs]

    def batch(store: LocalStore) -> list[Digest]:
        with store.batch() as together:
            return [together.add(data) for data in blobs]

    def ours(keep: Callable[[LocalStore], list[Digest]]) -> float:
        store = LocalStore(session.lasting())
        store.add(b"makes the folders that a store in use has")
        started = time.perf_counter()
        digests = keep(store)
        took = time.perf_counter() - started
        assert digest_of_all([*digests]) == expected
        return took

    def go(block: Path, way: str) -> float:
        outcome = session.peer.run(
            "add", root=session.lasting(), source=block, count=count, each=EACH, way=way
        )
        assert outcome.digest == expected
        return outcome.seconds

    with session.scratch() as folder:
        block = write_file(folder / "block", BLOCK_SIZE)
        times = session.compare(
            {
                "add": lambda: ours(add),
                "batch": lambda: ours(batch),
                "plain": lambda: go(block, "plain"),
                "same": lambda: go(block, "same"),
                "containerd": lambda: go(block, "containerd"),
            }
        )
    what = f"{count:,} blobs of 4 KiB"
    for way, rival, said, at_least in (
        ("add", "plain", "Go, renaming a temporary file", 1.0),
        ("add", "same", "Go, call by call what lading does", None),
        ("add", "containerd", "Go, an ingest folder for each", 2.0),
        ("batch", "plain", "Go, one by one", 2.5),
    ):
        yield table.faster(
            f"{way} of {what}; {said}", times, ours=way, rival=rival, at_least=at_least
        )
