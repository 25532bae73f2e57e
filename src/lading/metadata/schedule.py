"""When the next collection is due: containerd's thresholds, and the moments at which things end.

Time is an argument throughout, in nanoseconds of any clock that does not go back.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from lading.errors import InvalidArgument


@dataclass(frozen=True)
class Thresholds:
    """How eagerly to collect. The names and defaults are containerd's, `poll` apart."""

    pause: float = 0.02
    """The share of the time that collections may take, at most one half."""
    deletions: int = 0
    """So many deletions make a collection due; with 0 the first one does."""
    mutations: int = 100
    """So many changes make one due, if there was no deletion; with 0 they never do."""
    delay: timedelta = timedelta(0)
    """How long to wait after what made it due, since more may come."""
    startup: timedelta = timedelta(milliseconds=100)
    """How long after the start the first collection is due."""
    poll: timedelta = timedelta(minutes=1)
    """How often to look for what other processes did, and for what ends next."""

    def __post_init__(self) -> None:
        if not 0 < self.pause <= 0.5:  # noqa: PLR2004 - as said above
            raise InvalidArgument(f"a pause threshold of {self.pause}: write 0.5 or less, above 0")


_SHORTEST_NS = 5_000_000  # a collection is taken to last so long, however quick it was


NEVER_NS = 2**63 - 1


def in_ns(span: timedelta) -> int:
    """A span in nanoseconds, without rounding."""
    return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1000


@dataclass
class Schedule:
    """What has happened since the last collection, and so when the next one is due."""

    thresholds: Thresholds
    started_ns: int
    deletions: int = 0
    mutations: int = 0
    due_ns: int = field(init=False)
    """When to collect next, as far as is known. Never earlier than the pause allows."""
    _not_before_ns: int = field(init=False)
    _average_ns: int = 0

    def __post_init__(self) -> None:
        self._not_before_ns = self.started_ns
        self.due_ns = self.started_ns + in_ns(self.thresholds.startup)

    def delete(self, now_ns: int) -> None:
        """Something was deleted, and what it reached may have lost its last root."""
        self.deletions += 1
        if self.deletions >= self.thresholds.deletions:
            self._come(now_ns + in_ns(self.thresholds.delay))

    def mutate(self, now_ns: int) -> None:
        """Something was changed."""
        self.mutations += 1
        if 0 < self.thresholds.mutations <= self.mutations:
            self._come(now_ns + in_ns(self.thresholds.delay))

    def end_at(self, moment_ns: int) -> None:
        """Something ends at this moment: a lease, an idle ingest, a blob with an expiry."""
        self._come(moment_ns)

    def begin(self) -> None:
        """A collection begins: what happens from here on is for the next one."""
        self.deletions = self.mutations = 0
        self.due_ns = NEVER_NS

    def end(self, now_ns: int, took_ns: int, *, failed: bool) -> None:
        """A collection has ended; the pause after it grows with what collections take."""
        took_ns = max(took_ns, _SHORTEST_NS)
        self._average_ns = (self._average_ns + took_ns) // 2 if self._average_ns else took_ns
        pause_ns = int(self._average_ns / self.thresholds.pause - self._average_ns)
        if failed:
            pause_ns = max(pause_ns, in_ns(self.thresholds.poll))
        self._not_before_ns = now_ns + pause_ns
        self.due_ns = max(self.due_ns, self._not_before_ns)

    def _come(self, moment_ns: int) -> None:
        self.due_ns = max(min(self.due_ns, moment_ns), self._not_before_ns)
