"""A process dies, another goes on, and then the power goes; or the power goes twice."""

import random

import pytest

from tests.crash.cuts import SEEDS, World, repeatable
from tests.crash.stories import COMMIT, DIE, STORIES, SYNC, A
from tests.support.durable import Choice, Renames

EACH_STORY = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)


def _chosen(seed):
    return random.Random(seed)  # noqa: S311 - to be repeated, not to be secret


def test_bytes_that_a_killed_writer_left_unsynced_are_durable_once_its_successor_syncs(tmp_path):
    world = World(tmp_path)
    world.tell(lambda actor: actor.write("r", A, 1_000, SYNC, 3_000, DIE))
    world.tell(lambda actor: actor.write("r", A, SYNC, DIE))
    assert world.ledger.kept["r"].offset == 3_000
    left = world.cut(Choice("nothing", Renames.ADDING))
    with left.restarted().writer("r") as writer:
        assert left.ledger.check_beginning(left.restarted(), writer) == A


def test_bytes_that_a_killed_writer_left_unsynced_are_durable_once_they_are_committed(tmp_path):
    world = World(tmp_path)
    world.tell(lambda actor: actor.write("r", A, 5_000, DIE))
    world.tell(lambda actor: actor.write("r", A, COMMIT))
    assert list(world.ledger.blobs.values()) == [A]
    world.cut(Choice("nothing", Renames.ADDING)).check(lambda actor: None)


@pytest.mark.slow
@EACH_STORY
def test_what_a_killed_process_left_is_durable_once_another_is_told_so(story, tmp_path):
    for k in range(1_000_000):
        world = World(tmp_path / str(k))
        calls = world.tell(story, dies_before=k)
        # The second process dies too, somewhere, or it comes to the end.
        dies_before = None if k % 3 == 0 else _chosen(k).randint(0, len(calls) + 9)
        which = k if k % 2 else "nothing"
        with repeatable(f"killed before call {k}, then before {dies_before}, then cut: {which}"):
            world.tell(story, dies_before=dies_before)
            world.cut(Choice(which, Renames.ADDING)).check(story, finish=k % 4 < 2)
        world.leave()
        if len(calls) < k:
            return


@pytest.mark.slow
@EACH_STORY
def test_a_second_power_cut_while_the_store_recovers_loses_nothing_either(story, tmp_path):
    length = len(World(tmp_path / "whole").tell(story))
    for seed in range(20 * SEEDS):
        choose = _chosen(f"{story.__name__} {seed}")
        k, j = choose.randint(0, length), choose.randint(0, length)
        kinds = [Renames.ADDING, Renames.WHOLE]
        with repeatable(f"seed {seed}: cut before call {k}, then before call {j} of the next boot"):
            world = World(tmp_path / str(seed))
            world.tell(story, dies_before=k)
            second = world.cut(Choice(seed, choose.choice(kinds)))
            second.start_again()
            second.tell(story, dies_before=j)
            third = second.cut(Choice(-seed, choose.choice(kinds)))
            third.check(story, finish=seed % 2 == 0)
            world.leave()
