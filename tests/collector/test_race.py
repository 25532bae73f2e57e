"""Eight processes on one store: six that add, pull, label, lease and delete, and two that collect.

Each is its own referee: it knows what it was promised, and reads all of it again and again. What it
deletes, or frees, it strikes from its list first. LADING_RACE_SECONDS makes it last longer.
"""

import io
import os
import random
import shutil
import time
import traceback
from datetime import timedelta

import pytest

from lading.content.transfer import ingest
from lading.errors import AlreadyExists, Unavailable
from lading.metadata.catalog import Metadata
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("LADING_RACE_SECONDS", "8"))
SHARED = [b"layer %d" % number * 100 for number in range(12)]
NAMESPACES = ("one", "two")
WORKERS, COLLECTORS = 6, 2
ROOT = "containerd.io/gc.root"
REF = "containerd.io/gc.ref.content"


class Worker:
    """Does what clients do, in any order, and believes every promise."""

    def __init__(self, metadata, number):
        self.metadata, self.number, self.made = metadata, number, 0
        self.random = random.Random(number)  # noqa: S311 - it keeps no secret
        self.promised = {}  # (namespace, the name of its root): {digest: data}

    def run(self, until):
        acts = [self.pull] * 4 + [self.root] * 2 + [self.forget] * 5 + [self.look, self.give_up]
        while time.monotonic() < until:
            self.random.choice(acts)()
            self.check()
        return self.made

    def pull(self):
        """Layers, some there already, then a manifest, then the image, all under a lease."""
        namespace = self.namespace()
        layers = self.random.sample(SHARED, 3)
        with namespace.lease(expires_in=timedelta(hours=1)) as lease:
            held = {}
            for layer in layers:
                held[self.bring(lease, layer)] = layer
                self.check_one(namespace, held)
            data = self.unique()
            labels = {f"{REF}.l.{index}": digest for index, digest in enumerate(held)}
            held[lease.add(data, labels=labels).digest] = data
            self.check_one(namespace, held)
            name = f"image-{self.number}-{self.made}"
            target = Descriptor("application/json", Digest.of(data), len(data))
            namespace.images.create(name, target)
        self.promised[namespace.name, name] = held

    def root(self):
        """A blob that is labelled before its lease ends, and refers to a layer."""
        namespace = self.namespace()
        data, layer = self.unique(), self.random.choice(SHARED)
        with namespace.lease(expires_in=timedelta(hours=1)) as lease:
            digest = lease.add(data).digest
            found = self.bring(lease, layer)
            lease.label(digest, {ROOT: "now", f"{REF}.0": found})
        self.promised[namespace.name, digest] = {digest: data, found: layer}

    def forget(self):
        """Take a root away, and look only at the others from then on."""
        if len(self.promised) < 3:
            return
        name, root = self.random.choice(sorted(self.promised))
        del self.promised[name, root]
        namespace = self.metadata.namespace(name)
        if root.startswith("image-"):
            namespace.images.delete(root)
        elif self.random.random() < 0.5:
            namespace.label(root, {ROOT: ""})
        else:
            namespace.delete(root)

    def give_up(self):
        """A transfer that ends in the middle, and a lease that ends with it."""
        with self.namespace().lease() as lease, lease.writer(f"given up {self.number}") as writer:
            if not writer.offset:
                writer.write(self.random.choice(SHARED)[:50])

    def look(self):
        """Whatever is listed and still there is whole."""
        namespace = self.namespace()
        for blob in namespace.blobs():
            assert blob.size > 0

    def bring(self, lease, data):
        digest = Digest.of(data)
        match self.random.randrange(4):
            case 0:
                lease.add(data)
            case 1:
                with lease.batch() as batch:
                    batch.add(data)
            case 2:
                ingest(lease, self.ref(), io.BytesIO(data), expected=digest, total=len(data))
            case 3:
                try:
                    with lease.writer(self.ref()) as writer:
                        writer.write(data)
                        writer.commit(expected=digest)
                except AlreadyExists:
                    pass  # and held, all the same
        return digest

    def check(self):
        for (name, _), held in self.promised.items():
            self.check_one(self.metadata.namespace(name), held)

    def check_one(self, namespace, held):
        for digest, data in held.items():
            assert namespace.read(digest) == data
            assert self.metadata.content.read(digest) == data

    def namespace(self):
        return self.metadata.namespace(self.random.choice(NAMESPACES))

    def unique(self):
        self.made += 1
        return b"made by %d: %d" % (self.number, self.made)

    def ref(self):
        self.made += 1
        return f"{self.number} {self.made}"


def collect(metadata, until):
    done = 0
    while time.monotonic() < until:
        try:
            done += metadata.collect().blobs
        except Unavailable:
            time.sleep(0.001)  # the other one is at it
    return done


def run(number, open_metadata, folder, until):
    """One process; what it did, or what went wrong, is in its file."""
    child = os.fork()
    if child:
        return child
    try:
        with open_metadata() as metadata:
            if number < WORKERS:
                outcome = Worker(metadata, number).run(until)
            else:
                outcome = collect(metadata, until)
        (folder / f"{number}.done").write_text(str(outcome))
    except BaseException:  # noqa: BLE001 - the parent tells of it
        (folder / f"{number}.failed").write_text(traceback.format_exc())
    finally:
        os._exit(0)


def race(folder, open_metadata):
    until = time.monotonic() + SECONDS
    children = [run(n, open_metadata, folder, until) for n in range(WORKERS + COLLECTORS)]
    for child in children:
        os.waitpid(child, 0)
    failures = [path.read_text() for path in sorted(folder.glob("*.failed"))]
    assert not failures, failures[0]
    done = [int((folder / f"{n}.done").read_text()) for n in range(WORKERS + COLLECTORS)]
    assert all(done[:WORKERS]), "a worker did nothing"
    assert sum(done[WORKERS:]), "nothing was collected"


def check_end(metadata):
    """See that a last collection leaves neither a row without bytes nor bytes without a row."""
    assert metadata.collect().failed == ()
    rows = {blob.digest for name in NAMESPACES for blob in metadata.namespace(name).blobs()}
    assert {blob.digest for blob in metadata.content.blobs()} == rows


def race_to_the_end(folder, url):
    def open_metadata():
        return Metadata(url, content=LocalStore(folder / "root"))

    race(folder, open_metadata)
    with open_metadata() as metadata:
        check_end(metadata)


def test_nothing_that_is_reachable_is_ever_missing_on_sqlite(tmp_path, empty_database):
    url = f"sqlite:///{shutil.copy(empty_database, tmp_path)}"
    race_to_the_end(tmp_path, url)


def test_nothing_that_is_reachable_is_ever_missing_on_postgresql(tmp_path, emptied_postgresql):
    race_to_the_end(tmp_path, emptied_postgresql)
