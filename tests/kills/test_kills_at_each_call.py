"""A process dies before each call of its disk, each in its turn, or half-way through a write."""

import signal

import pytest

from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore
from tests.kills.child import REF, Plan, bytes_of
from tests.kills.killing import Account, check, finish, repeatable

SEED = 3
STORIES = ("commit", "commits", "close", "truncate", "add", "batch")
HALFWAY = pytest.mark.parametrize("halfway", [False, True], ids=["before", "halfway"])


class RebootedDisk(Disk):
    """A machine that was started anew."""

    def boot_id(self):
        return "another"


def die_at_each_call(tmp_path, nursery, begin, *, halfway, boot=None):
    """Yield the root and the account of a process that died, for each call it could die at."""
    for call in range(1_000_000):
        root = tmp_path / str(call)
        account = Account(bytes_of(SEED))
        story = begin(root, account)
        plan = Plan(str(root), story, SEED, dies_at=call, halfway=halfway, boot=boot)
        with repeatable(plan):
            status = nursery.carry_out(plan, account)
            check(root, account)
            yield root, account
        if status == 0:
            return
        assert status == -signal.SIGKILL


@pytest.mark.slow
@HALFWAY
@pytest.mark.parametrize("story", STORIES)
def test_nothing_is_lost_and_all_is_right_after_a_kill_at_any_call(
    story, halfway, tmp_path, nursery
):
    deaths = 0
    for root, account in die_at_each_call(
        tmp_path, nursery, lambda root, account: story, halfway=halfway
    ):
        finish(root, account)
        deaths += 1
    assert deaths > 1


@pytest.mark.slow
@HALFWAY
@pytest.mark.parametrize("story", ["commit", "close", "truncate"])
@pytest.mark.parametrize("before", ["interrupt", "begin"])
def test_who_dies_while_going_on_after_a_kill_loses_nothing_either(
    before, story, halfway, tmp_path, nursery
):
    def begin(root, account):
        nursery.carry_out(Plan(str(root), before, SEED), account)
        return story

    for root, account in die_at_each_call(tmp_path, nursery, begin, halfway=halfway):
        finish(root, account)


@pytest.mark.slow
@HALFWAY
@pytest.mark.parametrize("before", ["interrupt", "begin"])
def test_who_dies_while_going_on_after_a_reboot_loses_nothing_that_was_synced(
    before, halfway, tmp_path, nursery
):
    def begin(root, account):
        nursery.carry_out(Plan(str(root), before, SEED), account)
        account.reboot()
        return "commit"

    for root, account in die_at_each_call(
        tmp_path, nursery, begin, halfway=halfway, boot="another"
    ):
        finish(root, account, disk=RebootedDisk())


@pytest.mark.slow
def test_a_killed_commit_can_be_finished_and_leaves_one_blob(tmp_path, nursery):
    ends = []
    for root, account in die_at_each_call(
        tmp_path, nursery, lambda root, account: "commit", halfway=False
    ):
        store = LocalStore(root)
        ends.append((len(list(store.ingests())), len(list(store.blobs()))))
        finish(root, account)
        assert [blob.digest for blob in store.blobs()] == [account.digest]
    # First neither, then an ingest, then a blob: one moment divides them.
    assert set(ends) == {(0, 0), (1, 0), (0, 1)}
    assert ends == sorted(ends, key=[(0, 0), (1, 0), (0, 1)].index)


@pytest.mark.slow
def test_a_killed_process_frees_its_ref(tmp_path, nursery):
    account = Account(bytes_of(SEED))
    nursery.carry_out(Plan(str(tmp_path), "interrupt", SEED), account)
    with LocalStore(tmp_path).writer(REF) as writer:
        assert writer.offset == account.offset > 0
