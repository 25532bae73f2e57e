"""Over random graphs with cycles, a collection keeps what a walk keeps.

The model knows labels, leases and images as they were set, and walks the whole graph naively.
"""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lading.content.catalog import Resource
from lading.errors import NotFound
from lading.metadata.catalog import Metadata
from lading.metadata.collector import Collector
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.collector.clock import Clock

pytestmark = pytest.mark.slow

EXAMPLES = {"sqlite": 40, "postgresql": 8}
DATA = [bytes([number]) for number in range(7)]
DIGESTS = [Digest.of(data) for data in DATA]
NUMBERS = st.integers(0, len(DATA) - 1)
NAMESPACES = st.sampled_from(["one", "two"])
NAMES = st.sampled_from(["a", "b"])
HOURS = st.integers(1, 30)
FIELDS = st.sampled_from(["", ".0", "/x", ".l.1"])
ROOT, EXPIRE, FLAT = "containerd.io/gc.root", "containerd.io/gc.expire", "containerd.io/gc.flat"
REF, BACK = "containerd.io/gc.ref.content", "containerd.io/gc.bref.content"


class Side:
    """What the model knows of one namespace."""

    def __init__(self):
        self.labels = {}  # digest: labels
        self.expiries = {}  # digest: when its gc.expire says
        self.images = {}  # name: (digest, expiry)
        self.leases = {}  # id: (expiry, is flat, {digest or ("image", name)})

    def edges(self, digest):
        for key, value in self.labels.get(digest, {}).items():
            if key.startswith(REF):
                yield value
        for other, labels in self.labels.items():
            for key, value in labels.items():
                if key.startswith(BACK) and value == digest:
                    yield other

    def held(self, now_ns, *, flat):
        """What leases hold that are flat, or are not."""
        for expiry, is_flat, held in self.leases.values():
            if expiry > now_ns and is_flat == flat:
                for each in held:
                    yield each if isinstance(each, str) else self.images.get(each[1], (None,))[0]

    def kept(self, now_ns):
        roots, flat = set(self.held(now_ns, flat=False)), set(self.held(now_ns, flat=True))
        for digest, labels in self.labels.items():
            if ROOT in labels and self.expiries.get(digest, now_ns + 1) > now_ns:
                roots.add(digest)
        roots |= {
            digest for digest, expiry in self.images.values() if expiry is None or expiry > now_ns
        }
        seen, waiting = set(), roots
        while waiting:
            digest = waiting.pop()
            if digest not in seen:
                seen.add(digest)
                waiting |= set(self.edges(digest))
        return (seen | flat) & self.labels.keys()

    def forget(self, digest):
        self.labels.pop(digest)
        self.expiries.pop(digest, None)
        for _, _, held in self.leases.values():
            held.discard(digest)


