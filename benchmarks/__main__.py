"""`python -m benchmarks`: measure, and print the table."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    archives,
    collecting,
    ingest,
    listing,
    machine,
    memory,
    pulls,
    pushes,
    reading,
    resume,
    service,
    small,
    startup,
    table,
)
from benchmarks import rows as database_rows
from benchmarks.material import ROOT
from benchmarks.programs import interrupt
from benchmarks.session import Session

GROUPS: dict[str, Callable[[Session], Iterator[table.Row]]] = {
    "ingest": ingest.rows,
    "resume": resume.rows,
    "small": small.rows,
    "reading": reading.rows,
    "listing": listing.rows,
    "startup": startup.rows,
    "memory": memory.rows,
    "rows": database_rows.rows,
    "collecting": collecting.rows,
    "service": service.rows,
    "pulls": pulls.rows,
    "pushes": pushes.rows,
    "archives": archives.rows,
}
FEWEST_ROUNDS = 5
MISSED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and say whether every target was met."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (1 if options.quick else FEWEST_ROUNDS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    rows: list[table.Row] = []
    interrupted = False
    with Session(options.directory, rounds=rounds, quick=options.quick) as session:
        try:
            for name in options.names or GROUPS:
                rows += GROUPS[name](session)
        except KeyboardInterrupt:
            interrupted = True
            session.say("interrupted; what was measured before:")
        described = machine.described(session.folder)
    if options.quick:
        rows = [row._replace(met=None) for row in rows]
    print((table.markdown if options.markdown else table.text)(rows))
    print(_notes(session, described))
    if interrupted:
        return INTERRUPTED
    return 0 if all(row.met is not False for row in rows) else MISSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure lading's speed.")
    parser.add_argument(
        "names",
        nargs="*",
        type=_name,
        metavar="NAME",
        help=f"what to measure, of {', '.join(GROUPS)}; all of them without a name",
    )
    parser.add_argument(
        "--rounds",
        type=_at_least_one,
        help=f"rounds that count ({FEWEST_ROUNDS}; with --quick 1)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that this works: no targets"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / "build",
        help="make a folder to work in here; its disk is what is measured (build)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


def _name(text: str) -> str:
    # `choices` would refuse the empty list that stands for all of them.
    if text not in GROUPS:
        raise argparse.ArgumentTypeError(f"there is no {text!r}; there is {', '.join(GROUPS)}")
    return text


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


def _notes(session: Session, described: str) -> str:
    rounds = f"{session.rounds} interleaved round{'s' if session.rounds > 1 else ''}"
    notes = [f"\nMedians of {rounds}. {described}."]
    if session.busy_turns:
        notes.append(
            f"{session.busy_turns} of {session.turns} turns began on a busy machine: measure again "
            "when nothing else runs."
        )
    if session.quick or session.rounds < FEWEST_ROUNDS:
        notes.append("A trial: too small or too short for the targets to mean anything.")
    return "\n".join(notes)


if __name__ == "__main__":
    sys.exit(main())
