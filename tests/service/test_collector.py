"""lading.services.collector.v1, and the collections that deletions wait for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from lading.content.catalog import OWNER
from lading.content.collection import Collection
from lading.errors import FailedPrecondition, Unavailable
from lading.metadata.claims import COLLECTOR
from lading.rpc.collector_service import SharedCollections
from lading.rpc.protos import collector_pb2 as messages
from lading.rpc.protos import leases_pb2

PATH = "/lading.services.collector.v1.Collector/"
ROOT = {"containerd.io/gc.root": "1"}
NOTHING = Collection(0, 0, 0, 0, timedelta(0))
STREAMS = {
    "Ledger": (messages.LedgerRequest(), messages.LedgerLine),
    "IdleIngests": (messages.IdleIngestsRequest(), messages.IdleIngest),
    "UnknownIngests": (messages.UnknownIngestsRequest(), messages.UnknownIngest),
    "Orphans": (messages.OrphansRequest(), messages.Orphan),
    "Rebuild": (messages.RebuildRequest(namespace="a"), messages.Found),
}


def collect(service):
    request, answer = messages.CollectRequest(), messages.CollectResponse
    return service.unary(PATH + "Collect", request, answer, namespace=None)


def listed(service, method, request=None):
    usual, answer = STREAMS[method]
    return list(service.stream(PATH + method, request or usual, answer, namespace=None))


def code_of(function, *arguments):
    with pytest.raises(grpc.RpcError) as caught:
        function(*arguments)
    return caught.value.code()


def test_a_collection_is_made_and_says_what_it_did(service):
    service.catalog.namespace("a").add(b"goes")
    service.catalog.namespace("b").add(b"goes")
    service.catalog.namespace("a").add(b"stays", labels=ROOT)
    done = collect(service)
    took = done.took.ToTimedelta()
    assert timedelta(0) < took < timedelta(seconds=30)
    done.ClearField("took")
    assert done == messages.CollectResponse(blobs=1, bytes=4, rows=2)


def test_a_collection_beside_another_one_is_unavailable(service):
    with service.catalog.database.hold(COLLECTOR, timedelta(0)):
        assert code_of(collect, service) == grpc.StatusCode.UNAVAILABLE
    collect(service)


def test_the_ledger_says_what_goes_and_why_the_rest_stays(service):
    namespace = service.catalog.namespace("a")
    goes, stays = namespace.add(b"goes"), namespace.add(b"stays", labels=ROOT)
    service.catalog.label_namespace("b", {OWNER: "containerd"})
    theirs = service.catalog.namespace("b").add(b"theirs")
    lines = {line.digest: line for line in listed(service, "Ledger")}
    assert lines == {
        goes.digest: messages.LedgerLine(namespace="a", digest=goes.digest, size=4),
        stays.digest: messages.LedgerLine(
            namespace="a", digest=stays.digest, size=5, reason="labelled as a root"
        ),
        theirs.digest: messages.LedgerLine(
            namespace="b", digest=theirs.digest, size=6, reason="its owner collects it"
        ),
    }
    assert not lines[goes.digest].HasField("reason")


def test_ingests_that_no_namespace_knows_are_listed(service):
    with service.catalog.content.writer("stranger", total=10) as writer:
        writer.write(b"half ")
        status = writer.status()
    with service.catalog.namespace("a").writer("known") as writer:
        writer.write(b"known")
    assert listed(service, "UnknownIngests") == [
        messages.UnknownIngest(
            ref="stranger",
            offset=5,
            total=10,
            started_ns=status.started_ns,
            updated_ns=service.catalog.content.ingest("stranger").updated_ns,
        )
    ]


def test_an_ingest_of_which_nothing_is_left_is_idle(service):
    with service.catalog.namespace("a").writer("ref") as writer:
        writer.write(b"x")
    assert listed(service, "IdleIngests") == []
    for ingest in service.catalog.content.ingests():
        service.catalog.content.abort(ingest.ref)
    assert listed(service, "IdleIngests") == [messages.IdleIngest(namespace="a", ref="ref")]
    assert collect(service).ingests == 1


def test_orphans_are_listed_and_adopted(service):
    blob = service.catalog.content.add(b"orphan")
    orphan = messages.Orphan(
        digest=blob.digest, size=6, created_ns=blob.created_ns, updated_ns=blob.updated_ns
    )
    assert listed(service, "Orphans") == [orphan]
    assert listed(service, "Rebuild") == [
        messages.Found(kind="adopted", namespace="a", name=blob.digest, size=6)
    ]
    assert listed(service, "Orphans") == []
    assert service.catalog.namespace("a").read(blob.digest) == b"orphan"
    service.catalog.content.delete(blob.digest)
    assert listed(service, "Rebuild") == [
        messages.Found(kind="missing", namespace="a", name=blob.digest, size=6)
    ]


def test_nothing_is_adopted_into_what_is_no_namespace(service):
    service.catalog.content.add(b"orphan")
    code = code_of(listed, service, "Rebuild", messages.RebuildRequest(namespace="a b"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert not list(service.catalog.namespaces())


def test_a_pinned_listener_answers_nothing_that_concerns_all_namespaces(serve):
    service = serve(pinned="theirs")
    assert code_of(collect, service) == grpc.StatusCode.PERMISSION_DENIED
    for method in STREAMS:
        assert code_of(listed, service, method) == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.slow
def test_a_deletion_waits_for_the_collection_that_runs_and_then_for_its_own(service, monkeypatch):
    lease = service.catalog.namespace("default").lease("mine")
    digest = lease.add(b"held").digest
    refused = threading.Event()
    collect = service.catalog.collect

    def observed():
        try:
            return collect()
        except Unavailable:
            refused.set()
            raise

    monkeypatch.setattr(service.catalog, "collect", observed)
    request = leases_pb2.DeleteRequest(id="mine", sync=True)
    path = "/containerd.services.leases.v1.Leases/Delete"
    with ThreadPoolExecutor() as pool:
        with service.catalog.database.hold(COLLECTOR, timedelta(0)):
            answer = pool.submit(service.unary, path, request, Empty)
            assert refused.wait(20)
            assert digest in service.catalog.content
        answer.result(20)
    assert digest not in service.catalog.content


class Collecting:
    """A catalog whose collections begin when they are asked for and end when they may."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.count = 0

    def collect(self):
        self.count += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=20)
        outcome = self.outcomes.pop(0) if self.outcomes else NOTHING
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Counted(SharedCollections):
    """Tells of each call that has come."""

    def __init__(self, catalog):
        super().__init__(catalog)
        self.arrived = threading.Semaphore(0)

    def _turn(self, wanted, deadline):
        self.arrived.release()
        return super()._turn(wanted, deadline)


