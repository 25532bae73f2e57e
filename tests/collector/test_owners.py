"""A namespace that somebody else collects, on both engines: nothing is taken from it."""

import shutil

import pytest

from lading.content.catalog import OWNER
from lading.errors import NotFound
from lading.metadata.catalog import Metadata
from lading.metadata.collector import OWNED, Collector
from tests.collector.clock import DAY

THEIRS = {OWNER: "containerd"}


@pytest.fixture(params=["sqlite", "postgresql"])
def metadata(request, tmp_path, content, clock):
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('empty_database'), tmp_path)}"
    else:
        url = request.getfixturevalue("emptied_postgresql")
    with Metadata(url, content=content, clock=clock) as metadata:
        yield metadata


@pytest.fixture
def owned(metadata):
    metadata.label_namespace("theirs", THEIRS)
    return metadata.namespace("theirs")


def test_blobs_of_an_owned_namespace_stay_though_nothing_reaches_them(
    metadata, owned, content, collector
):
    theirs, ours = owned.add(b"theirs"), metadata.namespace("ours").add(b"ours")
    assert collector.collect()[:3] == (1, 4, 1)
    assert owned.read(theirs.digest) == b"theirs"
    assert ours.digest not in content


def test_bytes_that_an_owned_namespace_shares_stay_for_it(metadata, owned, collector):
    digest = owned.add(b"shared").digest
    metadata.namespace("ours").add(b"shared")
    assert collector.collect()[:3] == (0, 0, 1)
    assert owned.read(digest) == b"shared"


def test_what_the_owner_deletes_goes_with_its_bytes(owned, content, collector):
    digest = owned.add(b"theirs").digest
    owned.delete(digest)
    assert collector.collect()[:3] == (1, 6, 0)
    assert digest not in content


def test_an_idle_ingest_of_an_owned_namespace_stays(metadata, owned, collector, clock):
    for scope in (owned, metadata.namespace("ours")):
        with scope.writer("ref") as writer:
            writer.write(b"half")
    clock.pass_by(2 * DAY)
    assert [idle.namespace for idle in metadata.idle_ingests()] == ["ours"]
    assert collector.collect().ingests == 1
    assert owned.ingest("ref").offset == 4
    with pytest.raises(NotFound):
        metadata.namespace("ours").ingest("ref")


def test_no_collection_is_due_for_an_ingest_of_an_owned_namespace(metadata, owned, collector):
    with owned.writer("ref") as writer:
        writer.write(b"half")
    assert collector.due_ns(0) is None
    with metadata.namespace("ours").writer("ref") as writer:
        writer.write(b"half")
    assert collector.due_ns(0) is not None


def test_the_ledger_says_that_the_owner_collects(metadata, owned):
    digest = owned.add(b"theirs").digest
    held = owned.lease("mine").add(b"held").digest
    reasons = {line.digest: line.reason for line in metadata.ledger()}
    assert reasons == {digest: OWNED, held: "lease mine"}


def test_a_namespace_without_its_label_is_collected_again(metadata, owned, collector):
    owned.add(b"theirs")
    metadata.label_namespace("theirs", {OWNER: ""})
    assert collector.collect()[:3] == (1, 6, 1)


def test_a_namespace_whose_label_only_speaks_of_an_owner_is_collected(metadata, collector):
    metadata.label_namespace("ours", {"note": f'"{OWNER}"', f"{OWNER}s": "none"})
    metadata.namespace("ours").add(b"ours")
    assert collector.collect().rows == 1


class Taking:
    """A database at which somebody takes the namespace over, before one certain transaction."""

    def __init__(self, database, kind, number, take):
        self.database, self.kind, self.number, self.take = database, kind, number, take

    def __getattr__(self, name):
        if name == self.kind:
            self.number -= 1
            if self.number == 0:
                self.take()
        return getattr(self.database, name)


@pytest.mark.parametrize(
    ("kind", "number"),
    [pytest.param("read", 3, id="before it is marked"), pytest.param("note", 1, id="after that")],
)
def test_a_namespace_that_is_taken_over_while_a_collection_runs_is_left(
    metadata, content, clock, kind, number
):
    digest = metadata.namespace("theirs").add(b"theirs").digest
    database = Taking(
        metadata.database, kind, number, lambda: metadata.label_namespace("theirs", THEIRS)
    )
    done = Collector(database, content, clock).collect()
    assert [record.labels for record in metadata.namespaces()] == [THEIRS]
    assert (done.rows, done.blobs) == (0, 0)
    assert metadata.namespace("theirs").read(digest) == b"theirs"
