"""The steps of one blob, told to whoever asked for progress, and not too often."""

import time

from lading.content.transfer import REPORT_SECONDS, STEP
from lading.model.descriptor import Descriptor
from lading.oci.progress import Begun, Done, Found, Moved, Progress, Restarted, Waiting


class Steps:
    """Tells of one blob. Belongs to one thread."""

    def __init__(self, blob: Descriptor, progress: Progress) -> None:
        self._blob, self._progress = blob, progress
        self._told, self._told_at = 0, 0.0

    def found(self) -> None:
        """It was there."""
        self._progress(Found(self._blob))

    def begun(self, offset: int) -> None:
        """It begins to move."""
        self._told, self._told_at = offset, time.monotonic()
        self._progress(Begun(self._blob, offset))

    def moved(self, offset: int) -> None:
        """It holds so much now; said each `STEP`, or each `REPORT_SECONDS`."""
        now = time.monotonic()
        if offset - self._told >= STEP or now - self._told_at >= REPORT_SECONDS:
            self._told, self._told_at = offset, now
            self._progress(Moved(self._blob, offset))

    def arrived(self, offset: int) -> None:
        """It holds so much, and no more for a while, or for good."""
        if offset != self._told:
            self._told = offset
            self._progress(Moved(self._blob, offset))

    def restarted(self, reason: str) -> None:
        """It holds nothing any more."""
        self._told, self._told_at = 0, time.monotonic()
        self._progress(Restarted(self._blob, reason))

    def waiting(self, pause_s: float, reason: str) -> None:
        """Nothing happens for a while."""
        self._progress(Waiting(self._blob, pause_s, reason))

    def done(self, moved: int) -> None:
        """It is there."""
        self._progress(Done(self._blob, moved))
