"""A failed sync is final: the kernel reports it once and forgets, and a second would lie."""

import errno
import os
import random

import pytest

from lading.errors import DiskFailed
from lading.stores.local import disk
from tests.crash.cuts import World, repeatable
from tests.crash.stories import STORIES
from tests.support.durable import Choice, Renames

EACH_STORY = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)


class Kernel:
    """Syncs that do nothing, and one that fails. What that one was to keep, the machine loses."""

    def __init__(self, fails_at):
        self.count, self._fails_at = 0, fails_at

    def __call__(self, file):
        self.count += 1
        if self.count - 1 == self._fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def stubborn(story):
    """Whoever is told of a failure tries again, in the same process, and then gives up."""

    def told_again(actor):
        for _ in range(2):
            try:
                story(actor)
            except DiskFailed:
                actor.ledger.check_refs(actor.store)
            else:
                return

    return told_again


def fail_everywhere(place, monkeypatch, story):
    """Fail each sync in turn, go on, and cut the power at the end and at some calls before."""
    choose = random.Random(story.__name__)  # noqa: S311 - to be repeated, not to be secret
    for k in range(1_000_000):
        length = None
        for attempt in range(3):
            kernel = Kernel(k)
            monkeypatch.setattr(disk, "_full_sync", kernel)
            world = World(place / f"{k}-{attempt}")
            dies_before = choose.randrange(length) if length else None
            calls = world.tell(stubborn(story), dies_before=dies_before)
            length = length or len(calls)
            if attempt == 0 and kernel.count <= k:
                return
            # The folder of a file's new name has lost it, and nobody had time to give back the old.
            torn = kernel.count == k + 1 and calls[-1].startswith("sync_directory")
            monkeypatch.setattr(disk, "_full_sync", Kernel(None))
            for which, renames in (("nothing", Renames.ADDING), ("everything", Renames.WHOLE)):
                told = f"sync {k} fails; cut before {dies_before}; {which} unsynced survives"
                with repeatable(told):
                    world.cut(Choice(which, renames)).check(story, torn=torn, finish=k % 2 == 0)
            world.leave()


@pytest.mark.slow
@EACH_STORY
def test_what_is_acknowledged_after_a_failed_sync_survives_a_cut(story, tmp_path, monkeypatch):
    fail_everywhere(tmp_path, monkeypatch, story)
