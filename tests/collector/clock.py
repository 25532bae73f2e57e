"""Clock: time as an argument, and moments as labels write them."""

import time
from datetime import timedelta

from lading.content.store import time_of

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class Clock:
    """Stands still. Begins now, since the files of a test are of now."""

    def __init__(self):
        self.now_ns = time.time_ns()

    def __call__(self):
        return self.now_ns

    def pass_by(self, span):
        self.now_ns += span // timedelta(microseconds=1) * 1000

    def text(self, span):
        """The moment that comes in `span`, as a label has it."""
        return time_of(self.now_ns + span // timedelta(microseconds=1) * 1000).isoformat()
