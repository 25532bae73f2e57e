"""Patience: how long is waited, and what a registry may ask for."""

from datetime import UTC, datetime

import pytest

from lading.oci.transport.patience import Patience, retry_after_s

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_pauses_double_with_jitter_up_to_a_ceiling():
    low, high = Patience(random=lambda: 0.0), Patience(random=lambda: 1.0)
    assert [low.pause_s(attempt) for attempt in (1, 2, 3)] == [0.25, 0.5, 1]
    assert [high.pause_s(attempt) for attempt in (1, 2, 3)] == [0.5, 1, 2]
    assert high.pause_s(1000) == high.longest_pause.total_seconds()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("0", 0),
        ("Sat, 28 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 28 Nov 2026 11:00:30 GMT", 0),
        ("Sat, 28 Nov 2026 13:00:30 +0100", 30),
        ("Sat, 28 Nov 2026 12:00:30 -0000", 30),
        ("9" * 400, 999_999_999),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Sat, 28 Nov 99999999999999999999 12:00:30 GMT", None),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_until_a_date(text, seconds):
    assert retry_after_s({"Retry-After": text}, lambda: NOON) == seconds


def test_nothing_is_asked_for_without_the_header():
    assert retry_after_s({}, lambda: NOON) is None
