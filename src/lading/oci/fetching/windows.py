"""Ranges of one blob, loaded side by side and given out in order.

    written      | the stream        | the window: at most WINDOW_LIMIT bytes in memory
    ------------ | ----------------> | range ###> | range #####> | range #> | ...
                 offset              start

Where one connection is slow, several are faster. What comes too early waits in memory, and nothing
is written that has a gap before it, so an ingest is resumed at its offset whatever was under way. A
range that is lost is nobody's any more: it becomes a gap, which whoever reads the window has to
fill as they would without one, with all their patience, and the ranges after it stay.
"""

import contextlib
import threading
from collections import deque
from time import monotonic

from lading.errors import ConnectionFailed
from lading.oci.fetching.ranges import part_of
from lading.oci.fetching.turns import Source
from lading.oci.fetching.watch import Body
from lading.oci.transport.patience import Patience

WINDOW_LIMIT = 20 << 20
"""Bytes behind the written ones that a window may reach."""
RANGE_LIMIT = 8 << 20
"""Bytes of one range."""
_WORTH_GOING_ON = 256 << 10
"""With so many bytes from a connection that broke, a range is asked for again, at once."""
_TAKEN = 256 << 10
_ENDING_S = 1.0
"""How long threads are waited for that have been told to end. They only wait for a connection to be
made, and end after that."""


class _Range:
    """Some bytes, as far as they are here."""

    def __init__(self, start: int, end: int) -> None:
        self.position, self.end = start, end
        self.pieces: deque[bytes] = deque()
        self.is_lost = False

    def take(self) -> bytes:
        """Some of what is here: small pieces together, since small writes cost as much."""
        taken, size = [], 0
        while self.pieces and size < _TAKEN:
            taken.append(self.pieces.popleft())
            size += len(taken[-1])
        return b"".join(taken)


class Window:
    """Made, read and closed by one thread; it has others for its ranges."""

    def __init__(
        self,
        source: Source,
        start: int,
        total: int,
        *,
        size: int,
        streams: int,
        patience: Patience,
    ) -> None:
        """`size` is that of one range; with `streams` of them it has to be within the limit."""
        self.source = source
        self.start = start
        """Where what it has, or will have, begins. What is before is for somebody else to bring."""
        self.failure: BaseException | None = None
        """Why a range was lost; after that no new ones are begun."""
        self.has_no_ranges = False
        """Whether that was because the source does not serve them as it should."""
        self._total, self._patience = total, patience
        self.reached = start
        """Where the bytes end that were asked for so far."""
        self._size = size
        self._ranges: deque[_Range] = deque()
        guard = threading.Lock()
        self._changed = threading.Condition(guard)
        """Whoever reads waits for this."""
        self._freed = threading.Condition(guard)
        """The threads wait for this: room, or the end."""
        self._is_proven = self._is_closed = False
        self._has_stream = True  # whoever reads has a connection of their own as well
        self._streams, self._active = streams, 0
        self._bodies: set[Body] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"range-{number}", daemon=True)
            for number in range(streams)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to be read from it."""
        with self._changed:
            return not self._ranges and self._has_all

    @property
    def is_hopeless(self) -> bool:
        """Whether the first answers were failures, so that it will have nothing."""
        with self._changed:
            return self.failure is not None and not self._is_proven

    def prove(self) -> bool:
        """Wait for the first answer; say whether ranges are served at all."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_proven or self.failure is not None)
            return self._is_proven

    def read(self) -> bytes:
        """The bytes at `start`; none at the end, or where that range was lost: then there is a gap
        up to the new `start`.
        """
        with self._changed:
            self._set_streaming(has_stream=False)
            while True:
                if self._ranges:
                    head = self._ranges[0]
                    if head.pieces:
                        data = head.take()
                        self.start += len(data)
                        if self._has_room:
                            self._freed.notify_all()
                        return data
                    if head.position == head.end or head.is_lost:
                        self._ranges.popleft()
                        self.start = head.end
                        if head.is_lost:
                            self._set_streaming(has_stream=True)
                            return b""
                        continue
                elif self._has_all:
                    return b""
                self._changed.wait()

    def close(self) -> None:
        """End it, and every connection it has. Safe to call twice."""
        with self._changed:
            self._is_closed = True
            self._ranges.clear()
            self._freed.notify_all()
            bodies = list(self._bodies)
        for body in bodies:
            body.cut()
        deadline = monotonic() + _ENDING_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    @property
    def _has_all(self) -> bool:
        return self.reached >= self._total or self.failure is not None or self._is_closed

    def _set_streaming(self, *, has_stream: bool) -> None:
        if self._has_stream != has_stream:
            self._has_stream = has_stream
            self._freed.notify_all()

    def _work(self) -> None:
        while (mine := self._begin()) is not None:
            try:
                self._load(mine)
            except BaseException as failure:  # noqa: BLE001 - whoever reads raises it
                self._lose(mine, failure)
            finally:
                with self._changed:
                    self._active -= 1
                    self._tell_all()

    def _begin(self) -> _Range | None:
        """The next range, as soon as there is room for it; None when there will be none."""
        with self._changed:
            self._freed.wait_for(lambda: self._has_all or self._has_room)
            if self._has_all:
                return None
            mine = _Range(self.reached, min(self.reached + self._size, self._total))
            self.reached = mine.end
            self._ranges.append(mine)
            self._active += 1
            return mine

    @property
    def _has_room(self) -> bool:
        end = min(self.reached + self._size, self._total)
        return end - self.start <= WINDOW_LIMIT and self._active < self._streams - self._has_stream

    def _load(self, mine: _Range) -> None:
        while mine.position < mine.end:
            before = mine.position
            failure = ConnectionFailed(self.source.name, "it gave less than it was asked for")
            try:
                self._load_from_one_connection(mine)
            except ConnectionFailed as broken:
                failure = broken
            if mine.position < mine.end and (
                self.has_no_ranges or mine.position - before < _WORTH_GOING_ON
            ):
                raise failure

    def _load_from_one_connection(self, mine: _Range) -> None:
        response = self.source.origin.open(mine.position, mine.end)
        try:
            part = part_of(response, mine.position, mine.end, self._total)
            if part.start != mine.position:
                raise ConnectionFailed(self.source.name, "it serves no ranges")  # noqa: TRY301 - as if `part_of` said it
        except ConnectionFailed:
            self.has_no_ranges = True
            response.close()
            raise
        with contextlib.closing(Body(response, part, self._patience)) as body:
            with self._changed:
                self._bodies.add(body)
                self._is_proven = True
                self._changed.notify_all()
            try:
                while not self._is_closed and (data := body.read()):
                    with self._changed:
                        mine.pieces.append(data)
                        mine.position += len(data)
                        if self._ranges and self._ranges[0] is mine:
                            self._changed.notify()  # whoever reads; all others wait for room
            finally:
                with self._changed:
                    self._bodies.discard(body)
        if self._is_closed:
            mine.position = mine.end

    def _lose(self, mine: _Range, failure: BaseException) -> None:
        with self._changed:
            mine.is_lost = True
            self.failure = self.failure or failure
            self._tell_all()

    def _tell_all(self) -> None:
        self._changed.notify_all()
        self._freed.notify_all()
