"""Calls that are being answered: bounded, and none can keep the others waiting for ever.

Each call has a thread while it lasts. There are so many threads and no more; while they are all
taken, the calls whose clients have been silent longest are cancelled. A client loses nothing but
its stream: what it wrote is kept at its offset.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from lading.rpc.http2.stream import Stream

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.05
NEW_SECONDS = 0.25
"""How long a client may take to its first message while others wait for a thread."""
SILENT_SECONDS = 1.0
"""The same between two messages."""
Item = TypeVar("Item")


class Watch:
    """One call: whether it waits for its client, and since when."""

    __slots__ = ("context", "has_heard", "is_endless", "since")

    def __init__(self, context: Stream) -> None:
        self.context = context
        self.has_heard = False
        self.since: float | None = None
        """When it began to wait, by the monotonic clock; None while it works."""
        self.is_endless = False
        """Whether it goes on until somebody ends it, so that a server that stops need not wait."""

    def first(self, messages: Iterator[Item]) -> Item | None:
        """Give a client's first message, which is waited for; None where it sends none."""
        self.since = time.monotonic()
        message = next(messages, None)
        self.since, self.has_heard = None, message is not None
        return message

    def heard(self, messages: Iterable[Item]) -> Iterator[Item]:
        """Pass a client's messages on, and know when they are waited for."""
        iterator = iter(messages)
        while True:
            self.since = time.monotonic()
            try:
                message = next(iterator)
            except StopIteration:
                self.since = None
                return
            self.since, self.has_heard = None, True
            yield message

    def said(self, answers: Iterable[Item]) -> Iterator[Item]:
        """Pass answers on, and know when the client does not take them."""
        for answer in answers:
            self.since = time.monotonic()
            yield answer
            self.since = None

    def has_been_silent(self, now: float) -> float:
        """By how many seconds the client has used up its time; below 0 if it has not."""
        since = self.since
        if since is None:
            return -1.0
        return now - since - (SILENT_SECONDS if self.has_heard else NEW_SECONDS)


class Calls:
    """Every call that a server is answering. Any method may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._watches: set[Watch] = set()

    def enter(self, context: Stream) -> Watch:
        """Watch a call, until it is left."""
        watch = Watch(context)
        with self._guard:
            self._watches.add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        """Watch a call no more."""
        with self._guard:
            self._watches.discard(watch)

    def shed(self, count: int, now: float | None = None) -> int:
        """Cancel at most `count` calls, those first whose clients have been silent longest."""
        moment = time.monotonic() if now is None else now
        with self._guard:
            silent = [
                (seconds, watch)
                for watch in self._watches
                if (seconds := watch.has_been_silent(moment)) >= 0
            ]
            silent.sort(key=lambda each: each[0], reverse=True)
            going = [watch for _, watch in silent[:count]]
            self._watches.difference_update(going)
        for watch in going:
            watch.context.cancel()
        if going:
            _LOG.warning("cancelled %d calls of silent clients: all threads are taken", len(going))
        return len(going)

    def end_endless(self) -> None:
        """Cancel the calls that would not end by themselves."""
        with self._guard:
            going = [watch for watch in self._watches if watch.is_endless]
        for watch in going:
            watch.context.cancel()

    def __len__(self) -> int:
        with self._guard:
            return len(self._watches)


class Workers(ThreadPoolExecutor):
    """The threads that answer calls. While some call waits for one, silent clients are shed."""

    def __init__(self, limit: int, calls: Calls) -> None:
        super().__init__(limit, thread_name_prefix="lading call")
        self._limit, self._calls = limit, calls
        self._changed = threading.Condition()
        self._taken = 0
        self._open = True
        self._shedder: threading.Thread | None = None

    @property
    def are_wanted(self) -> bool:
        """Whether there is more to do than there are threads."""
        return self._taken > self._limit

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Answer a call as soon as a thread is free."""
        future = super().submit(fn, *args, **kwargs)
        with self._changed:
            self._taken += 1
            if self._taken > self._limit:
                if self._shedder is None:
                    self._shedder = threading.Thread(
                        target=self._shed, name="lading shedder", daemon=True
                    )
                    self._shedder.start()
                self._changed.notify()
        future.add_done_callback(self._ended)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the class above has it
        """Let no more calls in."""
        with self._changed:
            self._open = False
            self._changed.notify()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _ended(self, _: Future[Any]) -> None:
        with self._changed:
            self._taken -= 1

    def _shed(self) -> None:
        while True:
            with self._changed:
                while self._open and self._taken <= self._limit:
                    self._changed.wait()
                if not self._open:
                    return
                waiting = self._taken - self._limit
            # A few at a time: among many who have just come there is one who is about to speak.
            self._calls.shed(min(waiting, max(1, self._limit // 4)))
            with self._changed:
                self._changed.wait(_LOOK_SECONDS)
