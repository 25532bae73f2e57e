"""The table: what was measured, against whom, and whether the promise is kept."""

from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.material import MIB
from benchmarks.measuring import Ratio, Times, ratio

HEADINGS = ("what", "lading", "rival", "ratio (min to max)", "target", "met?")


class Row(NamedTuple):
    """One line, its figures already in words."""

    what: str
    ours: str
    rival: str
    ratio: str
    target: str
    met: bool | None
    """None where nothing was promised."""

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands in each column."""
        return (*self[:-1], {True: "yes", False: "NO", None: ""}[self.met])


class Target(NamedTuple):
    """What a ratio has to be."""

    sign: Literal["≥", "≤"]
    figure: float

    def __str__(self) -> str:
        return f"{self.sign} {self.figure:g}"

    def is_met_by(self, found: float) -> bool:
        """Whether the promise is kept."""
        return found >= self.figure if self.sign == "≥" else found <= self.figure


def faster(what: str, times: Times, *, ours: str, rival: str, at_least: float | None) -> Row:
    """The row of a work for which the rival takes at least so many times as long as we do."""
    found = ratio(times[rival], times[ours])
    target = None if at_least is None else Target("≥", at_least)
    return _row(what, times[ours], times[rival], found, target)


def slower(what: str, times: Times, *, ours: str, rival: str, at_most: float) -> Row:
    """The row of a work for which we take at most so many times as long as the rival."""
    found = ratio(times[ours], times[rival])
    return _row(what, times[ours], times[rival], found, Target("≤", at_most))


def within(what: str, found: int, *, limit: int) -> Row:
    """The row of a size, in bytes, that has a limit and no peer."""
    target = f"≤ {limit / MIB:g} MiB"
    return Row(what, f"{_figures(found / MIB)} MiB", "", "", target, found <= limit)


def share(what: str, *, moved: Sequence[int], whole: Sequence[int], at_most: float) -> Row:
    """The row of bytes that need not be moved again."""
    found = ratio(moved, whole)
    target = Target("≤", at_most)
    return Row(
        what,
        f"{_figures(median(moved) / MIB)} MiB",
        f"{_figures(median(whole) / MIB)} MiB",
        f"{_figures(found.median)} ({_figures(found.lowest)} to {_figures(found.highest)})",
        str(target),
        target.is_met_by(found.median),
    )


def _row(
    what: str, ours: Sequence[float], rival: Sequence[float], found: Ratio, target: Target | None
) -> Row:
    return Row(
        what,
        duration(median(ours)),
        duration(median(rival)),
        f"{_figures(found.median)} ({_figures(found.lowest)} to {_figures(found.highest)})",
        "" if target is None else str(target),
        None if target is None else target.is_met_by(found.median),
    )


def duration(seconds: float) -> str:
    """Seconds with three figures, in the unit that needs no zeros in front."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{_figures(seconds * factor)} {unit}"
    return f"{_figures(seconds * 1e6)} µs"


def _figures(value: float) -> str:
    """Three figures, and never an exponent."""
    whole = len(str(int(value)))
    return f"{value:.{max(0, 3 - whole)}f}"


def text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [HEADINGS, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def markdown(rows: Sequence[Row]) -> str:
    """The table for a page."""
    rule = ("---", "--:", "--:", "--:", "--:", "---")
    lines = [HEADINGS, rule, *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
