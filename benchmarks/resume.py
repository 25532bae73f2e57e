"""Partials on their way back: a transfer goes on where it stopped, without hashing it all again."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import table
from benchmarks.material import GIB, MIB, ROOT, chunks, digest_of
from benchmarks.programs import output_of
from benchmarks.session import Session
from lading.stores.local.store import LocalStore

REF = "partial"


def rows(session: Session) -> Iterator[table.Row]:
    """Measure a partial that was closed, and one whose writer was killed after its last byte."""
    size = session.size(4 * GIB, quick=64 * MIB)
    expected = digest_of(size)
    for ending in ("closed", "killed"):
        yield _reopening(session, size, expected, ending)


def _reopening(session: Session, size: int, expected: str, ending: str) -> table.Row:
    what = f"reopening of a partial of {size // MIB} MiB, {ending}; Go, hashing it again"
    session.say(what)
    with session.scratch(room=size) as root:
        output_of(
            [sys.executable, "-m", "benchmarks.resume", root, str(size), ending],
            folder=ROOT,
            ends_with=-signal.SIGKILL if ending == "killed" else 0,
        )
        folder = root / "ingest" / hashlib.sha256(REF.encode()).hexdigest()
        before = {path: path.read_bytes() for path in folder.iterdir() if path.name != "data"}

        def ours() -> float:
            # Each round finds the partial as the first one did, whatever the last one noted in it.
            for path in folder.iterdir():
                if path.name != "data":
                    path.unlink()
            for path, content in before.items():
                path.write_bytes(content)
            started = time.perf_counter()
            with LocalStore(root).writer(REF) as writer:
                offset, digest = writer.offset, writer.digest
                took = time.perf_counter() - started
            assert (offset, digest) == (size, expected)
            return took

        def go() -> float:
            outcome = session.peer.run("rehash", source=folder / "data")
            assert outcome.digest == expected
            return outcome.seconds

        times = session.compare({"lading": ours, "go": go})
    return table.faster(what, times, ours="lading", rival="go", at_least=100)


def _write(root: Path, size: int, ending: str) -> None:
    """Leave a partial behind, by closing its writer or by dying under it."""
    with LocalStore(root).writer(REF) as writer:
        for chunk in chunks(size):
            writer.write(chunk)
        if ending == "killed":
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
