"""Tickets: open files that wait a moment for whoever has the ticket."""

import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from lading.errors import NotFound, Unavailable
from lading.rpc.file_socket import new_ticket

SECONDS = 10.0
"""How long a file waits for its taker."""
LIMIT = 256
"""Files that wait at a time."""


class Tickets:
    """Each is good for one taking. Any method may be called from any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        limit: int = LIMIT,
        new: Callable[[], str] = new_ticket,
    ) -> None:
        """`new` makes the name of a ticket, which nobody may guess."""
        self._clock, self._limit, self._new = clock, limit, new
        self._guard = threading.Lock()
        self._waiting: dict[str, tuple[float, BinaryIO]] = {}

    def given(self, file: BinaryIO) -> str:
        """Keep a file, which is ours from now on, and give the ticket for it.

        Raises `Unavailable` while too many wait, and closes the file.
        """
        ticket = self._new()
        with self._guard:
            late = self._without_late()
            is_full = len(self._waiting) >= self._limit
            if not is_full:
                self._waiting[ticket] = self._clock() + SECONDS, file
        for each in [*late, *([file] if is_full else [])]:
            each.close()
        if is_full:
            raise Unavailable(f"{self._limit} files wait for their takers; try again in a moment")
        return ticket

    def taken(self, ticket: str) -> BinaryIO:
        """The file, once, which is then the caller's; `NotFound` for a ticket that is not good."""
        with self._guard:
            late = self._without_late()
            _, file = self._waiting.pop(ticket, (0, None))
        for each in late:
            each.close()
        if file is None:
            raise NotFound(ticket[:64], "ticket")
        return file

    def close(self) -> None:
        """Close what nobody has come for."""
        with self._guard:
            files = [file for _, file in self._waiting.values()]
            self._waiting.clear()
        for file in files:
            file.close()

    def __len__(self) -> int:
        with self._guard:
            return len(self._waiting)

    def _without_late(self) -> list[BinaryIO]:
        """Forget files that nobody has come for, which are then to be closed."""
        now = self._clock()
        late = [ticket for ticket, (until, _) in self._waiting.items() if until <= now]
        return [self._waiting.pop(ticket)[1] for ticket in late]
