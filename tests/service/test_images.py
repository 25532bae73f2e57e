"""images.v1 as containerd's clients call it."""

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.errors import NotFound
from lading.model.digest import Digest
from lading.rpc.protos import images_pb2 as messages
from lading.rpc.protos import types_pb2

PATH = "/containerd.services.images.v1.Images/"
ANSWERS = {
    "Get": messages.GetImageResponse,
    "List": messages.ListImagesResponse,
    "Create": messages.CreateImageResponse,
    "Update": messages.UpdateImageResponse,
    "Delete": Empty,
}
KIND = "application/vnd.oci.image.manifest.v1+json"
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


class Client:
    """Calls the images service."""

    def __init__(self, service):
        self.service = service

    def call(self, method, request, **headers):
        return self.service.unary(PATH + method, request, ANSWERS[method], **headers)

    def code_of(self, method, request, **headers):
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request, **headers)
        return caught.value.code()

    def create(self, name, digest=ONE, **labels):
        request = messages.CreateImageRequest(image=image(name, digest, **labels))
        return self.call("Create", request).image

    def update(self, *paths, image):
        request = messages.UpdateImageRequest(image=image, update_mask=FieldMask(paths=paths))
        return self.call("Update", request).image

    def names(self, *filters):
        found = self.call("List", messages.ListImagesRequest(filters=filters))
        return [each.name for each in found.images]


def target(digest=ONE, *, size=3, media_type=KIND, **annotations):
    return types_pb2.Descriptor(
        media_type=media_type, digest=digest, size=size, annotations=annotations
    )


def image(name, digest=ONE, **labels):
    return messages.Image(name=name, labels=labels, target=target(digest))


@pytest.fixture
def images(service):
    return Client(service)


def test_an_image_is_created_described_and_listed(images):
    made = images.create("docker.io/library/a:1", x="1")
    assert made.target == target()
    assert dict(made.labels) == {"x": "1"}
    assert made.created_at == made.updated_at
    assert made.created_at.seconds > 0
    assert images.call("Get", messages.GetImageRequest(name=made.name)).image == made
    assert images.names() == [made.name]
    other = images.call("List", messages.ListImagesRequest(), namespace="other")
    assert not other.images


def test_a_name_that_is_taken_already_exists(images):
    images.create("a")
    request = messages.CreateImageRequest(image=image("a", TWO))
    assert images.code_of("Create", request) == grpc.StatusCode.ALREADY_EXISTS
    assert images.call("Get", messages.GetImageRequest(name="a")).image.target.digest == ONE


@pytest.mark.parametrize(
    "bad",
    [
        messages.Image(target=target()),
        messages.Image(name="a"),
        messages.Image(name="a", target=target("no digest")),
        messages.Image(name="a", target=target(size=0)),
        messages.Image(name="a", target=target(size=-1)),
        messages.Image(name="a", target=target(media_type="")),
        messages.Image(name="a", target=target(), labels={"x": "y" * 4096}),
        messages.Image(name="x" * 1025, target=target()),
    ],
)
def test_what_can_be_no_image_is_refused(images, bad):
    request = messages.CreateImageRequest(image=bad)
    assert images.code_of("Create", request) == grpc.StatusCode.INVALID_ARGUMENT
    assert images.names() == []


def test_a_request_without_its_image_is_refused(images):
    for method, request in (
        ("Create", messages.CreateImageRequest()),
        ("Update", messages.UpdateImageRequest()),
    ):
        assert images.code_of(method, request) == grpc.StatusCode.INVALID_ARGUMENT


def test_an_image_that_is_not_there_is_not_found(images):
    for method, request in (
        ("Get", messages.GetImageRequest(name="none")),
        ("Update", messages.UpdateImageRequest(image=image("none"))),
        ("Delete", messages.DeleteImageRequest(name="none")),
    ):
        assert images.code_of(method, request) == grpc.StatusCode.NOT_FOUND


def test_an_update_without_a_mask_replaces_target_and_labels(images):
    made = images.create("a", x="1", y="2")
    new = images.update(image=image("a", TWO, z="3"))
    assert new.target.digest == TWO
    assert dict(new.labels) == {"z": "3"}
    assert new.created_at == made.created_at
    assert not images.update(image=image("a")).labels
    request = messages.UpdateImageRequest(image=messages.Image(name="a"))
    assert images.code_of("Update", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_mask_says_what_of_an_image_changes(images):
    images.create("a", x="1", y="2")
    bare = messages.Image(name="a", labels={"x": "3", "z": "4"})
    assert dict(images.update("labels.x", image=bare).labels) == {"x": "3", "y": "2"}
    assert dict(images.update("labels.y", image=bare).labels) == {"x": "3"}
    assert dict(images.update("labels", image=bare).labels) == {"x": "3", "z": "4"}
    new = images.update("target", image=image("a", TWO))
    assert (new.target.digest, dict(new.labels)) == (TWO, {"x": "3", "z": "4"})
    annotated = messages.Image(name="a", target=target(ONE, note="n"))
    new = images.update("annotations", image=annotated)
    assert new.target == target(TWO, note="n")


@pytest.mark.parametrize("path", ["name", "target", "created_at", "target.digest"])
def test_a_mask_of_what_cannot_change_or_is_not_given_is_refused(images, path):
    images.create("a")
    request = messages.UpdateImageRequest(
        image=messages.Image(name="a"), update_mask=FieldMask(paths=[path])
    )
    assert images.code_of("Update", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_filters_see_what_containerds_see(images):
    images.create("a", ONE, x="1")
    images.create("b", TWO, x="2")
    assert images.names("name==a") == ["a"]
    assert images.names(f"target.digest=={TWO}") == ["b"]
    assert images.names("labels.x~=1|2") == ["a", "b"]
    assert images.names("name==a", "name==b") == ["a", "b"]
    request = messages.ListImagesRequest(filters=["name=="])
    assert images.code_of("List", request) == grpc.StatusCode.INVALID_ARGUMENT


def test_an_image_is_deleted_only_while_it_points_where_the_caller_thinks(images):
    images.create("a", ONE)
    request = messages.DeleteImageRequest(name="a", target=target(TWO))
    assert images.code_of("Delete", request) == grpc.StatusCode.NOT_FOUND
    assert images.names() == ["a"]
    request = messages.DeleteImageRequest(name="a", target=target("no digest"))
    assert images.code_of("Delete", request) == grpc.StatusCode.INVALID_ARGUMENT
    images.call("Delete", messages.DeleteImageRequest(name="a", target=target(ONE)))
    assert images.names() == []


@pytest.mark.parametrize("sync", [True, False])
def test_what_only_the_image_kept_goes_before_the_answer_if_that_is_asked(images, sync):
    content = images.service.catalog.content
    blob = images.service.catalog.namespace("default").add(b"one")
    images.create("a", blob.digest)
    images.service.catalog.collect()
    assert blob.digest in content
    images.call("Delete", messages.DeleteImageRequest(name="a", sync=sync))
    assert (blob.digest in content) is not sync


def test_without_a_namespace_or_under_a_lease_that_is_none_nothing_is_done(images):
    request = messages.ListImagesRequest()
    code = images.code_of("List", request, namespace=None)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert images.code_of("List", request, lease="none") == grpc.StatusCode.NOT_FOUND


def test_a_pinned_listener_has_the_images_of_its_namespace(serve):
    images = Client(serve(pinned="theirs"))
    images.create("a")
    catalog = images.service.catalog
    assert [each.name for each in catalog.namespace("theirs").images.list()] == ["a"]
    with pytest.raises(NotFound):
        catalog.namespace("default").images.get("a")
