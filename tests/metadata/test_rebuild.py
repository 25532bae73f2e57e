"""Adoption: a database made anew from the blobs alone, stopped anywhere, and told what is wrong."""

import os
import signal
import subprocess
import sys

import pytest

from lading import Digest
from lading.content.catalog import ADOPTED
from lading.errors import InvalidArgument, Unavailable
from lading.metadata import Metadata
from lading.metadata import rebuild as adoption
from lading.metadata.claims import COLLECTOR, claim
from lading.metadata.rebuild import ADOPTING, finish_adoption, missing, orphans, rebuild
from lading.stores.local.store import LocalStore

NOW_NS = 1_790_000_000_000_000_000


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


@pytest.fixture
def metadata(url, store):
    with Metadata(url, content=store, clock=lambda: NOW_NS) as opened:
        yield opened


@pytest.fixture
def steps_of_two(monkeypatch):
    """Adopt two blobs in a transaction, so that few blobs are many transactions."""
    monkeypatch.setattr(adoption, "_STEP", 2)


def add_some(store, count=5):
    return {store.add(f"blob {number}".encode()).digest for number in range(count)}


def adopted(metadata, name="default"):
    return {blob.digest: blob for blob in metadata.namespace(name).blobs()}


def rebuilt(metadata, name="default"):
    return list(rebuild(metadata, name, now_ns=NOW_NS))


def held(metadata, name="default"):
    return {resource.id for resource in metadata.namespace(name).leased(ADOPTED).resources()}


def test_every_orphan_is_adopted_with_its_size_and_age(metadata, store, steps_of_two):
    digests = add_some(store)
    found = rebuilt(metadata)
    assert {(each.kind, each.name) for each in found} == {("adopted", name) for name in digests}
    assert adopted(metadata) == {digest: store.blob(digest) for digest in digests}


def test_a_collection_after_it_deletes_nothing(metadata, store, steps_of_two):
    digests = add_some(store)
    rebuilt(metadata)
    assert held(metadata) == digests
    assert metadata.collect()[:4] == (0, 0, 0, 0)
    assert set(adopted(metadata)) == digests


def test_what_the_lease_alone_kept_goes_when_it_is_ended(metadata, store):
    add_some(store)
    rebuilt(metadata)
    metadata.namespace("default").leased(ADOPTED).end()
    metadata.collect()
    assert list(store.blobs()) == []


def test_a_second_time_it_finds_nothing(metadata, store):
    add_some(store)
    rebuilt(metadata)
    assert rebuilt(metadata) == []
    assert list(orphans(metadata)) == []


def test_a_namespace_that_needs_none_is_not_made(metadata):
    assert rebuilt(metadata) == []
    assert list(metadata.namespaces()) == []


def test_a_blob_that_some_namespace_has_is_no_orphan(metadata, store):
    digest = metadata.namespace("images").add(b"bytes").digest
    assert rebuilt(metadata) == []
    assert digest not in metadata.namespace("default")


def test_a_blob_that_was_deleted_is_not_brought_back(metadata, store):
    digest = metadata.namespace("images").add(b"bytes").digest
    metadata.namespace("images").delete(digest)
    assert digest in store
    assert rebuilt(metadata) == list(orphans(metadata)) == []
    assert metadata.collect().blobs == 1


def test_a_blob_that_somebody_brings_in_is_left_to_them(metadata, store):
    digest = Digest.of(b"bytes")
    claim(metadata.database, digest, NOW_NS)
    store.add(b"bytes")
    assert rebuilt(metadata) == list(orphans(metadata)) == []


def test_looking_for_orphans_changes_nothing(metadata, store):
    digests = add_some(store)
    assert {blob.digest for blob in orphans(metadata)} == digests
    assert list(metadata.namespaces()) == []


def test_no_collection_runs_meanwhile(metadata, store):
    add_some(store)
    running = rebuild(metadata, "default", now_ns=NOW_NS)
    next(running)
    with pytest.raises(Unavailable):
        metadata.collect()
    list(running)
    metadata.collect()


def test_it_waits_for_no_collection_for_ever(metadata, store, monkeypatch):
    monkeypatch.setattr(adoption, "_WAIT", None)
    digests = add_some(store)
    with metadata.database.hold(COLLECTOR), pytest.raises(Unavailable):
        rebuilt(metadata)
    assert {blob.digest for blob in orphans(metadata)} == digests


def test_a_name_that_is_none_is_refused_and_nothing_is_adopted(metadata, store):
    add_some(store)
    with pytest.raises(InvalidArgument):
        rebuilt(metadata, "a/b")
    assert list(metadata.namespaces()) == []


def test_a_row_without_its_file_is_told_until_the_bytes_come_again(metadata, store):
    images = metadata.namespace("images")
    kept, gone = images.add(b"kept").digest, images.add(b"gone").digest
    store.path(gone).unlink()
    (found,) = rebuilt(metadata)
    assert found == ("missing", "images", gone, 4)
    assert {kept, gone} == set(adopted(metadata, "images"))
    images.add(b"gone")
    assert list(missing(metadata)) == []


