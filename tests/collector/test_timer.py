"""The timer: what it hears and sees makes it collect, an idle store included."""

import contextlib
import threading
from datetime import timedelta

import pytest

from lading.content.collection import Collection
from lading.content.events import BlobCreated, BlobDeleted, IngestProgress, LeaseCreated
from lading.errors import FailedPrecondition, Unavailable
from lading.metadata.schedule import Thresholds
from lading.metadata.timer import CollectionTimer
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from tests.collector.clock import DAY, SECOND

DIGEST = Digest.of(b"blob")
NONE = Collection(0, 0, 0, 0, timedelta(0))
MINUTE = 60 * SECOND


@pytest.fixture
def timer(collector, events, clock):
    """One that has collected once and may do so again."""
    timer = CollectionTimer(collector, events, clock=clock)
    clock.pass_by(SECOND)
    timer.step(clock())
    assert timer.last
    timer.last = None
    clock.pass_by(10 * MINUTE)
    yield timer
    timer.close()


def span(ns):
    return timedelta(microseconds=ns / 1000)


def test_an_idle_timer_only_looks(timer, clock):
    again_ns = timer.step(clock())
    assert span(again_ns - clock()) == MINUTE
    assert timer.last is None


def test_a_deletion_that_is_heard_of_is_collected_at_once(timer, events, namespace, clock):
    timer.step(clock())
    digest = namespace.add(b"blob").digest
    namespace.delete(digest)
    events.emit(BlobDeleted("images", clock(), digest))
    timer.step(clock())
    assert timer.last.blobs == 1


def test_many_changes_are_collected(timer, events, namespace, clock):
    timer.step(clock())
    namespace.add(b"blob")
    for _ in range(100):
        events.emit(BlobCreated("images", clock(), DIGEST, 4))
    timer.step(clock())
    assert timer.last.blobs == 1


def test_an_idle_timer_collects_when_a_lease_ends(timer, events, namespace, clock):
    lease = namespace.lease("mine", expires_in=30 * SECOND)
    events.emit(LeaseCreated("images", clock(), "mine"))
    lease.add(b"blob")
    again_ns = timer.step(clock())
    assert 29 * SECOND < span(again_ns - clock()) <= 30 * SECOND
    assert timer.last is None
    clock.pass_by(30 * SECOND)
    timer.step(clock())
    assert timer.last.blobs == 1


def test_an_idle_timer_collects_when_an_ingest_is_idle_for_a_day(timer, namespace, clock):
    with namespace.writer("ref") as writer:
        writer.write(b"some")
    timer.step(clock())
    clock.pass_by(DAY - MINUTE)
    timer.step(clock())
    assert timer.last is None
    clock.pass_by(2 * MINUTE)
    timer.step(clock())
    assert timer.last.ingests == 1


@pytest.mark.parametrize("kind", ["image", "blob"])
def test_an_idle_timer_collects_when_an_expiry_passes(timer, namespace, clock, kind):
    expiry = {"containerd.io/gc.expire": clock.text(30 * SECOND)}
    if kind == "blob":
        namespace.add(b"blob", labels={"containerd.io/gc.root": "1", **expiry})
    else:
        blob = namespace.add(b"blob")
        target = Descriptor("text/plain", blob.digest, blob.size)
        namespace.images.create("image", target, labels=expiry)
    timer.step(clock())
    clock.pass_by(31 * SECOND)
    timer.step(clock())
    assert timer.last.blobs == 1
    timer.last = None
    clock.pass_by(10 * MINUTE)
    timer.step(clock())
    assert timer.last is None  # what has passed is not looked at again and again


def test_a_deletion_by_another_process_is_seen_at_the_next_poll(timer, namespace, clock):
    timer.step(clock())
    namespace.delete(namespace.add(b"blob").digest)  # without a word to the timer's events
    clock.pass_by(MINUTE)
    timer.step(clock())
    assert timer.last.blobs == 1


def test_deletions_by_other_processes_count_as_the_setting_says(
    collector, events, namespace, clock
):
    thresholds = Thresholds(deletions=3, startup=timedelta(days=1))
    with contextlib.closing(CollectionTimer(collector, events, thresholds, clock=clock)) as timer:
        for number in range(3):
            assert timer.last is None
            namespace.delete(namespace.add(b"blob %d" % number).digest)
            kept = namespace.add(b"not rooted yet").digest
            events.emit(LeaseCreated("images", clock(), "lease"))  # which has it look, too
            clock.pass_by(MINUTE)
            assert namespace.blob(kept)
            timer.step(clock())
    assert timer.last.blobs == 4


class Scripted:
    """A collector that ends as it is told."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.collected = threading.Event()

    def due_ns(self, since_ns, *, deletions):
        return None

    def collect(self):
        outcome = self.outcomes.pop(0)
        self.collected.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize("error", [Unavailable("busy"), FailedPrecondition("broken")])
def test_a_collection_that_fails_is_tried_again_after_a_poll(events, clock, error):
    timer = CollectionTimer(Scripted(error, NONE), events, clock=clock)
    clock.pass_by(SECOND)
    timer.step(clock())
    timer.trigger()
    clock.pass_by(MINUTE - SECOND)
    timer.step(clock())
    assert timer.last is None
    clock.pass_by(2 * SECOND)
    timer.step(clock())
    assert timer.last == NONE


def test_the_thread_collects_when_it_is_triggered_and_ends_when_it_is_closed(events):
    collector = Scripted(NONE)
    with CollectionTimer(collector, events, Thresholds(startup=timedelta(days=1))) as timer:
        timer.trigger()
        assert collector.collected.wait(30)
    timer.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "lading collector"]
    events.emit(BlobDeleted("images", 0, DIGEST))
    assert collector.outcomes == []


def test_what_changes_nothing_that_is_collected_makes_no_collection_due(timer, events, clock):
    timer.step(clock())
    for _ in range(1000):
        events.emit(IngestProgress("images", clock(), "ref", 1, None))
    assert timer.step(clock()) > clock()
    assert timer.last is None


def test_a_deleted_blob_is_counted_and_nothing_is_looked_up_for_it(events, clock):
    collector = Scripted(NONE)
    looks = []
    collector.due_ns = lambda since_ns, *, deletions: looks.append(deletions)
    thresholds = Thresholds(deletions=3, startup=timedelta(days=1))
    timer = CollectionTimer(collector, events, thresholds, clock=clock)
    timer.step(clock())  # which looks once, as at every poll
    for _ in range(3):
        assert timer.last is None
        clock.pass_by(SECOND)
        events.emit(BlobDeleted("images", clock(), DIGEST))
        timer.step(clock())
    assert timer.last == NONE
    assert looks == [3]
    timer.close()
