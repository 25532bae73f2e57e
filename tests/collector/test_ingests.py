"""Ingests that nobody goes on with, and what a collection does to them."""

import os

import pytest

from lading.content.catalog import OWNER
from lading.errors import NotFound
from lading.metadata.collector import Collector
from lading.metadata.namespace import Namespace
from lading.stores.local.store import LocalStore
from tests.collector.clock import DAY, SECOND
from tests.collector.turns import SteppingDatabase, Turns


def begin(namespace, ref="ref", data=b"some"):
    with namespace.writer(ref) as writer:
        writer.write(data)


class Dying(SteppingDatabase):
    """Dies at the first transaction that waits for the disk."""

    def write(self, transaction, *, alone=False):
        os._exit(0)


def die_before_the_row(metadata, data):
    """Commit in a process that dies when the bytes are in and their row is not."""
    child = os.fork()
    if not child:
        database = Dying(metadata.database, Turns(()))
        namespace = Namespace(
            "images",
            database=database,
            content=metadata.content,
            clock=metadata._clock,
            shared=True,
        )
        try:
            with namespace.writer("ref") as writer:
                writer.write(data)
                writer.commit()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_an_ingest_stays_for_a_day_after_its_last_byte_and_then_goes(namespace, collector, clock):
    begin(namespace)
    clock.pass_by(DAY - SECOND)
    assert collector.collect().ingests == 0
    begin(namespace, data=b"more")
    clock.pass_by(DAY - SECOND)
    assert collector.collect().ingests == 0
    assert namespace.ingest("ref").offset == len(b"somemore")
    clock.pass_by(2 * SECOND)
    assert collector.collect().ingests == 1
    with pytest.raises(NotFound):
        namespace.ingest("ref")


def test_an_ingest_that_a_lease_holds_stays_until_the_lease_ends(namespace, collector, clock):
    lease = namespace.lease(expires_in=10 * DAY)
    begin(lease)
    clock.pass_by(9 * DAY)
    assert collector.collect().ingests == 0
    clock.pass_by(DAY)
    assert collector.collect().ingests == 1


def test_an_ingest_that_is_held_by_a_writer_is_not_idle(namespace, collector, clock):
    with namespace.writer("ref") as writer:
        writer.write(b"some")
        clock.pass_by(2 * DAY)
        assert collector.collect()[3:4] == (0,)
        assert collector.collect().failed == ()
        writer.write(b"more")
        writer.commit(labels={"containerd.io/gc.root": "1"})
    assert collector.collect().rows == 0


def test_an_ingest_that_is_gone_from_the_store_leaves_its_row_only_for_a_collection(
    namespace, content, collector, clock
):
    begin(namespace)
    (ingest,) = content.ingests()
    content.abort(ingest.ref)
    clock.pass_by(SECOND)
    assert collector.collect().ingests == 1
    assert list(content.ingests()) == []


def test_an_ingest_that_is_resumed_after_the_look_is_left(namespace, content, collector, clock):
    begin(namespace)
    clock.pass_by(2 * DAY)

    class Late(LocalStore):
        """Has somebody resume the ingest between the first look and the next call."""

        def writer(self, ref, **options):
            begin(namespace, data=b"more")
            return super().writer(ref, **options)

    late = Late(content.root, clock=clock)
    assert Collector(collector._database, late, clock).collect().ingests == 0
    assert namespace.ingest("ref").offset == len(b"somemore")


def test_an_ingest_that_a_lease_takes_after_the_look_is_left(namespace, content, collector, clock):
    begin(namespace)
    lease = namespace.lease(expires_in=10 * DAY)
    clock.pass_by(2 * DAY)

    class Late(LocalStore):
        def writer(self, ref, **options):
            lease.writer("ref").close()
            return super().writer(ref, **options)

    late = Late(content.root, clock=clock)
    assert Collector(collector._database, late, clock).collect().ingests == 0
    assert namespace.ingest("ref").offset == len(b"some")


def test_looking_at_an_idle_ingest_does_not_make_it_younger(namespace, content, clock):
    begin(namespace)
    (before,) = content.ingests()
    clock.pass_by(DAY * 2)
    content.writer(before.ref).close()
    assert content.ingest(before.ref).updated_ns == before.updated_ns


def test_ingests_that_no_row_knows_are_told_of_and_left(namespace, content, collector, clock):
    begin(content, ref="somebody's")
    begin(namespace)
    clock.pass_by(1000 * DAY)
    assert [ingest.ref for ingest in collector.unknown_ingests()] == ["somebody's"]
    assert collector.collect().ingests == 1
    assert [ingest.ref for ingest in content.ingests()] == ["somebody's"]


def test_idle_ingests_are_told_of_before_they_go(namespace, collector, clock):
    begin(namespace)
    assert list(collector.idle_ingests()) == []
    clock.pass_by(DAY + SECOND)
    assert list(collector.idle_ingests()) == [("images", "ref", 4)]
    assert namespace.ingest("ref").offset == 4


