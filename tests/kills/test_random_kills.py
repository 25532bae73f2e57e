"""`kill -9` at a random byte, by somebody else, in as many processes as `LADING_KILLS` says."""

import os
import signal

import pytest

from tests.kills.child import Plan, bytes_of, chance
from tests.kills.killing import Account, at_random, check, finish, in_new_interpreter, repeatable

KILLS = int(os.environ.get("LADING_KILLS", "500"))
NEW_INTERPRETERS = max(50, KILLS // 10)
GROUPS = 10
"""So that several cores can share the work."""
TURNS = 6
"""Processes that may die over one ingest before we finish it ourselves."""


def ingest_under_kills(root, seed, carry_out):
    """Bring one ingest to its end, however many processes that takes; say how many were killed."""
    account, killed = Account(bytes_of(seed)), 0
    for turn in range(TURNS):
        plan = Plan(str(root), "transfer", seed, turn)
        with repeatable(plan):
            choose = chance("moment", seed, turn)
            account.is_over = False
            status = carry_out(plan, account, at_random(choose, len(account.data)))
            assert status in {0, -signal.SIGKILL}
            check(root, account)
            if status == 0:
                break
            killed += 1
    with repeatable(plan):
        finish(root, account)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_lost_and_all_is_right_after_a_kill_at_a_random_byte(group, tmp_path, nursery):
    killed, seed = 0, group
    while killed < (KILLS - NEW_INTERPRETERS) / GROUPS:
        killed += ingest_under_kills(tmp_path / str(seed), seed, nursery.carry_out)
        seed += GROUPS


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_kill_of_a_whole_interpreter_loses_nothing_either(group, tmp_path):
    killed, seed = 0, -1 - group
    while killed < NEW_INTERPRETERS / GROUPS:
        killed += ingest_under_kills(tmp_path / str(seed), seed, in_new_interpreter)
        seed -= GROUPS
