"""Progress: what each kind shows, and that it never harms the work."""

import errno
import io
import json
import os

import pytest

from lading.cli import progress as module
from lading.cli.progress import Bar, Events, Lines, Progress, progress_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def time_ns(self):
            return int(self.now * 1e9)

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("mode", "terminal", "term", "kind"),
    [
        ("auto", True, "xterm", Bar),
        ("auto", True, "dumb", Lines),
        ("auto", True, "", Lines),
        ("auto", False, "xterm", Lines),
        ("bar", False, "dumb", Bar),
        ("lines", True, "xterm", Lines),
        ("jsonl", True, "xterm", Events),
        ("none", True, "xterm", Progress),
    ],
)
def test_the_kind_is_the_one_asked_for_or_what_the_terminal_can_do(
    monkeypatch, mode, terminal, term, kind
):
    monkeypatch.setattr("sys.stderr", Terminal() if terminal else io.StringIO())
    monkeypatch.setenv("TERM", term)
    assert type(progress_of(mode, "ingest", "layer")) is kind


def test_off_a_terminal_a_verb_may_be_silent(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(progress_of("auto", "get", "layer", elsewhere="none")) is Progress


def test_a_line_is_one_line_when_it_is_done(clock):
    stream = io.StringIO()
    with Lines("ingest", "layer", None, stream) as progress:
        progress(0)
        progress(1500)
        assert stream.getvalue() == ""
        clock.now += 2
        progress.done("stored sha256:abc", digest="sha256:abc")
    assert stream.getvalue() == "stored sha256:abc (1.5 kB in 2.0 s)\n"


def test_what_was_there_is_told_once_and_not_counted(clock):
    stream = io.StringIO()
    progress = Lines("ingest", "layer", None, stream)
    progress.going_on = "{} bytes spared"
    progress(1000)
    progress(2000)
    progress(3000)
    progress.done("stored D", digest="D")
    assert stream.getvalue() == "1000 bytes spared\nstored D (2 kB in 0.0 s)\n"


def test_what_was_there_is_told_even_if_nothing_was_missing(clock):
    stream = io.StringIO()
    progress = Lines("ingest", "layer", None, stream)
    progress.going_on = "{} bytes spared"
    progress(1000)
    progress.done("stored D", digest="D")
    assert stream.getvalue() == "1000 bytes spared\nstored D (0 B in 0.0 s)\n"


def test_starting_over_is_told(clock):
    stream = io.StringIO()
    progress = Lines("ingest", "layer", None, stream)
    for offset in (1000, 2000, 0, 500):
        progress(offset)
    progress.done("stored D", digest="D")
    assert progress.resumed_at == 0
    assert stream.getvalue() == (
        "1000 bytes are there already\nstarting over at 0\nstored D (500 B in 0.0 s)\n"
    )


def test_a_bar_is_drawn_over_and_gone_at_the_end(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    with Bar("ingest", "layer", 2000, stream) as progress:
        progress(0)
        clock.now += 1
        progress(500)
        progress(501)  # too soon after the one before to be drawn
        clock.now += 1
        progress(1000)
    first, *drawn, last = stream.getvalue().split("\r")
    assert (first, last) == ("", "\x1b[K")
    assert drawn == [
        "ingest layer    0%  0 B of 2 kB  0 B/s\x1b[K",
        "ingest layer   25%  500 B of 2 kB  500 B/s  0:03 left\x1b[K",
        "ingest layer   50%  1 kB of 2 kB  500 B/s  0:02 left\x1b[K",
    ]


def test_a_bar_is_gone_before_an_error_is_printed(clock):
    stream = io.StringIO()

    def fail():
        with Bar("get", "layer", 9, stream) as progress:
            progress(1)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_bar_without_a_total_counts(clock):
    progress = Bar("ingest", "stdin", None, io.StringIO())
    progress(0)
    clock.now += 2
    progress(3000)
    assert progress.drawn(80) == "ingest stdin  3 kB  1.5 kB/s"


@pytest.mark.parametrize("columns", range(60))
def test_a_bar_fits_any_terminal(clock, columns):
    progress = Bar("ingest", "a-name-that-is-long\x1b[2J" * 3, 10**12, io.StringIO())
    progress(10)
    clock.now += 1
    progress(10**9)
    drawn = progress.drawn(columns)
    assert len(drawn) <= max(columns - 1, 0)
    assert drawn.isprintable()


def test_more_than_the_total_is_not_more_than_all(clock):
    progress = Bar("ingest", "layer", 10, io.StringIO())
    progress(0)
    progress(20)
    assert "100%" in progress.drawn(80)


def test_an_empty_total_is_no_division_by_zero(clock):
    progress = Bar("ingest", "layer", 0, io.StringIO())
    progress(0)
    assert progress.drawn(80) == "ingest layer  0 B  0 B/s"


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_events_begin_go_on_and_end(clock):
    stream = io.StringIO()
    progress = Events("ingest", "layer\n", 4000, stream)
    progress(1000)
    progress(1001)  # too soon after the one before
    clock.now += 1
    progress(2000)
    progress(0)
    progress.done("stored sha256:abc", digest="sha256:abc")
    assert [(event["event"], event["offset"]) for event in events(stream)] == [
        ("begin", 1000),
        ("progress", 2000),
        ("truncate", 0),
        ("end", 0),
    ]
    assert events(stream)[-1] == {
        "event": "end",
        "verb": "ingest",
        "subject": "layer\n",
        "ref": None,
        "offset": 0,
        "total": 4000,
        "digest": "sha256:abc",
        "time": "1970-01-01T00:16:41.000000000Z",
    }


def test_several_transfers_are_reported_one_by_one(clock):
    stream = io.StringIO()
    with Events("verify", "", None, stream) as progress:
        for name, size in (("a", 5), ("b", 3)):
            progress.turn_to(name, size)
            progress(0)
            progress(size)
            progress.done(f"good {name}", digest=name)
    assert [(event["event"], event["subject"], event["offset"]) for event in events(stream)] == [
        ("begin", "a", 0),
        ("end", "a", 5),
        ("begin", "b", 0),
        ("end", "b", 3),
    ]


@pytest.mark.parametrize("kind", [Lines, Bar, Events])
def test_a_stderr_that_is_full_or_closed_does_not_stop_the_work(clock, kind):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        with kind("ingest", "layer", 10, stream) as progress:
            progress(0)
            progress(10)
            progress.done("stored D", digest="D")
        assert progress.offset == 10