def waiting_beside_one(collections, catalog, pool, count):
    """Calls that come while a collection runs: the first one's answer, and theirs."""
    first = pool.submit(collections.collect)
    assert catalog.begun.acquire(timeout=20)
    assert collections.arrived.acquire(timeout=20)
    rest = [pool.submit(collections.collect) for _ in range(count)]
    for _ in rest:
        assert collections.arrived.acquire(timeout=20)
    return first, rest


def test_calls_that_come_while_a_collection_runs_share_the_next_one():
    catalog = Collecting()
    collections = Counted(catalog)
    with ThreadPoolExecutor(8) as pool:
        first, rest = waiting_beside_one(collections, catalog, pool, 5)
        catalog.may_end.release()
        first.result(20)
        assert catalog.begun.acquire(timeout=20)
        assert not any(each.done() for each in rest)
        catalog.may_end.release()
        for each in rest:
            each.result(20)
    assert catalog.count == 2


def test_a_collection_that_fails_fails_one_call_and_the_others_go_on():
    catalog = Collecting(NOTHING, FailedPrecondition("no"))
    collections = Counted(catalog)
    with ThreadPoolExecutor(8) as pool:
        first, rest = waiting_beside_one(collections, catalog, pool, 3)
        catalog.may_end.release(3)
        first.result(20)
        failures = [each.exception(20) for each in rest]
    assert [type(each) for each in failures if each] == [FailedPrecondition]
    assert catalog.count == 3


def test_a_call_does_not_wait_for_ever():
    catalog = Collecting(Unavailable("somebody else collects"))
    collections = Counted(catalog)
    with ThreadPoolExecutor(8) as pool:
        running = pool.submit(collections.collect, wait=timedelta(0))
        assert catalog.begun.acquire(timeout=20)
        with pytest.raises(Unavailable, match="does not end"):
            collections.collect(wait=timedelta(0))
        catalog.may_end.release()
        with pytest.raises(Unavailable, match="somebody else collects"):
            running.result(20)
