"""The services around content answer as containerd's do: both are asked the same, in one order."""

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.model.digest import Digest
from lading.rpc.protos import content_pb2, images_pb2, leases_pb2, namespaces_pb2, types_pb2
from lading.rpc.wire import NAMESPACE
from tests.support.containerd import running_containerd

pytestmark = pytest.mark.slow

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
NAMESPACES = "/containerd.services.namespaces.v1.Namespaces/"
LEASES = "/containerd.services.leases.v1.Leases/"
IMAGES = "/containerd.services.images.v1.Images/"
CONTENT = "/containerd.services.content.v1.Content/"


@pytest.fixture(scope="module")
def containerd(tmp_path_factory):
    with running_containerd(tmp_path_factory.mktemp("containerd")) as address:
        channel = grpc.insecure_channel(f"unix:{address}")
        yield channel
        channel.close()


class Asked:
    """A server, and what it has answered: a code, or the answer without what is its own."""

    def __init__(self, channel):
        self.channel = channel

    def __call__(self, path, request, answer=Empty, *, namespace="asked"):
        call = self.channel.unary_unary(path, type(request).SerializeToString, answer.FromString)
        try:
            found = call(request, metadata=[(NAMESPACE, namespace)], timeout=60)
        except grpc.RpcError as error:
            return error.code().name
        return without_times(found)

    def add(self, data, *, namespace="asked"):
        """Put a blob in."""
        call = self.channel.stream_stream(
            CONTENT + "Write",
            content_pb2.WriteContentRequest.SerializeToString,
            content_pb2.WriteContentResponse.FromString,
        )
        request = content_pb2.WriteContentRequest(
            action=content_pb2.COMMIT,
            ref=str(Digest.of(data)),
            data=data,
            total=len(data),
            # A collection that an earlier deletion has set off shall not take it.
            labels={"containerd.io/gc.root": "asked"},
        )
        list(call(iter([request]), metadata=[(NAMESPACE, namespace)], timeout=60))


def without_times(message):
    """A message as text, its moments left out."""
    for field, value in message.ListFields():
        if field.name in {"created_at", "updated_at"}:
            message.ClearField(field.name)
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                without_times(each)
    return str(message)


def image(name="a", digest=ONE, size=3, media_type="text/plain", **labels):
    target = types_pb2.Descriptor(media_type=media_type, digest=digest, size=size)
    return images_pb2.Image(name=name, target=target, labels=labels)


def about_namespaces(ask):
    answers = namespaces_pb2.GetNamespaceResponse

    def get(name):
        return ask(NAMESPACES + "Get", namespaces_pb2.GetNamespaceRequest(name=name), answers)

    def create(name, **labels):
        namespace = namespaces_pb2.Namespace(name=name, labels=labels)
        request = namespaces_pb2.CreateNamespaceRequest(namespace=namespace)
        return ask(NAMESPACES + "Create", request, namespaces_pb2.CreateNamespaceResponse)

    def update(name, *paths, **labels):
        request = namespaces_pb2.UpdateNamespaceRequest(
            namespace=namespaces_pb2.Namespace(name=name, labels=labels),
            update_mask=FieldMask(paths=paths),
        )
        ended = ask(NAMESPACES + "Update", request, namespaces_pb2.UpdateNamespaceResponse)
        return get(name) if "\n" in ended or not ended else ended

    def delete(name):
        return ask(NAMESPACES + "Delete", namespaces_pb2.DeleteNamespaceRequest(name=name))

    yield get("none")
    yield create("one")
    yield create("one")
    yield create("a b")
    yield create("")
    yield create("two", x="1")
    yield create("three", x="y" * 4096)
    yield get("two")
    yield update("two", "labels.x", x="2", y="3")
    yield update("two", "labels.x")
    yield update("two", z="4")
    yield update("two", "name")
    yield update("new", "labels.x", x="1")
    yield delete("new")
    yield delete("none")
    ask.add(b"blob", namespace="one")
    yield delete("one")


