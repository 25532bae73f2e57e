"""Whatever is done while a collection runs, and whenever in it: what was acknowledged stays.

Each example is one order of the steps of both, made by `Turns`. At the moment at which a call has
returned, whatever it made reachable and was there has to be there for good, bytes included.
"""

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.content.catalog import Resource
from lading.content.transfer import ingest
from lading.errors import AlreadyExists, NotFound, Unavailable
from lading.metadata import claims, collector
from lading.metadata.catalog import Metadata
from lading.metadata.collector import Collector
from lading.metadata.graph import Graph
from lading.metadata.namespace import Namespace
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.collector.clock import DAY, Clock
from tests.collector.turns import SteppingDatabase, SteppingStore, Turns

pytestmark = pytest.mark.slow

REF = "containerd.io/gc.ref.content.0"
ROOT = "containerd.io/gc.root"
EXPIRE = "containerd.io/gc.expire"
PARENT, CHILD, ROOTED = Digest.of(b"parent"), Digest.of(b"child"), Digest.of(b"rooted")
TARGET = Descriptor("application/octet-stream", PARENT, len(b"parent"))
EXAMPLES = {"sqlite": 8, "postgresql": 1}
STRIDES = {"sqlite": 1, "postgresql": 4}
"""How far apart the places are at which one cuts in. Each action has others, so that the actions
have all of them among themselves."""


# What a call gives is what is there once it has returned. Those that give nothing promise only that
# what they reach stays, if it was there.


def add(lease):
    return {lease.add(b"parent", labels={REF: CHILD}).digest}


def batch(lease):
    with lease.batch() as batch:
        batch.add(b"parent")
        batch.add(b"child")
    return {PARENT, CHILD}


def commit(lease):
    with lease.writer("ref") as writer:
        writer.write(b"parent")
        return {writer.commit(labels={REF: CHILD}).digest}


def commit_without_sending(lease):
    with lease.writer("ref", expected=PARENT, total=len(b"parent")) as writer:
        if writer.offset == 0:
            writer.write(b"parent")
        return {writer.commit().digest}


def take_in(lease):
    return {ingest(lease, "ref", io.BytesIO(b"parent"), expected=PARENT).digest}


def find_that_it_already_exists(lease):
    lease.writer("ref", expected=PARENT).close()


def label_as_a_root(lease):
    lease.label(PARENT, {ROOT: "now"})


def refer_to_it(lease):
    lease.label(ROOTED, {REF: PARENT})


def refer_back_from_it(lease):
    lease.label(PARENT, {"containerd.io/gc.bref.content": ROOTED})


def create_an_image(lease):
    lease.images.create("new", TARGET)


def update_an_image(lease):
    lease.images.update("old", target=TARGET)


def free_an_image_of_its_expiry(lease):
    lease.images.update("expired", labels={EXPIRE: ""}, fields=[f"labels.{EXPIRE}"])


def hold_it(lease):
    lease.hold(Resource("content", PARENT))


def hold_an_expired_image(lease):
    lease.hold(Resource("images", "expired"))


def delete_and_add(lease):
    lease.delete(PARENT)
    return {lease.add(b"parent").digest}


def add_elsewhere(lease):
    other = Namespace(
        "other",
        database=lease._database,
        content=lease._content,
        clock=lease._clock,
        shared=True,
    )
    other.add(b"parent", labels={ROOT: "now"})


ACTIONS = (
    add,
    add_elsewhere,
    batch,
    commit,
    commit_without_sending,
    create_an_image,
    delete_and_add,
    find_that_it_already_exists,
    free_an_image_of_its_expiry,
    hold_an_expired_image,
    hold_it,
    label_as_a_root,
    refer_back_from_it,
    refer_to_it,
    take_in,
    update_an_image,
)


