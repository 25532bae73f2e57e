"""Progress of many blobs on stderr: a bar for each, a line for each, JSON lines, or nothing.

    with transfer_progress("auto", "pull", "docker.io/library/redis:7") as progress:
        registry.pull("docker.io/library/redis:7", into=store, progress=progress)

What is told can be called with steps from any thread, also after the block; reporting never fails
a transfer. Leaving the block normally says what came of it all.
"""

import sys
import time
from typing import TextIO

import click

from lading.cli.bars import BARS_LIMIT, Bars
from lading.cli.courses import PAST, Transfers
from lading.cli.options import Decorated
from lading.cli.progress import drawn
from lading.cli.quantities import size_text, span_text, time_text
from lading.cli.quoting import escaped
from lading.cli.terminal import Screen, can_redraw
from lading.model.descriptor import Descriptor
from lading.oci.progress import (
    Begun,
    Done,
    Found,
    Mounted,
    Moved,
    Planned,
    Resolved,
    Restarted,
    Step,
    Waiting,
)

__all__ = ["Transfers", "at_once_option", "streams_option", "transfer_progress"]

AT_ONCE_LIMIT = 64
_EVENT_INTERVAL_S = 0.5
_BAR_INTERVAL_S = 0.1
_EVENTS: dict[type[Step], str] = {
    Resolved: "resolve",
    Planned: "plan",
    Found: "found",
    Mounted: "mount",
    Begun: "begin",
    Moved: "progress",
    Restarted: "truncate",
    Waiting: "wait",
    Done: "end",
}


class _Lines(Transfers):
    """A line per blob, when it is there, and one at the end."""

    def __init__(self, verb: str, subject: str, stream: TextIO) -> None:
        super().__init__(verb, subject)
        self._screen = Screen(stream)

    def note(self, sentence: str) -> None:
        self._screen.write(f"{escaped(sentence)}\n")

    def _show(self, step: Step) -> None:
        match step:
            case Found():
                self.note(f"already there: {step.blob.digest}")
            case Mounted():
                self.note(f"mounted {step.blob.digest} from {step.source}")
            case Begun() if step.offset:
                there, size = size_text(step.offset), size_text(step.blob.size)
                self.note(f"resuming {step.blob.digest}, {there} of {size} are there")
            case Done():
                course = self.courses[step.blob.digest]
                took = span_text(time.monotonic() - course.began_s) if course.began_s else "0.0 s"
                past = PAST.get(self.verb, self.verb)
                self.note(f"{past} {step.blob.digest} ({size_text(step.moved)} in {took})")
            case _:
                self._trouble(step)

    def _trouble(self, step: Step) -> None:
        match step:
            case Restarted():
                self.note(f"starting over {step.blob.digest} at 0: {step.reason}")
            case Waiting():
                what = step.blob.digest if step.blob else self.subject
                self.note(f"waiting {step.pause_s:.1f} s for {what}: {step.reason}")

    def _conclude(self) -> None:
        self.note(self.sum())


class _Bars(_Lines):
    """Lines that are redrawn, and gone when the work is: one per blob that moves, and the sum."""

    def __init__(self, verb: str, subject: str, stream: TextIO) -> None:
        super().__init__(verb, subject, stream)
        self._bars = Bars(self._screen)
        self._shown_s = 0.0

    def note(self, sentence: str) -> None:
        self.clear()
        super().note(sentence)

    def clear(self) -> None:
        self._bars.clear()

    def _show(self, step: Step) -> None:
        self._trouble(step)
        now = time.monotonic()
        if now - self._shown_s >= _BAR_INTERVAL_S:
            self._shown_s = now
            self._bars.draw(self._lines)

    def _lines(self, columns: int) -> list[str]:
        moving = [course for course in self.courses.values() if course.is_moving]
        lines = [
            drawn(
                f"  {course.blob.digest.hex[:12]}",
                course.offset,
                course.blob.size or None,
                None,
                columns=columns,
            )
            for course in moving[:BARS_LIMIT]
        ]
        if len(moving) > BARS_LIMIT:
            lines.append(f"  and {len(moving) - BARS_LIMIT} more"[: max(columns - 1, 0)])
        name = f"{self.verb} {self.subject}"
        rate = self.bytes_per_second
        return [*lines, drawn(name, self.offset, self.total or None, rate, columns=columns)]


class _Events(_Lines):
    """JSON lines, of which `docs/cli.md` has the schema."""

    def note(self, sentence: str) -> None:
        """Say nothing: the events have the facts."""

    def _show(self, step: Step) -> None:
        if isinstance(step, Moved):
            course, now = self.courses[step.blob.digest], time.monotonic()
            if now - course.shown_s < _EVENT_INTERVAL_S:
                return
            course.shown_s = now
        self._emit(
            _EVENTS[type(step)],
            step.target if isinstance(step, Resolved) else getattr(step, "blob", None),
            reason=step.source if isinstance(step, Mounted) else getattr(step, "reason", None),
            pause_s=getattr(step, "pause_s", None),
        )

    def _conclude(self) -> None:
        self._emit("done", self.target, is_all=True)

    def _emit(
        self,
        event: str,
        blob: Descriptor | None,
        *,
        reason: str | None = None,
        pause_s: float | None = None,
        is_all: bool = False,
    ) -> None:
        from json import dumps  # noqa: PLC0415 - for this kind of progress only

        course = None if blob is None or is_all else self.courses.get(blob.digest)
        found = self if is_all else course
        record = {
            "event": event,
            "verb": self.verb,
            "subject": self.subject,
            "digest": None if blob is None else str(blob.digest),
            "media_type": None if blob is None else blob.media_type,
            "offset": 0 if found is None else found.offset,
            "total": None if found is None else (self.total if course is None else course.size),
            "moved": 0 if found is None else found.moved,
            "reason": reason,
            "pause_ms": None if pause_s is None else round(pause_s * 1000),
            "time": time_text(time.time_ns()),
        }
        self._screen.write(f"{dumps(record)}\n")


def at_once_option(function: Decorated) -> Decorated:
    """Add -j, which the verb sees as `at_once`."""
    return click.option(
        "-j",
        "--at-once",
        type=click.IntRange(1, AT_ONCE_LIMIT),
        metavar="N",
        help="How many blobs to move at once. Default: 3; to pull small ones, 6.",
    )(function)


def streams_option(function: Decorated) -> Decorated:
    """Add --streams, which the verb sees as `streams`."""
    return click.option(
        "--streams",
        type=click.IntRange(1, AT_ONCE_LIMIT),
        metavar="N",
        default=6,
        show_default=True,
        help="How many connections one blob may take, where one is slow.",
    )(function)


def transfer_progress(mode: str, verb: str, subject: str) -> Transfers:
    """Choose how to report; `auto` is bars on a terminal and a line per blob anywhere else."""
    if mode == "auto":
        mode = "bar" if can_redraw(sys.stderr) else "lines"
    match mode:
        case "bar":
            return _Bars(verb, subject, sys.stderr)
        case "lines":
            return _Lines(verb, subject, sys.stderr)
        case "jsonl":
            return _Events(verb, subject, sys.stderr)
        case _:
            return Transfers(verb, subject)