def about_leases(ask):
    def call(method, answer=Empty, request=None, **fields):
        kind = getattr(leases_pb2, f"{request or method}Request")
        return ask(LEASES + method, kind(**fields), answer)

    def create(name, **labels):
        return call("Create", leases_pb2.CreateResponse, id=name, labels=labels)

    def listed(*filters):
        return call("List", leases_pb2.ListResponse, filters=filters)

    def add(lease, kind, name):
        resource = leases_pb2.Resource(type=kind, id=name)
        return call("AddResource", id=lease, resource=resource)

    def drop(lease, kind, name):
        resource = leases_pb2.Resource(type=kind, id=name)
        return call("DeleteResource", id=lease, resource=resource)

    def held(lease):
        return call("ListResources", leases_pb2.ListResourcesResponse, id=lease)

    yield listed()
    yield create("one", x="1")
    yield create("one")
    yield create("two", **{"containerd.io/gc.expire": "2099-01-01T00:00:00Z"})
    yield listed()
    yield listed("id==one")
    yield listed("labels.x==1", "id==two")
    yield listed("id==")
    yield add("one", "content", ONE)
    yield add("one", "content", ONE)
    yield add("one", "ingests", "a/b")
    yield add("one", "snapshots/overlayfs", "sha256:x")
    yield add("one", "content", "no digest")
    yield add("one", "snapshots", "x")
    yield add("none", "content", ONE)
    yield held("one")
    yield held("none")
    yield drop("one", "ingests", "a/b")
    yield drop("one", "ingests", "a/b")
    yield drop("none", "ingests", "a/b")
    yield held("one")
    yield call("Delete", id="one", sync=True)
    yield call("Delete", id="one")
    yield listed()


def about_images(ask):
    def update(*paths, **fields):
        request = images_pb2.UpdateImageRequest(
            update_mask=FieldMask(paths=paths), image=fields.get("whole") or image(**fields)
        )
        return ask(IMAGES + "Update", request, images_pb2.UpdateImageResponse)

    def create(**fields):
        request = images_pb2.CreateImageRequest(image=image(**fields))
        return ask(IMAGES + "Create", request, images_pb2.CreateImageResponse)

    def get(name):
        return ask(
            IMAGES + "Get", images_pb2.GetImageRequest(name=name), images_pb2.GetImageResponse
        )

    def listed(*filters):
        request = images_pb2.ListImagesRequest(filters=filters)
        return ask(IMAGES + "List", request, images_pb2.ListImagesResponse)

    def delete(name, *, sync=False):
        return ask(IMAGES + "Delete", images_pb2.DeleteImageRequest(name=name, sync=sync))

    def has(data):
        request = content_pb2.InfoRequest(digest=Digest.of(data))
        return ask(CONTENT + "Info", request, content_pb2.InfoResponse)

    ask.add(b"one")
    yield get("a")
    yield create(x="1")
    yield create()
    yield create(name="")
    yield create(name="b", digest="no digest")
    yield create(name="b", size=0)
    yield create(name="b", size=-1)
    yield create(name="b", media_type="")
    yield create(name="b", x="y" * 4096)
    yield create(name="b", digest=TWO)
    yield get("a")
    yield listed()
    yield listed("name==a")
    yield listed(f"target.digest=={TWO}")
    yield listed("labels.x", "target.mediatype==x")
    yield listed("name==")
    yield update("labels.x", "labels.y", x="2", y="3")
    yield update("labels.x")
    yield update("labels", z="4")
    yield update("target", digest=TWO)
    yield update("target", digest=TWO, media_type="")
    yield update("name")
    yield update(x="5")
    yield update(whole=images_pb2.Image(name="a"))
    yield update(name="none")
    yield has(b"one")
    yield delete("a", sync=True)
    yield has(b"one")
    yield delete("a")
    yield listed()


@pytest.mark.parametrize("conversation", [about_namespaces, about_leases, about_images])
def test_both_answer_the_same(containerd, service, conversation):
    theirs = list(conversation(Asked(containerd)))
    ours = list(conversation(Asked(service.channel)))
    assert ours == theirs
