"""One thread that waits for what nobody else waits for.

A connection whose threads are all at work, or that has none, is watched here until something comes.
Most calls never get here: a thread that waits for its own client reads the connection by itself.
"""

import contextlib
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable
from typing import Protocol

_LOG = logging.getLogger(__name__)
_TICK_SECONDS = 1.0
SOON_SECONDS = 0.005
"""How long a connection is left to itself before it is watched."""


class Watched(Protocol):
    """What is watched."""

    def fileno(self) -> int:
        """Its socket."""

    def ready(self) -> None:
        """Called when something has come; it is not watched any more then. Must not wait."""


class Passed(Watched, Protocol):
    """What may be left alone for a while."""

    def left_alone(self) -> None:
        """Called when it was, and nobody has come back to it yet."""


class Poller:
    """Watches. `watch` and `leave` may be called from any thread."""

    def __init__(self, tick: Callable[[float], object]) -> None:
        """`tick` is called about once a second, with the monotonic time, between two rounds."""
        self._tick = tick
        self._selector = selectors.DefaultSelector()
        self._guard = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._alone: dict[Passed, int] = {}
        """What was left alone, and in which round."""
        self._rounds = 0
        self._sleeps = True
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="lading poller", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def watch(self, what: Watched, *, writes: bool = False) -> None:
        """Watch until something comes, or until room for writing, once."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0)
        with self._guard:
            if self._is_open:
                self._selector.register(what.fileno(), events, what)

    def watch_soon(self, what: Passed) -> None:
        """Have it called `left_alone` in some milliseconds, if it is not `back` before."""
        self._alone[what] = self._rounds
        if self._sleeps:
            with self._guard:
                if self._is_open:
                    self._wake()

    def back(self, what: Passed) -> None:
        """Somebody has come back."""
        self._alone.pop(what, None)

    def leave(self, what: Watched) -> None:
        """Watch it no more. It may be called `ready` once more, by a thread that is at it."""
        with self._guard:
            self._dropped(what.fileno(), what)

    def close(self) -> None:
        """End the thread. Safe to call twice."""
        with self._guard:
            if not self._is_open:
                return
            self._is_open = False
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _dropped(self, number: int, what: Watched | None) -> bool:
        """Whether it was watched, and is no more; called under the guard."""
        key = self._selector.get_map().get(number) if self._is_open and what else None
        if key is None or key.data is not what:
            return False
        self._selector.unregister(number)
        return True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        ticks_at = sleeps_at = time.monotonic() + _TICK_SECONDS
        while self._is_open:
            now = time.monotonic()
            # While calls come and go it looks every few milliseconds, and nobody need wake it.
            self._sleeps = now >= sleeps_at
            if self._alone:  # asked after it is said, so that whoever is left alone now is seen
                self._sleeps = False
            pause = ticks_at - now if self._sleeps else SOON_SECONDS
            events = self._selector.select(max(0.0, pause))
            self._sleeps = False
            with self._guard:
                # Somebody may have left meanwhile, and the number may be another's now.
                ready = [key.data for key, _ in events if self._dropped(key.fd, key.data)]
            if len(events) > len(ready):
                self._drain()
            for what in ready:
                self._call(what.ready)
            now = time.monotonic()
            if self._alone:
                sleeps_at = now + _TICK_SECONDS
                self._call(self._look)
            self._rounds += 1
            if now >= ticks_at:
                ticks_at = now + _TICK_SECONDS
                self._call(lambda: self._tick(time.monotonic()))

    def _look(self) -> None:
        """Go to those who were left alone in an earlier round."""
        for what, since in list(self._alone.items()):
            if since < self._rounds - 1 and self._alone.pop(what, None) is not None:
                self._call(what.left_alone)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 512)

    def _call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception:  # noqa: BLE001 - one connection's trouble must not end the only poller
            _LOG.exception("what came for a connection could not be taken")
