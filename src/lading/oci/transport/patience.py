"""How long to wait for the other end, and how often to ask again."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits, and the means to wait: `sleep` and `random` are arguments so that tests need none."""

    attempts: int = 5
    """How often one thing is tried, all in all, while nothing of it moves. What moves some bytes
    has all its attempts again."""
    first_pause: timedelta = timedelta(milliseconds=500)
    longest_pause: timedelta = timedelta(seconds=30)
    longest_asked: timedelta = timedelta(minutes=5)
    """The longest pause that a registry may ask for; one that asks for more is given up."""
    connect: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=30)
    """Without a byte for so long, a connection is given up."""
    least_rate: int = 1024
    """Bytes a second, over `idle`: a connection that is slower is given up, and tried anew."""
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def pause_s(self, attempt: int) -> float:
        """How long to wait after attempt number `attempt`, which is 1 at first: full jitter."""
        doubled: float = self.first_pause.total_seconds() * 2 ** min(attempt - 1, 30)
        ceiling = min(doubled, self.longest_pause.total_seconds())
        return ceiling * (0.5 + self.random() / 2)


def retry_after_s(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """What `Retry-After` asks for, in seconds from now; None without it. RFC 9110, 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now()).total_seconds())
