"""leases.v1 as containerd's clients call it."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from lading.content.store import time_of
from lading.model.digest import Digest
from lading.rpc.protos import leases_pb2 as messages

PATH = "/containerd.services.leases.v1.Leases/"
EXPIRE = "containerd.io/gc.expire"
ROOT = {"containerd.io/gc.root": "1"}


@pytest.fixture
def leases(service):
    """Call a method of the leases service: its name, its request, headers."""

    def call(method, request, **headers):
        answer = {
            "Create": messages.CreateResponse,
            "LadingRenew": messages.CreateResponse,
            "List": messages.ListResponse,
            "ListResources": messages.ListResourcesResponse,
        }.get(method, Empty)
        return service.unary(PATH + method, request, answer, **headers)

    return call


def code_of(function, *arguments, **headers):
    with pytest.raises(grpc.RpcError) as caught:
        function(*arguments, **headers)
    return caught.value.code()


def create(leases, name="mine", **labels):
    return leases("Create", messages.CreateRequest(id=name, labels=labels)).lease


def resource(kind, name):
    return messages.Resource(type=kind, id=name)


def test_a_lease_is_made_with_its_labels_and_listed(service, leases):
    made = create(leases, note="x")
    assert (made.id, dict(made.labels)) == ("mine", {"note": "x"})
    assert made.created_at.seconds > 0
    assert list(leases("List", messages.ListRequest()).leases) == [made]
    (record,) = service.catalog.namespace("default").leases()
    assert (record.id, record.expires_ns) == ("mine", None)


def test_a_lease_without_an_id_gets_one(leases):
    one, two = create(leases, ""), create(leases, "")
    assert one.id
    assert one.id != two.id


def test_the_label_says_when_a_lease_ends(service, leases):
    leases("Create", messages.CreateRequest(id="x", labels={EXPIRE: "2030-01-01T00:00:00Z"}))
    (record,) = service.catalog.namespace("default").leases()
    assert time_of(record.expires_ns).isoformat() == "2030-01-01T00:00:00+00:00"


def test_an_id_that_is_taken_already_exists(leases):
    create(leases)
    request = messages.CreateRequest(id="mine")
    assert code_of(leases, "Create", request) == grpc.StatusCode.ALREADY_EXISTS
    assert leases("Create", request, namespace="other").lease.id == "mine"


def test_a_lease_that_is_not_there_is_not_found(leases):
    for method, request in (
        ("Delete", messages.DeleteRequest(id="none")),
        ("ListResources", messages.ListResourcesRequest(id="none")),
        ("AddResource", messages.AddResourceRequest(id="none", resource=resource("ingests", "r"))),
        ("DeleteResource", messages.DeleteResourceRequest(id="none")),
    ):
        assert code_of(leases, method, request) == grpc.StatusCode.NOT_FOUND


def test_without_a_namespace_nothing_is_done(leases):
    request = messages.CreateRequest(id="mine")
    assert code_of(leases, "Create", request, namespace=None) == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["id==one"], ["one"]),
        (["id~=^(one|two)$"], ["one", "two"]),
        (['labels."a.b"==1'], ["one"]),
        (["labels.c"], ["two"]),
        (["id==two,labels.c==x"], []),
        (["id==one", "labels.c==2"], ["one", "two"]),
        (["nothing"], []),
        ([], ["one", "three", "two"]),
    ],
)
def test_filters_see_the_id_and_the_labels(leases, filters, found):
    create(leases, "one", **{"a.b": "1"})
    create(leases, "two", c="2")
    create(leases, "three")
    listed = leases("List", messages.ListRequest(filters=filters)).leases
    assert [lease.id for lease in listed] == found


def test_a_bad_filter_is_refused(leases):
    request = messages.ListRequest(filters=["id=="])
    assert code_of(leases, "List", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_lease_holds_what_it_is_told_and_lets_go_of_it(service, leases):
    create(leases)
    digest = service.catalog.namespace("default").add(b"blob").digest
    held = [
        resource("content", digest),
        resource("images", "image"),
        resource("ingests", "a/b c"),
        resource("snapshots/overlayfs", "sha256:chain"),
    ]
    for each in held:
        leases("AddResource", messages.AddResourceRequest(id="mine", resource=each))
    ask = messages.ListResourcesRequest(id="mine")
    assert list(leases("ListResources", ask).resources) == held
    service.catalog.collect()
    assert digest in service.catalog.namespace("default")
    for each in held:
        for _ in range(2):  # containerd says OK to what is not held
            leases("DeleteResource", messages.DeleteResourceRequest(id="mine", resource=each))
    assert not leases("ListResources", ask).resources
    service.catalog.collect()
    assert digest not in service.catalog.namespace("default")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("content", "no digest"),
        ("ingests", ""),
        ("images", ""),
        ("snapshots", "x"),
        ("snapshots/", "x"),
        ("snapshots/overlayfs", ""),
        ("containers", "x"),
        ("", ""),
    ],
)
def test_what_no_lease_can_hold_is_refused(leases, kind, name):
    create(leases)
    request = messages.AddResourceRequest(id="mine", resource=resource(kind, name))
    assert code_of(leases, "AddResource", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_lease_is_deleted_under_its_own_header(service, leases):
    create(leases)
    leases("Delete", messages.DeleteRequest(id="mine"), lease="mine")
    assert not list(service.catalog.namespace("default").leases())


def test_a_lease_that_is_deleted_sync_frees_what_it_held_before_the_answer(service, leases):
    create(leases)
    digest = service.catalog.namespace("default").leased("mine").add(b"held").digest
    kept = service.catalog.namespace("default").add(b"kept", labels=ROOT).digest
    leases("Delete", messages.DeleteRequest(id="mine", sync=True))
    assert digest not in service.catalog.content
    assert kept in service.catalog.content


def test_a_lease_that_is_deleted_otherwise_waits_for_a_collection(service, leases):
    create(leases)
    digest = service.catalog.namespace("default").leased("mine").add(b"held").digest
    leases("Delete", messages.DeleteRequest(id="mine"))
    assert digest in service.catalog.content
    service.catalog.collect()
    assert digest not in service.catalog.content


def test_a_lease_is_renewed_by_the_moment_of_its_label(service, leases):
    lease = service.catalog.namespace("default").lease("mine", expires_in=timedelta(hours=1))
    until = lease.record().expires_ns + 3600 * 10**9
    labels = {EXPIRE: time_of(until).isoformat()}
    renewed = leases("LadingRenew", messages.CreateRequest(id="mine", labels=labels)).lease
    assert renewed.id == "mine"
    assert abs(lease.record().expires_ns - until) < 60 * 10**9


@pytest.mark.parametrize(
    "moment",
    ["", "soon", "2030-01-01T00:00:00", "2001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"],
)
def test_a_lease_is_not_renewed_to_what_is_no_moment_to_come(leases, moment):
    create(leases)
    request = messages.CreateRequest(id="mine", labels={EXPIRE: moment})
    assert code_of(leases, "LadingRenew", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_blob_that_is_written_under_the_header_is_held(service, leases):
    create(leases)
    from lading.rpc.protos import content_pb2  # noqa: PLC0415 - of another service

    data = b"written"
    request = content_pb2.WriteContentRequest(
        action=content_pb2.COMMIT, ref="r", data=data, total=len(data)
    )
    list(service.write([request], lease="mine"))
    held = leases("ListResources", messages.ListResourcesRequest(id="mine")).resources
    assert list(held) == [resource("content", Digest.of(data))]