class GraphMachine(RuleBasedStateMachine):
    """Drives the metadata and the model with the same calls."""

    databases = place = None  # set by the test

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=self.place)
        self.clock = Clock()
        self.content = LocalStore(Path(self.folder.name) / "root")
        url = self.databases.new(self.folder.name)
        self.metadata = Metadata(url, content=self.content, clock=self.clock)
        self.collector = Collector(self.metadata.database, self.content, self.clock)
        self.sides = {"one": Side(), "two": Side()}
        self.condemned = set()

    def teardown(self):
        self.collect()
        self.metadata.close()
        self.folder.cleanup()

    @initialize(
        edges=st.lists(st.tuples(NAMESPACES, NUMBERS, NUMBERS, FIELDS, st.booleans()), max_size=20),
        roots=st.sets(st.tuples(NAMESPACES, NUMBERS), min_size=1, max_size=3),
    )
    def fill(self, edges, roots):
        for name in self.sides:
            for number in range(len(DATA)):
                self.add(name, number, None)
        for edge in edges:
            self.refer(*edge)
        for name, number in roots:
            self.root(name, number, "1")

    @rule(name=NAMESPACES, number=NUMBERS, lease=st.none() | NAMES)
    def add(self, name, number, lease):
        side, digest = self.sides[name], DIGESTS[number]
        store = self.metadata.namespace(name)
        if lease in side.leases:
            store = store.leased(lease)
            side.leases[lease][2].add(digest)
        store.add(DATA[number])
        side.labels.setdefault(digest, {})

    @rule(name=NAMESPACES, source=NUMBERS, end=NUMBERS, field=FIELDS, back=st.booleans())
    def refer(self, name, source, end, field, back):
        self._label(name, DIGESTS[source], {f"{BACK if back else REF}{field}": DIGESTS[end]})

    @rule(name=NAMESPACES, number=NUMBERS, field=FIELDS, back=st.booleans())
    def refer_no_more(self, name, number, field, back):
        self._label(name, DIGESTS[number], {f"{BACK if back else REF}{field}": ""})

    @rule(name=NAMESPACES, number=NUMBERS, value=st.sampled_from(["", "1"]))
    def root(self, name, number, value):
        self._label(name, DIGESTS[number], {ROOT: value})

    @rule(name=NAMESPACES, number=NUMBERS, hours=HOURS)
    def expire(self, name, number, hours):
        span = timedelta(hours=hours)
        if self._label(name, DIGESTS[number], {EXPIRE: self.clock.text(span)}):
            self.sides[name].expiries[DIGESTS[number]] = self._after(span)

    @rule(name=NAMESPACES, number=NUMBERS)
    def delete(self, name, number):
        side, digest = self.sides[name], DIGESTS[number]
        if digest in side.labels:
            self.metadata.namespace(name).delete(digest)
            side.forget(digest)

    @rule(name=NAMESPACES, image=NAMES, number=NUMBERS, hours=st.none() | HOURS)
    def name(self, name, image, number, hours):
        side, images = self.sides[name], self.metadata.namespace(name).images
        labels, expiry = {}, None
        if hours is not None:
            labels = {EXPIRE: self.clock.text(timedelta(hours=hours))}
            expiry = self._after(timedelta(hours=hours))
        change = images.update if image in side.images else images.create
        target = Descriptor("application/octet-stream", DIGESTS[number], 1)
        if change == images.create:
            images.create(image, target, labels=labels)
        else:
            images.update(image, target=target, labels=labels)
        side.images[image] = (DIGESTS[number], expiry)

    @rule(name=NAMESPACES, image=NAMES)
    def name_no_more(self, name, image):
        side = self.sides[name]
        if image in side.images:
            self.metadata.namespace(name).images.delete(image)
            del side.images[image]
            for _, _, held in side.leases.values():
                held.discard(("image", image))

    @rule(name=NAMESPACES, lease=NAMES, hours=HOURS, is_flat=st.booleans())
    def lease(self, name, lease, hours, is_flat):
        side, span = self.sides[name], timedelta(hours=hours)
        if lease not in side.leases:
            labels = {FLAT: "true"} if is_flat else {}
            self.metadata.namespace(name).lease(lease, expires_in=span, labels=labels)
            side.leases[lease] = (self._after(span), is_flat, set())

    @rule(name=NAMESPACES, lease=NAMES, held=NUMBERS | NAMES)
    def hold(self, name, lease, held):
        side = self.sides[name]
        if lease not in side.leases:
            return
        if isinstance(held, str):
            resource, entry = Resource("images", held), ("image", held)
            if held not in side.images:
                return
        else:
            resource, entry = Resource("content", DIGESTS[held]), DIGESTS[held]
            if entry not in side.labels:
                return
        self.metadata.namespace(name).leased(lease).hold(resource)
        side.leases[lease][2].add(entry)

    @rule(name=NAMESPACES, lease=NAMES)
    def end_a_lease(self, name, lease):
        if self.sides[name].leases.pop(lease, None):
            self.metadata.namespace(name).leased(lease).end()

    @rule(hours=HOURS)
    def wait(self, hours):
        """Let time go by. What has expired meanwhile is collected, as the timer would."""
        self.clock.pass_by(timedelta(hours=hours))
        self.collect()

    @rule()
    def collect(self):
        planned = {
            (line.namespace, line.digest): line.reason
            for line in self.collector.ledger()
            if line.namespace
        }
        rows, before = 0, {blob.digest for blob in self.content.blobs()}
        kept = {}
        for name, side in self.sides.items():
            kept[name] = side.kept(self.clock())
            for digest in list(side.labels):
                assert (planned.pop((name, digest)) is not None) == (digest in kept[name])
            for digest in side.labels.keys() - kept[name]:
                side.forget(digest)
                rows += 1
            for lease in [id_ for id_, found in side.leases.items() if found[0] <= self.clock()]:
                del side.leases[lease]
        assert planned == {}
        done = self.collector.collect()
        wanted = set().union(*(side.labels for side in self.sides.values()))
        assert {blob.digest for blob in self.content.blobs()} == wanted
        assert (done.rows, done.blobs, done.bytes) == (rows, *[len(before - wanted)] * 2)

    @invariant()
    def every_namespace_has_what_the_model_has(self):
        for name, side in self.sides.items():
            namespace = self.metadata.namespace(name)
            assert {blob.digest: dict(blob.labels) for blob in namespace.blobs()} == side.labels
            assert all(namespace.read(digest) for digest in side.labels)

    def _label(self, name, digest, labels):
        side = self.sides[name]
        try:
            self.metadata.namespace(name).label(digest, labels)
        except NotFound:
            assert digest not in side.labels
            return False
        for key, value in labels.items():
            side.labels[digest].pop(key, None)
            if value:
                side.labels[digest][key] = value
        return True

    def _after(self, span):
        return self.clock() + span // timedelta(microseconds=1) * 1000


def test_a_collection_keeps_what_a_walk_over_the_whole_graph_keeps(databases, quick_folder):
    machine = type("Machine", (GraphMachine,), {"databases": databases, "place": quick_folder})
    examples = EXAMPLES[databases.engine]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=15)
    )