class Scene:
    """A namespace with something to collect, and two that act on it in turns."""

    def __init__(self, folder, databases, order):
        self.turns = Turns(order)
        self.clock = Clock()
        store = SteppingStore(Path(folder) / "root")
        store.turns = self.turns
        self.content = LocalStore(store.root)
        url = databases.new(folder)
        self.metadata = Metadata(url, content=self.content, clock=self.clock)
        self.namespace = self.metadata.namespace("images")
        self._fill()
        stepping = SteppingDatabase(self.metadata.database, self.turns)
        self.collector = Collector(stepping, store, self.clock)
        acting = Namespace(
            "images", database=stepping, content=store, clock=self.clock, shared=True
        )
        self.lease = acting.leased("lease")

    def _fill(self):
        namespace = self.namespace
        namespace.add(b"child")
        namespace.add(b"parent", labels={REF: CHILD})
        rooted = namespace.add(b"rooted", labels={ROOT: "now"})
        target = Descriptor("application/octet-stream", rooted.digest, rooted.size)
        namespace.images.create("old", target)
        namespace.images.create("expired", TARGET, labels={EXPIRE: self.clock.text(-DAY)})
        namespace.lease("lease", expires_in=2 * DAY)

    def reachable(self):
        """Every blob that is there, and that a collection would keep now."""
        found = set()
        for name in ("images", "other"):
            graph = self.metadata.database.read(
                lambda session, name=name: Graph(session, name, self.clock())
            )
            blobs = self.metadata.namespace(name).blobs()
            found |= {(name, blob.digest) for blob in blobs if graph.reason(blob.digest)}
        return found

    def act(self, action):
        """Give what has to stay; nothing, if the call was refused."""
        promised = set()
        try:
            promised = action(self.lease) or promised
        except AlreadyExists:
            promised = {PARENT}
        except NotFound:
            return set()
        return self.reachable() | {("images", digest) for digest in promised}

    def check(self, acknowledged):
        """See that everything acknowledged is there, and everything listed is whole."""
        for name, digest in acknowledged:
            assert Digest.of(self.metadata.namespace(name).read(digest)) == digest
        for blob in self.namespace.blobs():
            assert Digest.of(self.namespace.read(blob.digest)) == blob.digest


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """One row or digest a transaction, so that there is something between any two."""
    monkeypatch.setattr(collector, "ROW_STEP", 1)
    monkeypatch.setattr(collector, "BYTES_STEP", 1)


def check_an_order(order, action, folder, databases):
    """Have a call and a collection take turns; give how many steps each took."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        scene = Scene(root, databases, order)
        with scene.metadata:
            outcome = scene.turns.play(
                {"actor": lambda: scene.act(action), "collector": scene.collector.collect}
            )
            for each in outcome.values():
                if isinstance(each, BaseException):
                    raise each
            scene.check(outcome["actor"])
            scene.metadata.collect()
            scene.check(outcome["actor"])
    return scene.turns.taken


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_what_is_acknowledged_while_a_collection_runs_stays(action, quick_folder, databases):
    @given(st.lists(st.sampled_from(["actor", "collector"]), max_size=30))
    @settings(max_examples=EXAMPLES[databases.engine])
    def check(order):
        check_an_order(order, action, quick_folder, databases)

    check()


@pytest.mark.parametrize("first", ["actor", "collector"])
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_what_is_acknowledged_stays_wherever_one_cuts_in_on_the_other(
    action, first, quick_folder, databases
):
    second = {"actor": "collector", "collector": "actor"}[first]
    stride = STRIDES[databases.engine]
    for steps in range(ACTIONS.index(action) % stride, 50, stride):
        order = [first] * steps + [second] * 50
        if check_an_order(order, action, quick_folder, databases)[first] < steps:
            return
    pytest.fail("the call has more steps than this test")


def test_a_second_collection_is_refused_and_the_first_one_goes_on(databases, tmp_path):
    scene = Scene(tmp_path, databases, ["a"] * 6 + ["b"] * 10)
    outcome = scene.turns.play({"a": scene.collector.collect, "b": scene.collector.collect})
    assert isinstance(outcome["b"], Unavailable)
    assert outcome["a"].rows == 2
    scene.metadata.close()


def test_bytes_that_are_being_deleted_are_waited_for(databases, tmp_path, monkeypatch):
    """The collector stands still in its deletion, as a process that was stopped does."""
    monkeypatch.setattr(claims, "WAIT", DAY * 0)
    scene = Scene(tmp_path, databases, [])

    class Stopped(LocalStore):
        refusals = 0

        def delete(self, digest):
            for call in (lambda: scene.namespace.add(data), lambda: commit_as("late", data)):
                with pytest.raises(Unavailable, match="is deleting it"):
                    call()
                self.refusals += 1
            super().delete(digest)

    def commit_as(ref, data):
        with scene.namespace.writer(ref) as writer:
            if not writer.offset:
                writer.write(data)
            writer.commit()

    data = b"parent"
    scene.namespace.delete(CHILD)
    scene.metadata.collect()  # the child and the parent
    scene.namespace.add(data)
    stopped = Stopped(scene.content.root)
    Collector(scene.metadata.database, stopped, scene.clock).collect()
    assert stopped.refusals == 2
    commit_as(
        "late", data
    )  # the ingest is still there, and a collection that has ended waits for nobody
    assert scene.namespace.read(PARENT) == data
    scene.metadata.close()
