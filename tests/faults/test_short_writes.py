"""A disk may take less than it was offered: the rest is offered again, and nothing else changes."""

import pytest

from lading.stores.local.store import LocalStore
from tests.crash.ledger import Ledger
from tests.crash.stories import STORIES, A, Actor, writes_much
from tests.support.failing import ShortDisk


class OneByteDisk(ShortDisk):
    def _some(self, count):
        return min(count, 1)


def tell(story, place, disk):
    ledger = Ledger()
    store = LocalStore(place / "store", disk=disk)
    story(Actor(store, ledger, place / "source"))
    assert ledger.blobs
    ledger.check_blobs(store)
    ledger.check_refs(store)


@pytest.mark.slow
@pytest.mark.parametrize("story", [*STORIES, writes_much], ids=lambda story: story.__name__)
def test_every_story_ends_right_on_a_disk_that_takes_what_it_likes(story, tmp_path):
    for seed in range(3):
        place = tmp_path / str(seed)
        place.mkdir()
        tell(story, place, ShortDisk(seed))


@pytest.mark.slow
def test_one_byte_at_a_time_is_enough(tmp_path):
    tell(lambda actor: actor.write("r", A, 300, "sync", 5_000, "commit"), tmp_path, OneByteDisk(0))
