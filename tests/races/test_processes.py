"""Real processes that open, commit and abort one ref at the same moment, many times."""

import time

import pytest

from lading.model.digest import Digest
from lading.stores.local.disk import Disk
from lading.stores.local.paths import SPARE, StorePaths
from lading.stores.local.scratch import SWEEP_AGE_NS, sweep
from lading.stores.local.store import LocalStore
from tests.kills.child import chance
from tests.races.racecourse import ask

ROUNDS = 60
RACERS = 4
LONGEST_SPIN_NS = 400_000
LOCKED, ABORTED, ABSENT, HERE = "RefLocked", "Aborted", "NotFound", "AlreadyExists"


def spins(choose, count=RACERS):
    """How long each racer waits at the open gate, awake, so that the order is not always one."""
    return [choose.randint(0, LONGEST_SPIN_NS) for _ in range(count)]


def errors(answers):
    return [answer["error"] for answer in answers if isinstance(answer, dict)]


def assert_nothing_is_left(root):
    store = LocalStore(root)
    # What was made in a folder while it was being aborted is the sweep's.
    sweep(Disk(), StorePaths(root), time.time_ns() + 2 * SWEEP_AGE_NS)
    assert list(store.ingests()) == []
    assert list((root / "ingest").iterdir()) == []
    # A folder that waits for the next ingest is in the use of a racer that lives.
    kept = [] if not (root / "scratch").exists() else list((root / "scratch").iterdir())
    assert all(each.name.startswith(SPARE) for each in kept)
    for blob in store.blobs():
        assert Digest.of(store.read(blob.digest)) == blob.digest


@pytest.mark.slow
def test_of_many_processes_one_at_a_time_holds_a_ref(track):
    track.enter(RACERS)
    choose, lost = chance("hold"), 0
    for number in range(ROUNDS):
        answers = track.race(*[("hold", f"r{number // 2}")] * RACERS, spins=spins(choose))
        assert set(errors(answers)) <= {LOCKED}
        assert "held" in answers
        lost += len(errors(answers))
    assert lost  # or nobody ever met anybody


@pytest.mark.slow
def test_processes_that_wait_take_their_turns_and_lose_no_byte(track):
    track.enter(RACERS)
    assert track.race(*[("take_turns", "r", 15)] * RACERS) == ["held"] * RACERS
    assert LocalStore(track.root).ingest("r").offset == 15 * RACERS


@pytest.mark.slow
def test_of_a_commit_and_an_abort_exactly_one_succeeds(track):
    racers = track.enter(2)
    winners, delay_ns = set(), 1_000_000
    for number in range(ROUNDS):
        text = f"bytes {number}"
        assert ask(racers[0], "open", "r", text) == len(text)
        committed, aborted = track.race(("commit", "r"), ("abort", "r"), spins=(0, int(delay_ns)))
        digest = Digest.of(text.encode())
        if committed == digest:
            assert aborted["error"] == ABSENT
        else:
            assert committed["error"] == ABORTED
            assert aborted is None
        assert (digest in LocalStore(track.root)) == (committed == digest)
        winners.add(committed == digest)
        # Whoever won has it harder next time, which keeps the two close together.
        delay_ns *= 0.8 if committed == digest else 1.4
        assert_nothing_is_left(track.root)
    assert winners == {True, False}  # or it was no race


@pytest.mark.slow
def test_of_many_aborts_one_ends_the_ingest_and_its_ref_is_free(track):
    racers = track.enter(RACERS)
    choose = chance("abort")
    for number in range(ROUNDS):
        assert ask(racers[0], "open", "r", f"bytes {number}") > 0
        answers = track.race(*[("abort", "r")] * RACERS, spins=spins(choose))
        assert sorted(errors(answers)) == [ABSENT] * (RACERS - 1)
        assert ask(racers[0], "commit", "r")["error"] == ABORTED
        assert_nothing_is_left(track.root)


@pytest.mark.slow
def test_who_opens_while_another_commits_is_locked_out_or_begins_anew(track):
    racers = track.enter(RACERS)
    choose, met = chance("open"), set()
    for number in range(ROUNDS):
        text = f"bytes {number}"
        assert ask(racers[0], "open", "r", text) == len(text)
        openings = [("open", "r"), ("wait", "r"), ("open", "r")]
        committed, *opened = track.race(("commit", "r"), openings[0], spins=spins(choose, 2))
        assert committed == Digest.of(text.encode())
        assert set(errors(opened)) <= {LOCKED}
        assert set(opened[len(errors(opened)) :]) <= {0}
        met.update("locked out" if answer else "anew" for answer in opened)
        for racer, answer in zip(racers[1:], opened, strict=False):
            if answer == 0:
                assert ask(racer, "abort", "r") is None
                assert ask(racer, "commit", "r")["error"] == ABORTED
        assert_nothing_is_left(track.root)
    assert met == {"locked out", "anew"}


@pytest.mark.slow
def test_who_opens_while_another_aborts_gets_the_ref_or_hears_of_it(track):
    racers = track.enter(RACERS)
    choose, got = chance("abort and open"), set()
    for number in range(4 * ROUNDS):
        with LocalStore(track.root).writer("r") as writer:
            writer.write(b"bytes")
        aborted, *opened = track.race(
            ("abort", "r"), *[("open", "r", str(number))] * (RACERS - 1), spins=spins(choose)
        )
        assert aborted is None
        for racer, answer in zip(racers[1:], opened, strict=True):
            if isinstance(answer, dict):
                assert answer["error"] in {LOCKED, ABORTED}, answer
                got.add(answer["error"])
            else:
                committed = ask(racer, "commit", "r")
                got.add("aborted later" if isinstance(committed, dict) else "a blob")
        assert_nothing_is_left(track.root)
    assert {LOCKED, "a blob"} <= got


@pytest.mark.slow
def test_processes_that_ingest_the_same_bytes_under_one_ref_make_one_blob(track):
    track.enter(RACERS)
    choose = chance("ingest")
    for number in range(ROUNDS // 2):
        text = f"bytes {number}" * 1000
        digest = Digest.of(text.encode())
        answers = track.race(*[("ingest", "r", text)] * RACERS, spins=spins(choose))
        assert set(errors(answers)) <= {LOCKED}
        assert digest in answers
        assert_nothing_is_left(track.root)
    assert len(list(LocalStore(track.root).blobs())) == ROUNDS // 2


@pytest.mark.slow
def test_whatever_processes_do_to_one_ref_every_blob_is_right_and_nothing_is_left(track):
    racers = track.enter(RACERS)
    choose = chance("anything")
    holders = set()
    for number in range(ROUNDS):
        commands = []
        for place in range(RACERS):
            text = f"bytes of {place} in {number}"
            if place in holders:
                commands.append(
                    choose.choice([("commit", "r"), ("close", "r"), ("write", "r", text)])
                )
            else:
                commands.append(
                    choose.choice([("open", "r", text), ("abort", "r"), ("ingest", "r", text)])
                )
        answers = track.race(*commands, spins=spins(choose))
        for place, (command, answer) in enumerate(zip(commands, answers, strict=True)):
            error = answer.get("error") if isinstance(answer, dict) else None
            assert error in {None, LOCKED, ABORTED, ABSENT, HERE}, answer
            if command[0] == "open" and error is None:
                holders.add(place)
            if command[0] in {"commit", "close"}:
                holders.discard(place)
    for place in holders:
        ask(racers[place], "close", "r")
    store = LocalStore(track.root)
    for ingest in store.ingests():
        store.abort(ingest.ref)
    assert_nothing_is_left(track.root)
    assert list(store.blobs())
