"""What the figures of the benchmarks rest on: whose turn it is, when, and what is made of it."""

import random

import pytest
from benchmarks.measuring import CpuTime, cpu_time, interleave, ratio, wait_for_idle, warm

STAT = "cpu  100 5 50 800 40 1 2 2 0 0\ncpu0 50 2 25 400 20 0 1 1 0 0\n"
IDLE, BUSY = 95, 10


def sampling(*idle_of_100):
    """A source of samples: in each window that many of 100 ticks were idle."""
    samples = [CpuTime(0, 0)]
    for idle in idle_of_100:
        samples.append(CpuTime(samples[-1].idle + idle, samples[-1].total + 100))
    return iter(samples).__next__


def test_waiting_for_the_disk_counts_as_idle():
    assert cpu_time(STAT) == CpuTime(idle=840, total=1000)


def test_the_idle_share_is_that_of_the_time_between_two_samples():
    assert CpuTime(150, 400).idle_share_since(CpuTime(100, 300)) == 0.5
    assert CpuTime(100, 300).idle_share_since(CpuTime(100, 300)) == 1.0


@pytest.mark.parametrize(
    ("windows", "attempts", "found", "pauses"),
    [
        pytest.param([IDLE], 3, True, 1, id="idle at once"),
        pytest.param([BUSY, BUSY, IDLE], 3, True, 3, id="idle in the end"),
        pytest.param([BUSY, BUSY, BUSY, IDLE], 3, False, 3, id="never in time"),
    ],
)
def test_waiting_ends_with_an_idle_window_or_after_the_last_attempt(
    windows, attempts, found, pauses
):
    paused = []
    waited = wait_for_idle(sampling(*windows), lambda: paused.append(1), attempts)
    assert (waited, len(paused)) == (found, pauses)


def test_a_kernel_that_does_not_tell_is_not_waited_for():
    assert wait_for_idle(lambda: None, lambda: None, attempts=1)


def test_each_contestant_has_one_turn_in_each_round():
    turns = []
    contestants = {name: lambda name=name: turns.append(name) or 1.0 for name in "abc"}
    interleave(contestants, rounds=4, order=random.Random(1))  # noqa: S311 - turns
    rounds = [turns[start : start + 3] for start in range(0, len(turns), 3)]
    assert len(rounds) == 5  # four that count, and the one ahead of them
    assert [sorted(one) for one in rounds] == [["a", "b", "c"]] * 5
    assert len({tuple(one) for one in rounds}) > 1


def test_the_first_round_does_not_count():
    seconds = iter([9.0, 1.0, 2.0]).__next__
    assert interleave({"a": seconds}, rounds=2) == {"a": [1.0, 2.0]}


def test_the_machine_is_prepared_ahead_of_every_turn():
    seen = []
    contestants = {name: lambda: seen.append("turn") or 1.0 for name in "ab"}
    interleave(contestants, rounds=2, before=lambda: seen.append("before"))
    assert seen == ["before", "turn"] * 6


def test_a_ratio_is_that_of_the_medians_and_not_the_median_of_ratios():
    found = ratio([2.0, 4.0, 30.0], [1.0, 4.0, 2.0])
    assert found.median == 2.0
    assert (found.lowest, found.highest) == (1.0, 15.0)


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0, 2.0], [1.0])


def test_no_memory_is_warmed_where_none_is_used():
    warm(0)  # mapping nothing would be an error of the system's
