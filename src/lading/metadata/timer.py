"""Collections by themselves, in a thread: after deletions and changes, and when things end.

A daemon that is idle collects, too: the timer looks up when the next lease or ingest ends, and what
other processes have deleted.
"""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from lading.content.collection import Collection
from lading.content.events import (
    BlobCreated,
    BlobDeleted,
    Event,
    Events,
    ImageCreated,
    ImageDeleted,
    ImageUpdated,
    LeaseCreated,
    LeaseDeleted,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
)
from lading.errors import Error, Unavailable
from lading.metadata.schedule import NEVER_NS, Schedule, Thresholds, in_ns

_LOG = logging.getLogger(__name__)
_DELETIONS = (BlobDeleted, ImageDeleted, ImageUpdated, LeaseDeleted, NamespaceDeleted)
_CHANGES = (BlobCreated, ImageCreated, LeaseCreated, NamespaceCreated, NamespaceUpdated)


class Collects(Protocol):
    """What the timer needs of a `Collector`."""

    def collect(self) -> Collection: ...
    def due_ns(self, since_ns: int, *, deletions: int) -> int | None: ...


class CollectionTimer:
    """Collects from `start`, or inside its `with` block, until it is closed.

    A collection that fails is logged, and tried again at the next poll. `last` is what the last
    one did.
    """

    def __init__(
        self,
        collector: Collects,
        events: Events,
        thresholds: Thresholds | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.last: Collection | None = None
        self._collector, self._clock = collector, clock
        self._thresholds = thresholds or Thresholds()
        self._changed = threading.Condition()
        self._open = True
        self._since_ns = 0
        self._poll_ns = 0
        self._schedule = Schedule(self._thresholds, clock())
        self._subscription = events.subscribe(self._hear)
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="lading collector", daemon=True)
        self._thread.start()
        return self

    def trigger(self) -> None:
        """Have the next collection come as soon as the pause allows."""
        with self._changed:
            self._schedule.end_at(self._clock())
            self._changed.notify()

    def close(self) -> None:
        """Stop, after the collection that runs. Safe to call twice."""
        self._subscription.close()
        with self._changed:
            self._open = False
            self._changed.notify()
        if self._thread not in {None, threading.current_thread()}:
            self._thread.join()

    def step(self, now_ns: int) -> int:
        """Do what is due at `now_ns`; say when to come again.

        The thread calls this again and again; coming too early does no harm.
        """
        if now_ns >= self._poll_ns:
            self._look(now_ns)
        with self._changed:
            if now_ns >= self._schedule.due_ns:
                self._schedule.begin()
            else:
                return min(self._schedule.due_ns, self._poll_ns)
        self._collect(now_ns)
        return now_ns

    # Inside

    def _collect(self, now_ns: int) -> None:
        began_ns, failed = time.monotonic_ns(), True
        try:
            self.last = self._collector.collect()
        except Unavailable:
            pass  # somebody else collects, which does as well
        except Error:
            _LOG.exception("a collection failed")
        else:
            self._since_ns, failed = now_ns, bool(self.last.failed)
        took_ns = time.monotonic_ns() - began_ns
        with self._changed:
            self._schedule.end(now_ns + took_ns, took_ns, failed=failed)
        self._poll_ns = now_ns  # what ends next is another thing now

    def _look(self, now_ns: int) -> None:
        self._poll_ns = now_ns + in_ns(self._thresholds.poll)
        try:
            deletions = max(1, self._thresholds.deletions)
            due_ns = self._collector.due_ns(self._since_ns, deletions=deletions)
        except Error:
            _LOG.exception("cannot see when the next collection is due")
            return
        with self._changed:
            self._schedule.end_at(NEVER_NS if due_ns is None else due_ns)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, _DELETIONS + _CHANGES):
            return  # it changes nothing, or is what a collection did
        now_ns = self._clock()
        with self._changed:
            before = self._schedule.due_ns
            if isinstance(event, _DELETIONS):
                self._schedule.delete(now_ns)
            else:
                self._schedule.mutate(now_ns)
            if not isinstance(event, (BlobCreated, BlobDeleted)):  # of which there may be many
                self._poll_ns = min(self._poll_ns, now_ns)  # a lease may end before all others
            if self._schedule.due_ns < before or self._poll_ns <= now_ns:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._open:
                    return
                wait_ns = min(self._schedule.due_ns, self._poll_ns) - self._clock()
                if wait_ns > 0:
                    self._changed.wait(wait_ns / 1e9)
                if not self._open:
                    return
            self.step(self._clock())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
