"""Memory: a blob of any size passes through a process of one size."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks import table
from benchmarks.material import GIB, MIB, ROOT, piped, write_file
from benchmarks.programs import output_of
from benchmarks.session import Session

LIMIT = 64 * MIB


def rows(session: Session) -> Iterator[table.Row]:
    """Let a process of its own ingest a file, and another one a pipe, and see how it has grown."""
    size = session.size(4 * GIB, quick=64 * MIB)
    with session.scratch(room=2 * size) as folder:
        source = write_file(folder / "source", size)
        yield _row(session, f"peak growth, ingest of a file of {size // MIB} MiB", source, None)
    with session.scratch(room=size), piped(size) as pipe:
        yield _row(session, f"peak growth, ingest of {size // MIB} MiB from a pipe", "-", pipe)


def _row(session: Session, what: str, source: Path | str, pipe: IO[bytes] | None) -> table.Row:
    session.say(what)
    with session.scratch() as root:
        answer = output_of(
            [sys.executable, "-m", "benchmarks.growth", root, source],
            stdin=pipe or subprocess.DEVNULL,
            folder=ROOT,
        )
    return table.within(what, int(answer), limit=LIMIT)
