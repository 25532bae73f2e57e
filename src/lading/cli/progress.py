"""Progress on stderr: a bar, a line per blob, JSON lines, or nothing.

    with progress_of("auto", "ingest", "layer.tar", total=size) as progress:
        blob = ingest(store, ref, path, progress=progress)
        progress.done(f"stored {blob.digest}", digest=blob.digest)

Reporting never fails a transfer: where stderr is closed or full, it stops.
"""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from lading.cli.quantities import clock_text, size_text, span_text, time_text
from lading.cli.quoting import escaped
from lading.cli.terminal import Screen, can_redraw, columns

_BAR_INTERVAL_S = 0.1
_EVENT_INTERVAL_S = 0.5
_ERASE = "\r\x1b[K"


class Progress:
    """Progress that is kept and not shown: `--progress none`, and the base of the others.

    Call it with the offset so far. The first call says where a transfer begins or resumes, and a
    call with less than the one before says that it started over.
    """

    def __init__(self, verb: str, subject: str, total: int | None) -> None:
        self.verb, self.subject, self.total = verb, subject, total
        self.ref: str | None = None
        self.offset = 0
        self.resumed_at = 0
        """Bytes that were there already when this began."""
        self.going_on = "{} bytes are there already"
        """What to say of them, which depends on what they are to this transfer."""
        self.began = False
        self.began_s = time.monotonic()
        self._told = False
        self._shown_s = 0.0

    def __call__(self, offset: int) -> None:
        if not self.began:
            self.began = True
            self.resumed_at = offset
            self.began_s = time.monotonic()
            self._event("begin", offset)
        elif offset < self.offset:
            self.resumed_at = 0
            self.note("starting over at 0")
            self._event("truncate", offset)
        else:
            self._tell_resumed()
            self._event("progress", offset)

    def turn_to(self, subject: str, total: int | None) -> None:
        """Go on with another transfer."""
        self.subject, self.total = subject, total
        self.offset = self.resumed_at = 0
        self.began = self._told = False

    def done(self, sentence: str, *, digest: str | None = None) -> None:
        """Say that it is finished, and what came of it."""
        self._tell_resumed()

    def clear(self) -> None:
        """Make room for somebody else's line."""

    def note(self, sentence: str) -> None:
        """Say something beside the progress."""

    @property
    def bytes_per_second(self) -> float:
        """The mean rate since the beginning, of what was really moved."""
        elapsed = time.monotonic() - self.began_s
        return (self.offset - self.resumed_at) / elapsed if elapsed > 0 else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def _event(self, event: str, offset: int) -> None:
        self.offset = offset

    def _tell_resumed(self) -> None:
        # Not with the first call: it may start over right after it.
        if self.resumed_at and not self._told:
            self._told = True
            self.note(self.going_on.format(self.resumed_at))

    def _is_due(self, interval_s: float) -> bool:
        now = time.monotonic()
        if now - self._shown_s < interval_s:
            return False
        self._shown_s = now
        return True


class Lines(Progress):
    """One line per blob, when it is finished."""

    def __init__(self, verb: str, subject: str, total: int | None, stream: TextIO) -> None:
        super().__init__(verb, subject, total)
        self._screen = Screen(stream)

    def done(self, sentence: str, *, digest: str | None = None) -> None:
        super().done(sentence)
        moved = self.offset - self.resumed_at
        took = span_text(time.monotonic() - self.began_s)
        self.note(f"{sentence} ({size_text(moved)} in {took})")

    def note(self, sentence: str) -> None:
        self._screen.write(f"{escaped(sentence)}\n")


class Bar(Lines):
    """A line that is redrawn, and gone when the work is."""

    _stands = False

    def clear(self) -> None:
        if self._stands:
            self._stands = False
            self._screen.write(_ERASE)

    def note(self, sentence: str) -> None:
        self.clear()
        super().note(sentence)

    def _event(self, event: str, offset: int) -> None:
        super()._event(event, offset)
        if self._is_due(_BAR_INTERVAL_S):
            self._stands = True
            self._screen.write(f"\r{self.drawn(columns(self._screen.stream))}\x1b[K")

    def drawn(self, columns: int) -> str:
        """Draw the line so that it fits."""
        name = f"{self.verb} {self.subject}"
        return drawn(name, self.offset, self.total, self.bytes_per_second, columns=columns)


class Events(Lines):
    """JSON lines, of which `docs/cli.md` has the schema."""

    def done(self, sentence: str, *, digest: str | None = None) -> None:
        self._emit("end", digest=digest)

    def note(self, sentence: str) -> None:
        """Say nothing: the events have the facts."""

    def _event(self, event: str, offset: int) -> None:
        super()._event(event, offset)
        if self._is_due(_EVENT_INTERVAL_S) or event != "progress":
            self._emit(event)

    def _emit(self, event: str, *, digest: str | None = None) -> None:
        from json import dumps  # noqa: PLC0415 - for this kind of progress only

        record = {
            "event": event,
            "verb": self.verb,
            "subject": self.subject,
            "ref": self.ref,
            "offset": self.offset,
            "total": self.total,
            "digest": digest,
            "time": time_text(time.time_ns()),
        }
        self._screen.write(f"{dumps(record)}\n")


def progress_of(
    mode: str, verb: str, subject: str, *, total: int | None = None, elsewhere: str = "lines"
) -> Progress:
    """Choose how to report; `auto` is a bar on a terminal and `elsewhere` anywhere else."""
    if mode == "auto":
        mode = "bar" if can_redraw(sys.stderr) else elsewhere
    match mode:
        case "bar":
            return Bar(verb, subject, total, sys.stderr)
        case "lines":
            return Lines(verb, subject, total, sys.stderr)
        case "jsonl":
            return Events(verb, subject, total, sys.stderr)
        case _:
            return Progress(verb, subject, total)


def drawn(
    name: str, offset: int, total: int | None, bytes_per_second: float | None, *, columns: int
) -> str:
    """Draw how far something is so that it fits into a line; what matters least goes first."""
    size = size_text(offset)
    parts = [] if bytes_per_second is None else [f"{size_text(int(bytes_per_second))}/s"]
    if total:
        share = min(offset / total, 1.0)
        parts = [f"{share:4.0%}", f"{size} of {size_text(total)}", *parts]
    else:
        parts = [size, *parts]
    left = total - offset if total else 0
    if left > 0 and bytes_per_second and bytes_per_second > 1:
        parts.append(f"{clock_text(left / bytes_per_second)} left")
    while len(parts) > 1 and len("  ".join(parts)) >= columns:
        parts.pop()
    text = "  ".join(parts)
    room = columns - 1 - len(text) - 2
    name = escaped(name)
    if room >= 8:  # noqa: PLR2004 - less than that names nothing
        name = name if len(name) <= room else f"{name[: room - 3]}..."
        text = f"{name}  {text}"
    return text[: max(columns - 1, 0)]
