"""When the next collection is due."""

from datetime import timedelta

import pytest

from lading.errors import InvalidArgument
from lading.metadata.schedule import NEVER_NS, Schedule, Thresholds

MS = 1_000_000
START = 1_000 * MS


def schedule(**thresholds):
    """One whose first collection has ended; at `START` it may collect again."""
    made = Schedule(Thresholds(**thresholds), START - 245 * MS)
    made.begin()
    made.end(START - 245 * MS, 0, failed=False)
    return made


def test_the_first_collection_comes_soon_after_the_start():
    assert Schedule(Thresholds(), START).due_ns == START + 100 * MS
    assert Schedule(Thresholds(startup=timedelta(0)), START).due_ns == START


def test_nothing_is_due_while_nothing_happens():
    assert schedule().due_ns == NEVER_NS


def test_one_deletion_makes_a_collection_due():
    made = schedule()
    made.delete(START)
    assert made.due_ns == START


def test_with_a_threshold_it_takes_as_many_deletions():
    made = schedule(deletions=3)
    made.delete(START)
    made.delete(START)
    assert made.due_ns == NEVER_NS
    made.delete(START)
    assert made.due_ns == START


@pytest.mark.parametrize(("threshold", "due"), [(0, NEVER_NS), (5, START), (6, NEVER_NS)])
def test_changes_make_one_due_by_their_number(threshold, due):
    made = schedule(mutations=threshold)
    for _ in range(5):
        made.mutate(START)
    assert made.due_ns == due


def test_the_delay_lets_more_come_first():
    made = schedule(delay=timedelta(milliseconds=50))
    made.delete(START)
    made.delete(START + 10 * MS)
    assert made.due_ns == START + 50 * MS


def test_a_collection_takes_no_more_than_its_share_of_the_time():
    made = schedule(pause=0.1)
    made.delete(START)
    made.begin()
    made.end(START + 95 * MS, 95 * MS, failed=False)  # 5 and 95 are 50 on average
    made.delete(START + 95 * MS)
    assert made.due_ns == START + (95 + 450) * MS


def test_what_happens_during_a_collection_is_for_the_next():
    made = schedule()
    made.delete(START)
    made.begin()
    made.delete(START + MS)
    made.end(START + 2 * MS, 2 * MS, failed=False)
    assert made.due_ns == START + 2 * MS + 245 * MS


def test_a_failure_waits_until_the_next_poll():
    made = schedule(poll=timedelta(seconds=7))
    made.begin()
    made.end(START, MS, failed=True)
    made.delete(START)
    assert made.due_ns == START + 7_000 * MS


def test_the_nearest_end_counts():
    made = schedule()
    made.end_at(START + 9 * MS)
    made.end_at(START + 3 * MS)
    made.end_at(START + 5 * MS)
    assert made.due_ns == START + 3 * MS


@pytest.mark.parametrize("pause", [0, -1, 0.6])
def test_a_share_that_cannot_be_is_refused(pause):
    with pytest.raises(InvalidArgument):
        Thresholds(pause=pause)
