"""P1, P2, P5 and P10 under power cuts: before every call, whatever the disk may then hold."""

import os

import pytest

from lading.model import hashing
from lading.model.digest import Digest
from lading.stores.local import follower, ownership, spares
from lading.stores.local.paths import StorePaths, key_of
from tests.conformance.samples import sample
from tests.crash.cuts import World, choices, repeatable
from tests.crash.stories import (
    COMMIT,
    DIE,
    LONG,
    STORIES,
    SYNC,
    A,
    Anew,
    B,
    aborts_and_begins_anew,
    adds_what_was_deleted,
    batches_a_few,
    batches_many,
    closes_and_resumes,
    commits_one_after_another,
    goes_on_after_a_refused_commit,
    uses_a_ref_again,
    writes_much,
)
from tests.support.durable import Choice, Renames


def cut_everywhere(place, story, *, nameless=True, every=1):
    """Cut before every call, or before one in `every`, and at the end."""
    for k in range(0, 1_000_000, every):
        world = World(place / str(k), nameless=nameless)
        calls = world.tell(story, dies_before=k)
        for number, (name, choice) in enumerate(choices(k)):
            with repeatable(f"{story.__name__}, cut before call {k}, after {calls[-3:]}; {name}"):
                left = world.cut(choice)
                left.check(story, torn=choice.renames is Renames.TORN, finish=(k + number) % 2 == 0)
        world.leave()
        if len(calls) < k:
            return


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_power_cut_before_any_call_loses_nothing_that_was_acknowledged(story, tmp_path):
    cut_everywhere(tmp_path, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    "story", [adds_what_was_deleted, batches_a_few, batches_many], ids=lambda story: story.__name__
)
def test_nothing_is_lost_where_no_file_can_be_nameless(story, tmp_path):
    cut_everywhere(tmp_path, story, nameless=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "story", [uses_a_ref_again, goes_on_after_a_refused_commit], ids=lambda story: story.__name__
)
def test_nothing_is_lost_where_locks_are_not_trusted(story, tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "locks_reach_everyone", lambda path: False)
    cut_everywhere(tmp_path, story, every=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "story",
    [commits_one_after_another, uses_a_ref_again, aborts_and_begins_anew],
    ids=lambda story: story.__name__,
)
def test_nothing_is_lost_where_a_commit_leaves_its_folder_to_the_next(story, tmp_path, monkeypatch):
    monkeypatch.setattr(spares, "AFTER", 0)
    cut_everywhere(tmp_path, story)


@pytest.mark.slow
def test_nothing_is_lost_where_no_hash_can_be_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "_libcrypto", lambda: (None, "for this test"))
    cut_everywhere(tmp_path, closes_and_resumes, every=3)


@pytest.mark.slow
def test_nothing_is_lost_while_a_thread_hashes_and_marks(tmp_path, monkeypatch):
    # The thread makes calls too, so call k is not the same one each time; any cut will do.
    monkeypatch.setattr(follower, "INLINE_LIMIT", 64 << 10)
    monkeypatch.setattr(follower, "READ_SIZE", 16 << 10)
    monkeypatch.setattr(follower, "STEP", 48 << 10)
    cut_everywhere(tmp_path, writes_much, every=5)


def after(place, *stories, which="nothing", renames=Renames.ADDING):
    """Tell stories in one process each, and cut the power."""
    world = World(place)
    for story in stories:
        world.tell(story)
    return world.cut(Choice(which, renames))


def test_what_was_synced_is_there_after_a_cut(tmp_path):
    left = after(tmp_path, lambda actor: actor.write("r", A, 3_000, SYNC, 4_000, DIE))
    with left.restarted().writer("r") as writer:
        assert left.ledger.check_beginning(left.restarted(), writer) == A
        assert writer.offset == 3_000


def test_what_was_written_and_never_synced_does_not_count_after_a_cut(tmp_path):
    left = after(
        tmp_path, lambda actor: actor.write("r", A, 3_000, SYNC, 4_000, DIE), which="everything"
    )
    with left.restarted().writer("r") as writer:
        assert writer.offset == 3_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "later"),
    [(A, B), (LONG, sample(30_000, "later")), (LONG, LONG)],
    ids=["short", "long", "the same"],
)
def test_bytes_from_before_a_truncation_never_come_back_among_later_ones(tmp_path, before, later):
    # A long one is more than a mark knows its bytes by.
    world = World(tmp_path)
    size = len(before)
    world.tell(
        lambda actor: actor.write("r", before, size, SYNC, Anew(later), 2_000, len(later), DIE)
    )
    for seed in range(100):
        with repeatable(f"seed {seed}"):
            left = world.cut(Choice(seed, Renames.ADDING))
            with left.restarted().writer("r") as writer:
                left.ledger.check_beginning(left.restarted(), writer)
                assert writer.offset == 0


def strange(content):
    """A story in which another program puts a blob in its place, and syncs nothing."""

    def told(actor):
        disk, digest = actor.store._disk, Digest.of(content)
        file = disk.open(StorePaths(actor.store.root).blob(digest))
        disk.write(file, content, 0)
        os.close(file)

    return told


@pytest.mark.parametrize(
    "told_so",
    [
        lambda actor: actor.write("r", A, 5_000, COMMIT, algorithm="sha256"),
        lambda actor: actor.write("r", A, 5_000, COMMIT),
        lambda actor: actor.add(A),
        lambda actor: actor.batch([A]),
    ],
    ids=["opening", "committing", "adding", "batching"],
)
def test_a_blob_that_somebody_else_put_there_is_durable_once_it_is_said_to_be_there(
    tmp_path, told_so
):
    left = after(tmp_path, lambda actor: actor.add(B), strange(A), told_so)
    assert left.restarted().read(Digest.of(A)) == A


def backed_up(actor):
    """A story in which another program gives the bytes of an ingest one more name."""
    root = actor.store.root
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    actor.store._disk.link_within(root / "ingest" / key_of("r") / "data", folder, "backup")
    os.close(folder)


@pytest.mark.slow
def test_bytes_that_have_another_name_are_durable_before_their_copy_takes_their_place(tmp_path):
    world = World(tmp_path)
    world.tell(lambda actor: actor.write("r", A, 4_000))
    world.tell(backed_up)
    world.tell(lambda actor: actor.write("r", A, 5_000, DIE))
    for name, choice in choices(0, 40):
        with repeatable(name):
            left = world.cut(choice)
            left.check(closes_and_resumes)


@pytest.mark.parametrize("lost", ["startedat", "updatedat", "checkpoint", "total", "lock"])
def test_an_ingest_that_lost_a_small_file_keeps_what_is_closed_after(tmp_path, lost):
    left = after(tmp_path, lambda actor: actor.write("r", A, 4_000))
    store = left.restarted()
    (store.root / "ingest" / key_of("r") / lost).unlink(missing_ok=True)
    with store.writer("r") as writer:
        writer.truncate()
        writer.write(B[:2_000])
    with store.writer("r") as writer:
        assert writer.offset == 2_000


def test_the_model_can_lose_what_was_not_synced(tmp_path):
    # Else nothing above could fail.
    left = after(tmp_path, lambda actor: actor.write("r", A, 3_000, DIE))
    assert list(left.restarted().ingests()) == []
    assert left.restarted().root.is_dir()
