"""Sizes, ages, times and durations, as people and programs read them."""

import re
from datetime import UTC, datetime, timedelta

from lading.errors import InvalidArgument

NANOSECONDS = 1_000_000_000

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_AGES = (
    # below this many seconds, counted in seconds of, the word
    (2 * _MINUTE, 1, "second"),
    (2 * _HOUR, _MINUTE, "minute"),
    (2 * _DAY, _HOUR, "hour"),
    (14 * _DAY, _DAY, "day"),
    (60 * _DAY, 7 * _DAY, "week"),
    (730 * _DAY, 30 * _DAY, "month"),
)
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_PART_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def size_text(size: int) -> str:
    """Write a number of bytes in at most four digits, in thousands, as `ctr` does."""
    amount = float(size)
    for unit in _SIZE_UNITS[:-1]:
        if amount < 999.95:  # noqa: PLR2004 - what still prints below 1000
            return f"{amount:.4g} {unit}"
        amount /= 1000
    return f"{amount:.4g} {_SIZE_UNITS[-1]}"


def age_text(then_ns: int, now_ns: int) -> str:
    """Write how long ago something was, in one word and a number."""
    seconds = (now_ns - then_ns) // NANOSECONDS
    if seconds < 1:
        return "less than a second"
    for limit, unit, word in _AGES:
        if seconds < limit:
            return counted(seconds // unit, word)
    return counted(seconds // (365 * _DAY), "year")


def time_text(nanoseconds: int) -> str | None:
    """Write a moment as ISO 8601 to the nanosecond; None for one beyond the calendar.

    A file system can hold such a time, and it must not stop a listing.
    """
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def span_text(seconds: float) -> str:
    """Write how long something took: `0.4 s`, `1:07`, `1:02:03`."""
    return f"{seconds:.1f} s" if seconds < 59.95 else clock_text(seconds)  # noqa: PLR2004 - prints as less than 60


def clock_text(seconds: float) -> str:
    """Write a span as a stop-watch does: `0:07`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def duration(text: str) -> timedelta:
    """Read `30s`, `5m`, `1h30m` or `250ms`, or raise `InvalidArgument`. A unit is required."""
    if text == "0":
        return timedelta()
    if not re.fullmatch(f"(?:{_DURATION_PART})+", text, re.ASCII):
        raise InvalidArgument(f"not a duration: {text!r}; write 30s, 5m or 1h30m")
    found = re.findall(_DURATION_PART, text, re.ASCII)
    try:
        parts = [(float(amount), _PART_UNITS[unit]) for amount, unit in found]
        return sum((timedelta(**{unit: amount}) for amount, unit in parts), timedelta())
    except OverflowError:
        raise InvalidArgument(f"{text!r} is longer than any wait") from None


def counted(count: int, word: str) -> str:
    """Write a number of things."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def span_until(then_ns: int | None, now_ns: int) -> str:
    """Write how far off the end of something is."""
    if then_ns is None:
        return "never"
    return "expired" if then_ns <= now_ns else f"in {age_text(now_ns, then_ns)}"
