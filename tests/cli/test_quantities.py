"""Sizes, ages, times and durations."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.quantities import (
    age_text,
    clock_text,
    duration,
    size_text,
    span_text,
    time_text,
)
from lading.errors import InvalidArgument

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1024, "1.024 kB"),
        (1500, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1 MB"),
        (1_234_567_890, "1.235 GB"),
        (10**21, "1 ZB"),
        (10**25, "1e+04 ZB"),
    ],
)
def test_sizes_are_written_in_four_digits_at_most(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "less than a second"),
        (0, "less than a second"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (2 * 86_400, "2 days"),
        (14 * 86_400, "2 weeks"),
        (60 * 86_400, "2 months"),
        (730 * 86_400, "2 years"),
    ],
)
def test_ages_are_a_number_and_a_word(seconds, text):
    assert age_text(0, seconds * SECOND) == text


def test_times_are_iso_to_the_nanosecond():
    assert time_text(0) == "1970-01-01T00:00:00.000000000Z"
    assert time_text(-1) == "1969-12-31T23:59:59.999999999Z"
    assert time_text(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"


@given(st.integers())
def test_no_time_of_a_file_system_is_too_far(nanoseconds):
    text = time_text(nanoseconds)
    assert text is None or text.endswith("Z")


def test_spans_are_what_a_stop_watch_shows():
    assert [span_text(seconds) for seconds in (0, 0.44, 59.9, 59.96, 67)] == [
        "0.0 s",
        "0.4 s",
        "59.9 s",
        "0:59",
        "1:07",
    ]
    assert clock_text(3723) == "1:02:03"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta()),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
    ],
)
def test_durations_are_read(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "s", "5 m", "-5s", "1e3s", "5m ", "٣s", "5y", "1..5s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(InvalidArgument, match="write 30s, 5m or 1h30m"):
        duration(text)


def test_a_duration_without_end_is_refused():
    with pytest.raises(InvalidArgument, match="longer than any wait"):
        duration("9" * 400 + "d")
    with pytest.raises(InvalidArgument, match="longer than any wait"):
        duration("999999999999d")


@given(st.text())
def test_any_text_is_a_duration_or_refused(text):
    with contextlib.suppress(InvalidArgument):
        assert duration(text) >= timedelta()
