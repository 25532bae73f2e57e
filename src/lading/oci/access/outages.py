"""Outages: which hosts did not answer lately, so that nobody waits for them each time."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

LASTS = timedelta(minutes=1)
"""How long a host that failed is asked after the others."""


class Outages:
    """What failed, and when. Any method may be called from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}
        self._guard = threading.Lock()

    def begin(self, url: str) -> None:
        """It does not answer."""
        with self._guard:
            self._began[url] = self._clock()

    def end(self, url: str) -> None:
        """It answers."""
        with self._guard:
            self._began.pop(url, None)

    def has(self, url: str) -> bool:
        """Whether it did not answer lately."""
        with self._guard:
            began = self._began.get(url)
            return began is not None and self._clock() - began < LASTS.total_seconds()