def test_an_ingest_is_resumed_in_the_namespace_that_began_it(tmp_path, metadata, store):
    with metadata.namespace("images").writer("a/layer", total=12) as writer:
        writer.write(b"hello, ")
    with Metadata(f"sqlite:///{tmp_path}/new.db", content=store, clock=lambda: NOW_NS) as anew:
        assert rebuilt(anew) == [("resumable", "images", "a/layer", 7)]
        assert rebuilt(anew) == []
        assert held(anew, "images") == {"a/layer"}
        assert anew.namespace("images").ingest("a/layer").offset == 7
        with anew.namespace("images").writer("a/layer") as writer:
            assert (writer.offset, writer.status().total) == (7, 12)
            writer.write(b"world")
            assert writer.commit().digest == Digest.of(b"hello, world")


def begin(store, ref):
    with store.writer(ref) as writer:
        writer.write(b"part")


def test_an_ingest_of_no_namespace_is_adopted_with_its_ref(metadata, store):
    refs = {"parts", "-/parts", "images/"}
    for ref in refs:
        begin(store, ref)
    assert set(rebuilt(metadata)) == {("resumable", "default", ref, 4) for ref in refs}
    default = metadata.namespace("default")
    assert {ingest.ref for ingest in default.ingests()} == held(metadata) == refs
    with default.writer("parts") as writer:
        assert writer.offset == 4
        assert writer.commit().digest == Digest.of(b"part")
    default.abort("-/parts")
    assert {ingest.ref for ingest in store.ingests()} == {"images/"}


def test_an_ingest_whose_ref_is_too_long_is_told_and_left(metadata, store):
    begin(store, "x" * 600)
    assert rebuilt(metadata) == [("orphan", None, "x" * 600, 4)]
    assert len(list(store.ingests())) == 1


def test_an_ingest_with_a_long_ref_goes_on_under_it_all_the_same(tmp_path, metadata, store):
    ref = "x" * 600
    begin(metadata.namespace("images"), ref)
    with Metadata(f"sqlite:///{tmp_path}/new.db", content=store, clock=lambda: NOW_NS) as anew:
        (found,) = rebuilt(anew)
        assert (found.kind, found.namespace) == ("resumable", "images")
        with anew.namespace("images").writer(ref) as writer:
            assert writer.offset == 4


def finished(metadata):
    return finish_adoption(metadata, "default", now_ns=NOW_NS)


def test_a_new_database_adopts_what_was_there_before_it(metadata, store):
    digests = add_some(store)
    assert {found.name for found in finished(metadata)} == digests
    assert set(adopted(metadata)) == held(metadata) == digests


def test_a_new_database_takes_every_ingest_for_one_that_had_no_namespace(metadata, store):
    begin(store, "images/parts")
    assert finished(metadata) == [("resumable", "default", "images/parts", 4)]
    assert metadata.namespace("default").ingest("images/parts").offset == 4


def test_a_database_that_is_not_new_adopts_by_order_only(metadata, store):
    metadata.namespace("images").add(b"bytes")
    digests = add_some(store)
    assert finished(metadata) == []
    assert {blob.digest for blob in orphans(metadata)} == digests


def test_what_was_interrupted_is_finished_at_the_next_opening(metadata, store, steps_of_two):
    digests = add_some(store)
    begin(store, "other/parts")
    running = rebuild(metadata, "images", now_ns=NOW_NS)
    next(running)
    running.close()
    assert 0 < len(adopted(metadata, "images")) < 5
    assert [found.namespace for found in finished(metadata)] == ["images"] * 3 + ["other"]
    assert set(adopted(metadata, "images")) == held(metadata, "images") == digests
    assert finished(metadata) == []
    assert [record.labels for record in metadata.namespaces()] == [{}, {}]


def test_the_labels_that_a_namespace_has_are_left_alone(metadata, store):
    metadata.label_namespace("default", {"team": "web"})
    add_some(store)
    rebuilt(metadata)
    assert [record.labels for record in metadata.namespaces()] == [{"team": "web"}]


# Ends itself in its n-th change of the database, before the change or after it.
KILLED = """
import os, signal, sys
from lading.metadata import Metadata, rebuild
from lading.stores.local.store import LocalStore

url, root, number, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
metadata = Metadata(url, content=LocalStore(root))
rebuild._STEP = 2
write, calls = metadata.database.write, 0

def counted(*arguments, **options):
    global calls
    calls += 1
    if calls == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = write(*arguments, **options)
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

metadata.database.write = counted
list(rebuild.rebuild(metadata, "default", now_ns=1))
print("done", calls)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_in_any_of_its_steps_it_is_finished_by_the_next(url, metadata, store, when):
    digests = add_some(store, 4)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for number in range(1, 20):
        command = [sys.executable, "-c", KILLED, url, store.root, str(number), when]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        # Whatever has a row has its lease, too: a collection now takes nothing.
        assert set(adopted(metadata)) <= digests
        assert metadata.collect()[:4] == (0, 0, 0, 0)
        assert {blob.digest for blob in store.blobs()} == digests
        finished(metadata)
        if any(ADOPTING in record.labels for record in metadata.namespaces()):
            raise AssertionError(number)
        if adopted(metadata):
            assert set(adopted(metadata)) == held(metadata) == digests
            forget(metadata)
    assert number > 4
    assert ended.stdout.startswith("done")
    assert set(adopted(metadata)) == held(metadata) == digests


def forget(metadata):
    """Lose every row, as if the database were new."""
    from lading.database.statements import Statement  # noqa: PLC0415 - for this alone

    tables = ("resources", "leases", "blobs", "condemned", "namespaces")
    statements = [Statement(f"DELETE FROM {table}") for table in tables]  # noqa: S608 - ours
    metadata.database.write(lambda session: [session.run(each) for each in statements])
