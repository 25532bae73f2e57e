"""A process is killed before each of its steps: nothing is lost, and nothing stays for ever."""

import os
import signal

import pytest

from lading.metadata.catalog import Metadata
from lading.metadata.collector import Collector
from lading.metadata.namespace import Namespace
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.collector.clock import DAY, SECOND
from tests.collector.turns import SteppingDatabase, SteppingStore

pytestmark = pytest.mark.slow

ROOT = {"containerd.io/gc.root": "now"}
STEPS = range(40)


class Fate:
    """Kills this process before one of its steps."""

    def __init__(self, step):
        self.left = step

    def gate(self):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


class House:
    """A store and its database, opened anew by each process."""

    def __init__(self, folder, databases, clock):
        self.folder, self.clock = folder, clock
        self.url = databases.new(folder)

    def open(self):
        content = LocalStore(self.folder / "root", clock=self.clock)
        return Metadata(self.url, content=content, clock=self.clock)

    def die(self, step, act):
        """Run `act(namespace, collector)` in a process that dies; False if it got to its end."""
        child = os.fork()
        if not child:
            status = 1
            try:
                with self.open() as metadata:
                    fate = Fate(step)
                    store = SteppingStore(self.folder / "root", clock=self.clock)
                    store.turns = fate
                    database = SteppingDatabase(metadata.database, fate)
                    namespace = Namespace(
                        "images", database=database, content=store, clock=self.clock, shared=True
                    )
                    act(namespace, Collector(database, store, self.clock))
                    status = 0
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in {0, -signal.SIGKILL}
        return status != 0


def check_whole(metadata):
    """See that no row is without its bytes."""
    namespace = metadata.namespace("images")
    for blob in namespace.blobs():
        assert Digest.of(namespace.read(blob.digest)) == blob.digest
    return {namespace.read(blob.digest) for blob in namespace.blobs()}


@pytest.fixture
def house(quick_folder, databases, clock):
    def build(step):
        folder = quick_folder / str(step)
        folder.mkdir()
        house = House(folder, databases, clock)
        with house.open() as metadata:
            metadata.namespace("images").add(b"rooted", labels=ROOT)
        return house

    return build


def test_a_collection_that_is_killed_anywhere_is_finished_by_the_next(house):
    for step in STEPS:
        here = house(step)
        with here.open() as metadata:
            namespace = metadata.namespace("images")
            for number in range(3):
                namespace.add(bytes([number]))
            namespace.delete(Digest.of(bytes([0])))
        died = here.die(step, lambda namespace, collector: collector.collect())
        with here.open() as metadata:
            assert b"rooted" in check_whole(metadata)
            for number in range(2):  # nobody waits for the dead, and what comes back stays
                metadata.namespace("images").add(bytes([number]), labels=ROOT)
            metadata.collect()
            assert check_whole(metadata) == {b"rooted", bytes([0]), bytes([1])}
            assert {metadata.content.read(blob.digest) for blob in metadata.content.blobs()} == {
                b"rooted",
                bytes([0]),
                bytes([1]),
            }
        if not died:
            assert step > 8  # the test went through the steps of a collection
            return
    pytest.fail("the collection has more steps than this test")


def add(namespace, collector):
    namespace.add(b"new")


def add_a_batch(namespace, collector):
    with namespace.batch() as batch:
        batch.add(b"new")
        batch.add(b"newer")


def commit(namespace, collector):
    with namespace.writer("ref") as writer:
        writer.write(b"new")
        writer.commit()


def delete(namespace, collector):
    namespace.delete(Digest.of(b"rooted"))


@pytest.mark.parametrize("act", [add, add_a_batch, commit, delete], ids=lambda act: act.__name__)
def test_what_a_killed_call_leaves_goes_within_a_day(house, clock, act):
    for step in STEPS:
        here = house(step)
        died = here.die(step, act)
        with here.open() as metadata:
            check_whole(metadata)
            clock.pass_by(DAY + SECOND)
            metadata.collect()
            left = {metadata.content.read(blob.digest) for blob in metadata.content.blobs()}
            assert left == check_whole(metadata)
            assert left == ({b"rooted"} if died or act is not delete else set())
            assert list(metadata.content.ingests()) == []
        if not died:
            assert step > 0
            return
    pytest.fail("the call has more steps than this test")


def test_bytes_that_were_there_before_a_killed_call_are_left(house, clock):
    """They are not this database's; only what the call brought would be."""
    for step in STEPS:
        here = house(step)
        digest = LocalStore(here.folder / "root").add(b"new").digest
        died = here.die(step, add)
        if not died:
            return
        with here.open() as metadata:
            clock.pass_by(DAY + SECOND)
            metadata.collect()
            assert metadata.content.read(digest) == b"new"
    pytest.fail("the call has more steps than this test")


def test_a_label_that_was_acknowledged_outlives_a_kill(house):
    def act(namespace, collector):
        namespace.label(Digest.of(b"rooted"), {"color": "red"})

    for step in STEPS:
        here = house(step)
        died = here.die(step, act)
        with here.open() as metadata:
            labels = metadata.namespace("images").blob(Digest.of(b"rooted")).labels
            assert dict(labels) == (ROOT if died else {**ROOT, "color": "red"})
        if not died:
            return
