"""Progress of many blobs: what each kind shows, and that it never harms the work."""

import errno
import io
import json
import os
import re
import threading

import pytest

from lading.cli import courses, transfers
from lading.cli.transfers import Transfers, _Bars, _Events, _Lines, transfer_progress
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.progress import (
    Begun,
    Done,
    Found,
    Mounted,
    Moved,
    Planned,
    Resolved,
    Restarted,
    Waiting,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (courses, transfers):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def _screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def blob(name, size):
    return Descriptor("application/vnd.gguf", Digest.of(name.encode()), size)


ONE, TWO, THREE = blob("one", 1000), blob("two", 3000), blob("three", 6000)
PLAN = [Planned(each) for each in (ONE, TWO, THREE)]


@pytest.mark.parametrize(
    ("mode", "terminal", "term", "kind"),
    [
        ("auto", True, "xterm", _Bars),
        ("auto", True, "dumb", _Lines),
        ("auto", False, "xterm", _Lines),
        ("bar", False, "dumb", _Bars),
        ("lines", True, "xterm", _Lines),
        ("jsonl", True, "xterm", _Events),
        ("none", True, "xterm", Transfers),
    ],
)
def test_the_kind_is_the_one_asked_for_or_what_the_terminal_can_do(
    monkeypatch, mode, terminal, term, kind
):
    monkeypatch.setattr("sys.stderr", Terminal() if terminal else io.StringIO())
    monkeypatch.setenv("TERM", term)
    assert type(transfer_progress(mode, "pull", "redis")) is kind


# What is counted.


def after(*steps):
    found = Transfers("pull", "redis")
    for step in steps:
        found(step)
    return found


def test_bytes_are_counted_once_whoever_moved_them():
    found = after(*PLAN, Found(ONE), Begun(TWO, 2000), Moved(TWO, 2500), Begun(THREE, 0))
    assert (found.total, found.offset, found.moved, found.spared) == (10_000, 3500, 500, 3000)


def test_a_retry_counts_nothing_twice():
    found = after(
        *PLAN,
        Begun(TWO, 0),
        Moved(TWO, 1000),
        Waiting(TWO, 1.0, "reset"),
        Begun(TWO, 1000),
        Moved(TWO, 3000),
        Done(TWO, 2000),
    )
    assert (found.offset, found.moved, found.spared) == (3000, 3000, 0)


def test_a_restart_counts_what_was_moved_twice_and_spares_nothing():
    found = after(*PLAN, Begun(TWO, 2000), Moved(TWO, 2500), Restarted(TWO, "wrong"))
    assert (found.offset, found.moved, found.spared) == (0, 500, 0)
    for step in (Moved(TWO, 3000), Done(TWO, 3000)):
        found(step)
    assert (found.offset, found.moved, found.spared) == (3000, 3500, 0)


def test_never_is_there_more_than_there_is_to_be():
    steps = [Planned(TWO), Begun(TWO, 0), Moved(TWO, 3000), Restarted(TWO, "wrong")]
    found = after(*steps, Moved(TWO, 3000), Done(TWO, 6000))
    assert found.offset == found.total == 3000


def test_a_blob_of_unknown_size_is_as_large_as_what_came():
    unknown = blob("unknown", 0)
    found = after(Planned(unknown), Begun(unknown, 0), Moved(unknown, 500))
    assert (found.total, found.offset) == (500, 500)


def test_a_blob_that_nobody_planned_counts_too():
    assert after(Begun(ONE, 0)).total == 1000


def test_what_is_there_and_what_is_not_is_known_by_blob():
    found = after(*PLAN, Found(ONE), Begun(TWO, 0), Moved(TWO, 3000), Mounted(THREE, "a/b"))
    assert (found.finished, found.unfinished) == ([ONE, THREE], [TWO])


def test_the_rate_is_the_one_of_the_last_seconds(clock):
    found = Transfers("pull", "redis")
    large = blob("large", 10_000_000)
    clock.now += 100  # in which it was asked what there is
    found(Begun(large, 0))
    assert found.bytes_per_second == 0
    for second in range(1, 21):
        clock.now += 1
        rate = 1000 if second <= 10 else 5000
        found(Moved(large, found.offset + rate))
        shown = found.bytes_per_second
        if second == 10:
            assert shown == 1000
    assert shown == 5000


def test_what_an_earlier_run_had_moved_is_no_rate(clock):
    found = Transfers("pull", "redis")
    found(Begun(THREE, 5000))
    assert found.bytes_per_second == 0
    clock.now += 1
    found(Moved(THREE, 5500))
    assert found.bytes_per_second == 500


# What is said in the end.


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([*PLAN, *(Done(each, each.size) for each in (ONE, TWO, THREE))], "10 kB in 2.0 s"),
        ([*PLAN, *map(Found, (ONE, TWO, THREE))], "10 kB, all there already"),
        (
            [*PLAN, Found(ONE), Found(TWO), Done(THREE, 6000)],
            "6 kB in 2.0 s; 4 kB of 10 kB were there already",
        ),
        (
            [*PLAN, Found(ONE), Begun(TWO, 2000), Done(TWO, 1000), Done(THREE, 6000)],
            "7 kB in 2.0 s; resumed: 3 kB of 10 kB were there",
        ),
    ],
)
def test_the_sum_says_what_was_moved_and_what_was_not(clock, steps, told):
    found = Transfers("pull", "redis:7")
    clock.now += 2
    for step in steps:
        found(step)
    assert found.sum() == f"pulled redis:7: 3 blobs, {told}"


