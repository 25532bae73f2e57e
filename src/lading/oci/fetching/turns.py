"""Whom to ask next, when to pause, and when to give up.

The origins of a blob are asked in turn, each once, before anybody pauses. Each has its own attempts
and its own pauses, and none keeps another one waiting. One that says something final, such as
that it has no such blob, or whose attempts are spent, is not asked again. Whoever moves some bytes
has all attempts again: as long as a transfer gets on, it goes on.
"""

from collections.abc import Sequence
from typing import Protocol

from lading.errors import ConnectionFailed, Error, NotFound, Unavailable
from lading.oci.steps import Steps
from lading.oci.transport.http import Response
from lading.oci.transport.patience import Patience

RANGE_TRIALS = 2
"""How often an origin may answer a range with something else, before it is asked for none."""
_HOPED_FOR = 2


class Origin(Protocol):
    """Somewhere that a blob can be had from. Any thread may open it."""

    @property
    def name(self) -> str:
        """For sentences."""

    def open(self, start: int, end: int | None) -> Response:
        """Ask for the bytes from `start` to before `end`: by a `Range`, unless that is the whole.

        Any 2xx and a 416 are given back, whatever they contain. Raises our errors for the rest,
        and for no answer at all, at once: nothing is tried twice.
        """


class Source:
    """An origin, and what was learned of it in this transfer."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.failure: Error | None = None
        """The last one."""
        self.failures = 0
        """How often in a row it failed without moving anything."""
        self.due_s = 0.0
        """How long it is still to be left alone."""
        self.is_final = False
        self.has_contributed = False
        """Whether bytes that are in the ingest now came from here."""
        self.encodes = self.decodes = False
        """Whether it says that it compresses, and whether that is to be undone. See `encoding`."""
        self._trials = RANGE_TRIALS

    @property
    def name(self) -> str:
        """For sentences."""
        return self.origin.name

    @property
    def has_ranges(self) -> bool:
        """Whether it serves parts, as far as anybody knows."""
        return self._trials > 0

    def doubt_ranges(self) -> None:
        """Take note that a range was answered wrongly. Once can be an accident."""
        self._trials -= 1

    def forget_ranges(self) -> None:
        """Ask for none any more."""
        self._trials = 0


class Turns:
    """The sources of one transfer. Belongs to one thread."""

    def __init__(self, origins: Sequence[Origin], patience: Patience, steps: Steps) -> None:
        if not origins:
            raise ValueError("a transfer needs an origin")
        self._sources = [Source(origin) for origin in origins]
        self._patience, self._steps = patience, steps
        self._waiting = list(self._sources)
        """Those whose turn it is, in their order; the first one is asked now."""

    @property
    def current(self) -> Source:
        """Whom to ask now."""
        return self._waiting[0]

    @property
    def has_better(self) -> bool:
        """Whether another source, which may serve ranges, is worth a try before this one gives the
        whole. Those that failed are hoped for until they have failed twice.
        """
        return any(
            source.has_ranges and source.failures < _HOPED_FOR
            for source in self._usable
            if source is not self.current
        )

    def lost(self, failure: Error, *, has_moved: bool) -> None:
        """Go on to the next source, after a pause where none may be asked now.

        Raises the failure of whoever got furthest when there is no hope left.
        """
        source, patience = self.current, self._patience
        source.failure = failure
        source.failures = 0 if has_moved else source.failures + 1
        asked_s = getattr(failure, "retry_after_s", None) or 0.0
        source.due_s = max(patience.pause_s(max(1, source.failures)), asked_s)
        source.is_final = (
            not failure.retryable
            or source.failures >= patience.attempts
            or asked_s > patience.longest_asked.total_seconds()
        )
        self.pass_on()

    def pass_on(self) -> None:
        """Go on to the next source, though this one has not failed; its turn comes again."""
        del self._waiting[0]
        if not self._waiting:
            self._pause()

    def start_over(self) -> None:
        """Begin anew, with a source that has given nothing so far, if there is one."""
        # The sort is stable: among equals, whoever is first stays first.
        self._waiting = sorted(self._usable, key=lambda source: source.has_contributed)
        for source in self._sources:
            source.failures, source.due_s = 0, 0.0
            source.has_contributed = False
            source.decodes = source.encodes

    @property
    def _usable(self) -> list[Source]:
        return [source for source in self._sources if not source.is_final]

    def _pause(self) -> None:
        usable = self._usable
        if not usable:
            raise self._furthest()
        paused = [source for source in usable if source.due_s > 0]
        if paused:
            first = min(paused, key=lambda source: source.due_s)
            pause_s = first.due_s
            self._steps.waiting(pause_s, str(first.failure))
            self._patience.sleep(pause_s)
            for source in paused:
                source.due_s = max(0.0, source.due_s - pause_s)
        self._waiting = [source for source in usable if source.due_s == 0]

    def _furthest(self) -> Error:
        failures = [source.failure for source in self._sources if source.failure is not None]
        # The registry itself is last, and says more of a blob than a mirror.
        return max(reversed(failures), key=_distance)


def _distance(failure: Error) -> int:
    """How far whoever failed so had come."""
    match failure:
        case ConnectionFailed():
            return 0
        case NotFound():
            return 1
        case Unavailable():
            return 2
        case _:
            return 3
