"""Crew: threads that work on the parts of one transfer, and stop together.

    with Crew(progress, patience) as crew:
        crew.work(fetch, blobs, at_once=4)

They stop when the block is left by an error, such as a signal in the main thread; when one of them
fails; and when the function that is told of progress raises something. Whoever waits for the other
end of a connection, or for the end of a pause, does not wait any longer then. What is raised is
the failure that says most: never one that only came of stopping.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar
from weakref import WeakSet

from lading.errors import Error
from lading.oci.progress import Progress, Step
from lading.oci.transport.http import Response
from lading.oci.transport.patience import Patience
from lading.oci.transport.waits import Waits

Item = TypeVar("Item")
Result = TypeVar("Result")

ENDING_LIMIT = timedelta(seconds=2)
"""How long a crew that was stopped is waited for. Nothing but the opening of a connection, or a
disk, takes longer; and a thread that is left to itself there ends as soon as it comes back."""


class Stopped(Exception):
    """Raised in a thread of a crew, and never out of it, when the crew has been stopped.

    It is no `Error`, so that nobody takes it for one that could be tried again.
    """


class Crew:
    """Made by one thread, which leads it; the other methods are for any of its threads."""

    def __init__(
        self, progress: Progress, patience: Patience, *, ending: timedelta = ENDING_LIMIT
    ) -> None:
        self._ending = ending
        self.patience = replace(patience, sleep=self._pause)
        """The same, with pauses that end when the crew is stopped."""
        self._progress, self._sleep = progress, patience.sleep
        self._telling = threading.RLock()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._responses: WeakSet[Response] = WeakSet()
        self._waits = Waits()
        self._threads: list[threading.Thread] = []

    def work(
        self,
        do: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        at_once: int,
        meanwhile: Callable[[], object] | None = None,
        every: timedelta | None = None,
    ) -> list[Result]:
        """Do something with each item, several at once, and return what came of each, in order.

        The leader waits, and calls `meanwhile` as often as `every` says.
        """
        job = _Job(do, items)
        threads = [
            threading.Thread(target=self._take_part, args=(job,), daemon=True)
            for _ in range(min(at_once, len(job.items)))
        ]
        self._threads += threads
        pause_s = None if every is None else every.total_seconds()
        due_s = time.monotonic() + (pause_s or 0)
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with self._changed:
                if job.is_done or self._stopped.is_set():
                    break
                self._changed.wait(None if pause_s is None else max(0, due_s - time.monotonic()))
            if meanwhile is not None and pause_s is not None and time.monotonic() >= due_s:
                due_s = time.monotonic() + pause_s
                meanwhile()
        self.check()
        return [job.results[number] for number in range(len(job.items))]

    def tell(self, step: Step) -> None:
        """Tell of progress, as the only one who does so now."""
        with self._telling:
            self.check()
            try:
                self._progress(step)
            except BaseException as failure:
                self.stop(failure)
                raise Stopped from failure

    def watch(self, response: Response) -> Response:
        """Have a connection cut when the crew is stopped. Gives the same response."""
        with self._changed:
            self._responses.add(response)
        if self._stopped.is_set():
            response.close()
        self.check()
        return response

    def waiting(self) -> AbstractContextManager[None]:
        """What this thread waits for in the block ends with the crew, whosever thread it is."""
        return self._waits.of_this_thread()

    @property
    def is_stopped(self) -> bool:
        """Whether to come to an end: for work that has one nearby, where `check` would be rude."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Go on, or raise `Stopped`."""
        if self._stopped.is_set():
            raise Stopped

    def stop(self, failure: BaseException | None = None) -> None:
        """Stop all, because of a failure or for another reason. Waits for nobody."""
        with self._changed:
            if failure is not None:
                self._failures.append(failure)
            self._stopped.set()
            self._changed.notify_all()
            responses = list(self._responses)
        self._waits.cut()
        for response in responses:
            response.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        deadline = time.monotonic() + self._ending.total_seconds()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0, deadline - time.monotonic()))
        if isinstance(error, Stopped) and self._failures:
            raise min(self._failures, key=_says_little)

    def _take_part(self, job: "_Job[Item, Result]") -> None:
        try:
            with self.waiting():
                for number, item in job:
                    self.check()
                    job.results[number] = job.do(item)
        except Stopped:
            pass
        except BaseException as failure:  # noqa: BLE001 - the leader raises it
            # After a stop, what fails in a way that may be tried again failed by the stop.
            if not self._stopped.is_set() or _says_little(failure) <= 0:
                self.stop(failure)
        with self._changed:
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        if self._sleep is time.sleep:
            self._stopped.wait(seconds)
        else:
            self._sleep(seconds)
        self.check()


class _Job(Generic[Item, Result]):
    """Items, each of which is taken once, by whichever thread is free."""

    def __init__(self, do: Callable[[Item], Result], items: Iterable[Item]) -> None:
        self.do, self.items = do, list(items)
        self.results: dict[int, Result] = {}
        self._left = enumerate(self.items)
        self._guard = threading.Lock()

    @property
    def is_done(self) -> bool:
        return len(self.results) == len(self.items)

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        while True:
            with self._guard:
                taken = next(self._left, None)
            if taken is None:
                return
            yield taken


def _says_little(failure: BaseException) -> int:
    """Less for what says more: a signal, then what will not go away by itself.

    Of equals, the first is raised.
    """
    if not isinstance(failure, Exception):
        return -1
    return int(isinstance(failure, Error) and failure.retryable)
