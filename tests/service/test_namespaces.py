"""namespaces.v1 as containerd's clients call it."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.content.catalog import OWNER
from lading.rpc.protos import namespaces_pb2 as messages

PATH = "/containerd.services.namespaces.v1.Namespaces/"
ANSWERS = {
    "Get": messages.GetNamespaceResponse,
    "List": messages.ListNamespacesResponse,
    "Create": messages.CreateNamespaceResponse,
    "Update": messages.UpdateNamespaceResponse,
    "Delete": Empty,
}


class Client:
    """Calls the namespaces service."""

    def __init__(self, service):
        self.service = service

    def call(self, method, request):
        return self.service.unary(PATH + method, request, ANSWERS[method], namespace=None)

    def code_of(self, method, request):
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request)
        return caught.value.code()

    def create(self, name, **labels):
        return self.call("Create", messages.CreateNamespaceRequest(namespace=named(name, **labels)))

    def update(self, name, *paths, **labels):
        request = messages.UpdateNamespaceRequest(
            namespace=named(name, **labels), update_mask=FieldMask(paths=paths)
        )
        return dict(self.call("Update", request).namespace.labels)

    def listed(self):
        found = self.call("List", messages.ListNamespacesRequest()).namespaces
        return {each.name: dict(each.labels) for each in found}


def named(name, **labels):
    return messages.Namespace(name=name, labels=labels)


@pytest.fixture
def namespaces(service):
    return Client(service)


@pytest.fixture
def pinned(serve):
    return Client(serve(pinned="theirs"))


def test_a_namespace_is_made_listed_described_and_deleted(namespaces):
    assert namespaces.create("b", x="1").namespace == named("b", x="1")
    namespaces.create("a")
    assert namespaces.listed() == {"a": {}, "b": {"x": "1"}}
    found = namespaces.call("Get", messages.GetNamespaceRequest(name="b"))
    assert found.namespace == named("b", x="1")
    namespaces.call("Delete", messages.DeleteNamespaceRequest(name="b"))
    assert namespaces.listed() == {"a": {}}


def test_a_namespace_that_is_there_already_exists(namespaces):
    namespaces.create("a", x="1")
    request = messages.CreateNamespaceRequest(namespace=named("a", y="2"))
    assert namespaces.code_of("Create", request) == grpc.StatusCode.ALREADY_EXISTS
    assert namespaces.listed() == {"a": {"x": "1"}}


def test_of_many_who_make_one_namespace_one_succeeds(namespaces):
    def make(_):
        try:
            namespaces.create("a")
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(make, range(8)))
    assert codes.count(grpc.StatusCode.OK) == 1
    assert codes.count(grpc.StatusCode.ALREADY_EXISTS) == 7


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 77, "ä"])
def test_a_name_that_is_none_is_refused(namespaces, name):
    request = messages.CreateNamespaceRequest(namespace=named(name))
    assert namespaces.code_of("Create", request) == grpc.StatusCode.INVALID_ARGUMENT
    assert namespaces.listed() == {}


def test_a_namespace_that_is_not_there_yet_has_no_labels(namespaces):
    found = namespaces.call("Get", messages.GetNamespaceRequest(name="none"))
    assert found.namespace == named("none")
    assert namespaces.listed() == {}


def test_only_a_namespace_that_is_empty_is_deleted(service, namespaces):
    service.catalog.namespace("a").add(b"blob")
    request = messages.DeleteNamespaceRequest(name="a")
    assert namespaces.code_of("Delete", request) == grpc.StatusCode.FAILED_PRECONDITION
    request = messages.DeleteNamespaceRequest(name="none")
    assert namespaces.code_of("Delete", request) == grpc.StatusCode.NOT_FOUND


def test_a_mask_says_which_labels_change(namespaces):
    namespaces.create("a", x="1", y="2")
    assert namespaces.update("a", "labels.x", x="3", y="4", z="5") == {"x": "3", "y": "2"}
    assert namespaces.update("a", "labels.y") == {"x": "3"}
    assert namespaces.update("a", "labels", z="5") == {"z": "5"}
    assert namespaces.update("a", x="6") == {"x": "6"}
    request = messages.UpdateNamespaceRequest(
        namespace=named("a"), update_mask=FieldMask(paths=["name"])
    )
    assert namespaces.code_of("Update", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_an_update_makes_a_namespace_that_is_not_there(namespaces):
    assert namespaces.update("a", "labels.x", x="1") == {"x": "1"}
    assert namespaces.listed() == {"a": {"x": "1"}}


def test_replacing_all_labels_leaves_those_that_speak_to_us(service, namespaces):
    service.catalog.label_namespace("a", {OWNER: "containerd", "x": "1"})
    assert namespaces.update("a", y="2") == {OWNER: "containerd", "y": "2"}
    assert namespaces.update("a", f"labels.{OWNER}") == {"y": "2"}


def test_a_listener_that_is_pinned_knows_its_namespace_alone(pinned):
    catalog = pinned.service.catalog
    catalog.namespace("theirs").add(b"theirs")
    catalog.label_namespace("other", {"x": "1"})
    assert pinned.listed() == {"theirs": {}}
    found = pinned.call("Get", messages.GetNamespaceRequest(name="other"))
    assert found.namespace == named("other")
    for method, request in (
        ("Create", messages.CreateNamespaceRequest(namespace=named("new"))),
        ("Update", messages.UpdateNamespaceRequest(namespace=named("other"))),
        ("Delete", messages.DeleteNamespaceRequest(name="other")),
    ):
        assert pinned.code_of(method, request) == grpc.StatusCode.PERMISSION_DENIED
    assert [record.name for record in catalog.namespaces()] == ["other", "theirs"]
    assert pinned.update("theirs", "labels.x", x="1") == {"x": "1"}
