"""Whether one stream is enough, and the window of ranges that is opened where it is not.

On a fast link one connection carries all there is, and more of them cost. So the first stream is
measured, and only where it is slow are ranges loaded beside it, from a little before its end on.
It is cut at that point, and not earlier than the first range has been answered as a range.
"""

from lading.errors import ConnectionFailed, Error
from lading.oci.fetching.turns import Source
from lading.oci.fetching.watch import Body
from lading.oci.fetching.windows import RANGE_LIMIT, WINDOW_LIMIT, Window
from lading.oci.transport.patience import Patience

FAST_RATE = 48 << 20
"""Bytes a second at which one connection is enough."""
LEAST_RANGE = 512 << 10
_RANGE_S = 1.0
"""How long one range takes at the measured rate, unless that would be too much or too little."""


class Widening:
    """The window of one transfer, while there is one. Belongs to one thread."""

    def __init__(self, streams: int, patience: Patience) -> None:
        self.window: Window | None = None
        self._streams, self._patience = streams, patience
        self._is_told = False

    def limit(self, offset: int) -> int | None:
        """How many bytes a stream may bring before the window begins; None for all."""
        window = self.window
        if window is None:
            return None
        if window.is_hopeless or (window.start == offset and not window.prove()):
            # The stream is whole still, and goes on alone.
            self.narrow()
            return None
        return window.start - offset

    def consider(self, source: Source, body: Body, offset: int, total: int | None) -> None:
        """Open a window, if the stream that has come to `offset` is slow and that would help."""
        if self.window is not None or self._streams < 2 or total is None:  # noqa: PLR2004 - more than one
            return
        if body.rate is None or body.rate >= FAST_RATE or not source.has_ranges:
            return
        limit = min(RANGE_LIMIT, WINDOW_LIMIT // (self._streams + 2))
        size = max(LEAST_RANGE, min(limit, int(body.rate * _RANGE_S)))
        if total - offset >= 3 * size:
            self._is_told = False
            self.window = Window(
                source,
                offset + size,
                total,
                size=size,
                streams=self._streams,
                patience=self._patience,
            )

    def lost(self) -> Error | None:
        """What a range was lost by, said once for each window. What is no `Error` is raised.

        Who lets us have no ranges, or asks for a pause, is not asked for so much again.
        """
        window = self.window
        if window is None or window.failure is None or self._is_told:
            return None
        self._is_told = True
        if not isinstance(window.failure, Error):
            raise window.failure
        if window.has_no_ranges or not isinstance(window.failure, ConnectionFailed):
            self._streams = 1
        return window.failure

    def narrow(self) -> None:
        """Close the window, and open no other one."""
        self._streams = 1
        try:
            self.lost()
        finally:
            self.close()

    def close(self) -> None:
        """End all that is under way."""
        window, self.window = self.window, None
        if window is not None:
            window.close()