def test_a_commit_that_was_sent_can_be_finished_for_a_day(metadata, namespace, collector, clock):
    """As its process leaves it that dies before the row: the transfer need not be made again."""
    die_before_the_row(metadata, b"some")
    clock.pass_by(DAY - SECOND)
    assert collector.collect()[:4] == (0, 0, 0, 0)
    with namespace.lease().writer("ref") as writer:
        assert writer.offset == len(b"some")
        digest = writer.commit().digest
    clock.pass_by(2 * SECOND)
    collector.collect()
    assert namespace.read(digest) == b"some"


def test_what_a_commit_left_that_died_goes_after_a_day(metadata, content, collector, clock):
    die_before_the_row(metadata, b"some")
    assert len(list(content.blobs())) == 1
    clock.pass_by(DAY + SECOND)
    done = collector.collect()
    assert (done.blobs, done.bytes, done.ingests) == (1, 4, 1)
    assert list(content.blobs()) == []


def die_before_the_row_of_the_ingest(metadata, ref="ref"):
    """Open a writer in a process that dies when its ingest is in the store and its row is not."""

    class DyingNote(SteppingDatabase):
        def note(self, transaction):
            os._exit(0)

    child = os.fork()
    if not child:
        database = DyingNote(metadata.database, Turns(()))
        namespace = Namespace(
            "images",
            database=database,
            content=metadata.content,
            clock=metadata._clock,
            shared=True,
        )
        try:
            namespace.writer(ref)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_an_ingest_that_died_before_its_row_goes_after_a_day(
    metadata, namespace, content, collector, clock
):
    namespace.add(b"makes the namespace")
    die_before_the_row_of_the_ingest(metadata)
    assert [ingest.ref for ingest in collector.unknown_ingests()] == ["images/ref"]
    clock.pass_by(DAY - SECOND)
    assert list(collector.idle_ingests()) == []
    assert collector.collect().ingests == 0
    clock.pass_by(2 * SECOND)
    assert list(collector.idle_ingests()) == [("images", "ref", 0)]
    assert collector.collect().ingests == 1
    assert list(content.ingests()) == []


def test_an_ingest_that_died_before_its_row_is_gone_on_with(metadata, namespace, collector, clock):
    namespace.add(b"makes the namespace")
    die_before_the_row_of_the_ingest(metadata)
    begin(namespace)
    clock.pass_by(DAY - SECOND)
    assert collector.collect().ingests == 0
    assert namespace.ingest("ref").offset == len(b"some")


@pytest.mark.parametrize(
    "begun", [("images/ref", b"some"), ("elsewhere/ref", b""), ("images", b""), ("nul\0/ref", b"")]
)
def test_an_ingest_without_a_row_that_may_be_somebodys_is_left(
    namespace, content, collector, clock, begun
):
    ref, data = begun
    namespace.add(b"makes the namespace")
    begin(content, ref=ref, data=data)
    clock.pass_by(2 * DAY)
    assert list(collector.idle_ingests()) == []
    assert collector.collect().ingests == 0
    assert [ingest.ref for ingest in content.ingests()] == [ref]


def test_an_ingest_without_a_row_in_a_namespace_with_an_owner_is_left(
    metadata, namespace, content, collector, clock
):
    metadata.label_namespace("images", {OWNER: "somebody"})
    begin(content, ref="images/ref", data=b"")
    clock.pass_by(2 * DAY)
    assert collector.collect().ingests == 0
    assert [ingest.ref for ingest in content.ingests()] == ["images/ref"]


def test_an_ingest_without_a_row_that_somebody_holds_is_left(namespace, content, collector, clock):
    namespace.add(b"makes the namespace")
    with content.writer("images/ref") as writer:
        clock.pass_by(2 * DAY)
        assert collector.collect().ingests == 0
        assert writer.write(b"some") == len(b"some")


@pytest.mark.parametrize("what", ["row", "bytes"])
def test_an_ingest_that_gets_its_row_or_bytes_after_the_look_is_left(
    namespace, content, collector, clock, what
):
    namespace.add(b"makes the namespace")
    begin(content, ref="images/ref", data=b"")
    clock.pass_by(2 * DAY)

    class Late(LocalStore):
        def writer(self, ref, **options):
            begin(*((namespace, "ref", b"") if what == "row" else (content, "images/ref", b"some")))
            return super().writer(ref, **options)

    late = Late(content.root, clock=clock)
    assert Collector(collector._database, late, clock).collect().ingests == 0
    assert [ingest.ref for ingest in content.ingests()] == ["images/ref"]


def test_a_long_ref_is_told_of_in_full(namespace, collector, clock):
    ref = "long " * 200
    begin(namespace, ref=ref)
    clock.pass_by(2 * DAY)
    assert list(collector.idle_ingests()) == [("images", ref, 4)]