def test_each_verb_has_its_word():
    words = {"push": "pushed", "copy": "copied", "fetch": "fetched", "import": "imported"}
    for verb, past in words.items():
        found = Transfers(verb, "x")
        found(Done(ONE, 1000))
        assert found.sum().startswith(f"{past} x: 1 blob, 1 kB in ")


# Lines.


def shown(kind, *steps, leave=True, clock=None, each_s=0.0):
    stream = io.StringIO()
    with kind("pull", "redis", stream) as found:
        for step in steps:
            if clock:
                clock.now += each_s
            found(step)
        if not leave:
            return stream.getvalue()
    return stream.getvalue()


def test_lines_are_one_for_each_blob_and_one_for_all(clock):
    steps = [Resolved("redis", ONE), *PLAN, Found(ONE), Begun(TWO, 0), Moved(TWO, 10)]
    text = shown(_Lines, *steps, Done(TWO, 3000), Mounted(THREE, "a/b"), clock=clock, each_s=1)
    assert text.splitlines() == [
        f"already there: {ONE.digest}",
        f"pulled {TWO.digest} (3 kB in 2.0 s)",
        f"mounted {THREE.digest} from a/b",
        "pulled redis: 3 blobs, 3 kB in 9.0 s; 7 kB of 10 kB were there already",
    ]


def test_lines_tell_of_what_does_not_go_smoothly(clock):
    steps = [Begun(TWO, 2000), Waiting(TWO, 1.5, "reset by peer"), Waiting(None, 2, "busy\x1b[2J")]
    text = shown(_Lines, *steps, Restarted(TWO, "wrong bytes"), Done(TWO, 3000))
    assert text.splitlines()[:-1] == [
        f"resuming {TWO.digest}, 2 kB of 3 kB are there",
        f"waiting 1.5 s for {TWO.digest}: reset by peer",
        "waiting 2.0 s for redis: busy\\x1b[2J",
        f"starting over {TWO.digest} at 0: wrong bytes",
        f"pulled {TWO.digest} (3 kB in 0.0 s)",
    ]


def test_a_failure_is_no_sum(clock):
    stream = io.StringIO()

    def fail():
        with _Lines("pull", "redis", stream) as found:
            found(Begun(ONE, 0))
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert stream.getvalue() == ""


def test_nothing_to_tell_is_nothing_told(clock):
    assert shown(_Lines) == shown(_Bars) == shown(_Events) == ""


def test_what_is_told_after_the_end_is_not_shown():
    stream = io.StringIO()
    with _Lines("pull", "redis", stream) as found:
        found(Done(ONE, 1000))
    before = stream.getvalue()
    found(Done(TWO, 3000))
    assert stream.getvalue() == before


# Bars.


