"""The command's start: what everybody pays, for every verb."""

import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import table
from benchmarks.programs import output_of
from benchmarks.session import Session

STARTS = 10
QUICK_STARTS = 2
"""Processes in one turn, whose median is the turn's time."""


def rows(session: Session) -> Iterator[table.Row]:
    """Start the command and the bare interpreter, from the same environment."""
    session.say("start of the command")
    starts = session.size(STARTS, quick=QUICK_STARTS)
    script = Path(sys.executable).with_name("lading")
    lading: list[str | Path]
    name, lading = "lading", [script]
    if not script.exists():
        name, lading = "python -m lading.cli", [sys.executable, "-m", "lading.cli"]
    with session.scratch() as root:
        commands = {
            f"{name} --help": [*lading, "--help"],
            f"{name} ls, of an empty store": [*lading, "--root", root, "ls"],
        }
        times = session.compare(
            {
                "bare": partial(_start, [sys.executable, "-c", "pass"], starts),
                **{name: partial(_start, command, starts) for name, command in commands.items()},
            }
        )
    for name in commands:
        yield table.slower(f"{name}; python -c pass", times, ours=name, rival="bare", at_most=6)


def _start(command: Sequence[str | Path], times: int) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        output_of(command)
        seconds.append(time.perf_counter() - started)
    return median(seconds)