def screen_after(text):
    """What a terminal shows after such a text: a small one of our own."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece.endswith("A") and piece.startswith("\x1b"):
            row = max(0, row - int(piece[2:-1]))
        elif piece == "\x1b[K":
            lines[row] = lines[row][:column]
        elif piece == "\x1b[J":
            lines[row] = lines[row][:column]
            del lines[row + 1 :]
        else:
            lines[row] = (
                lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            )
            column += len(piece)
    return lines


def test_bars_show_what_moves_and_the_sum(clock):
    steps = [*PLAN, Begun(TWO, 0), Begun(THREE, 3000), Moved(TWO, 1500), Moved(THREE, 4000)]
    lines = screen_after(shown(_Bars, *steps, leave=False, clock=clock, each_s=0.5))
    assert lines[:2] == [
        f"  {TWO.digest.hex[:12]}   50%  1.5 kB of 3 kB",
        f"  {THREE.digest.hex[:12]}   67%  4 kB of 6 kB",
    ]
    assert lines[2].startswith("pull redis   55%  5.5 kB of 10 kB  ")
    assert lines[2].endswith(" left")
    assert len(lines) == 3


def test_bars_go_when_their_blob_is_there_and_all_at_the_end(clock):
    steps = [*PLAN, Begun(TWO, 0), Begun(THREE, 0), Done(TWO, 3000), Moved(THREE, 1)]
    text = shown(_Bars, *steps, leave=False, clock=clock, each_s=0.5)
    assert len(screen_after(text)) == 2
    whole = shown(_Bars, *steps, Done(THREE, 6000), clock=clock, each_s=0.5)
    assert screen_after(whole) == ["pulled redis: 3 blobs, 9 kB in 4.0 s", ""]


def test_a_note_stands_above_the_bars(clock):
    steps = [Begun(TWO, 0), Moved(TWO, 10), Waiting(TWO, 1, "reset"), Moved(TWO, 20)]
    lines = screen_after(shown(_Bars, *steps, leave=False, clock=clock, each_s=0.5))
    assert lines[0] == f"waiting 1.0 s for {TWO.digest}: reset"
    assert len(lines) == 3


def test_bars_are_not_drawn_more_often_than_anybody_sees(clock):
    steps = [Begun(THREE, 0), *(Moved(THREE, number) for number in range(1000))]
    text = shown(_Bars, *steps, leave=False, clock=clock, each_s=0.001)
    assert text.count("pull redis") <= 12


def test_of_many_blobs_some_have_a_bar(clock):
    blobs = [blob(str(number), 1000) for number in range(20)]
    text = shown(_Bars, *(Begun(each, 0) for each in blobs), leave=False, clock=clock, each_s=1)
    lines = screen_after(text)
    assert len(lines) == 8
    assert lines[6] == "  and 14 more"


def test_bars_fit_a_low_terminal(clock, monkeypatch):
    monkeypatch.setenv("LINES", "3")
    blobs = [blob(str(number), 1000) for number in range(20)]
    text = shown(_Bars, *(Begun(each, 0) for each in blobs), leave=False, clock=clock, each_s=1)
    lines = screen_after(text)
    assert len(lines) == 2
    assert lines[1].startswith("pull redis")


@pytest.mark.parametrize("columns", range(1, 60, 3))
def test_bars_fit_any_terminal(clock, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    blobs = [blob(str(number), 10**12) for number in range(9)]
    steps = [step for each in blobs for step in (Begun(each, 0), Moved(each, 10**9))]
    text = shown(_Bars, *steps, leave=False, clock=clock, each_s=0.5)
    assert all(len(line) < max(columns, 2) for line in screen_after(text))


def test_bars_are_gone_before_an_error_is_printed(clock):
    stream = io.StringIO()

    def fail():
        with _Bars("pull", "redis", stream) as found:
            for each in (ONE, TWO):
                clock.now += 1
                found(Begun(each, 0))
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert screen_after(stream.getvalue()) == [""]


# Events.


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def test_events_have_the_facts(clock):
    steps = [Resolved("redis", ONE), Planned(TWO), Begun(TWO, 2000), Waiting(TWO, 1.25, "reset")]
    found = events(
        shown(_Events, *steps, Restarted(TWO, "wrong"), Done(TWO, 3000), Mounted(THREE, "a/b"))
    )
    facts = ("event", "digest", "offset", "total", "moved", "reason", "pause_ms")
    assert [tuple(event[fact] for fact in facts) for event in found] == [
        ("resolve", ONE.digest, 0, None, 0, None, None),
        ("plan", TWO.digest, 0, 3000, 0, None, None),
        ("begin", TWO.digest, 2000, 3000, 0, None, None),
        ("wait", TWO.digest, 2000, 3000, 0, "reset", 1250),
        ("truncate", TWO.digest, 0, 3000, 0, "wrong", None),
        ("end", TWO.digest, 3000, 3000, 3000, None, None),
        ("mount", THREE.digest, 6000, 6000, 0, "a/b", None),
        ("done", ONE.digest, 9000, 9000, 3000, None, None),
    ]
    assert {(event["verb"], event["subject"]) for event in found} == {("pull", "redis")}


def test_events_of_one_blob_come_now_and_then(clock):
    steps = [Begun(THREE, 0), *(Moved(THREE, number) for number in range(100))]
    found = events(shown(_Events, *steps, leave=False, clock=clock, each_s=0.01))
    assert [event["event"] for event in found] == ["begin", "progress", "progress"]


def test_two_blobs_are_told_of_as_often_as_one(clock):
    steps = [step for each in (TWO, THREE) for step in (Begun(each, 0), Moved(each, 5))]
    found = events(shown(_Events, *steps, leave=False))
    assert [event["event"] for event in found] == ["begin", "progress"] * 2


# Whatever happens to stderr, and whoever tells.


@pytest.mark.parametrize("kind", [_Lines, _Bars, _Events])
def test_a_stderr_that_is_full_or_closed_does_not_stop_the_work(clock, kind):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        with kind("pull", "redis", stream) as found:
            for step in (*PLAN, Begun(TWO, 0), Waiting(TWO, 1, "reset"), Done(TWO, 3000)):
                found(step)
        assert found.moved == 3000


@pytest.mark.parametrize("kind", [_Lines, _Bars, _Events])
def test_threads_may_tell_at_once(kind):
    stream = io.StringIO()
    blobs = [blob(str(number), 100) for number in range(40)]

    def tell(some):
        for each in some:
            found(Begun(each, 0))
            for offset in range(0, 101, 10):
                found(Moved(each, offset))
            found(Done(each, 100))

    with kind("pull", "redis", stream) as found:
        threads = [threading.Thread(target=tell, args=(blobs[each::4],)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found.offset == found.moved == found.total == 4000
    assert stream.getvalue()
