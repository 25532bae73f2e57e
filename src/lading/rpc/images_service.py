"""containerd.services.images.v1.Images over a catalog."""

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty

from lading.errors import InvalidArgument, NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.rpc import wire
from lading.rpc.collector_service import SharedCollections
from lading.rpc.methods import Call, Method, unary
from lading.rpc.protos import images_pb2 as messages


class ImagesService:
    """The images service."""

    name = "containerd.services.images.v1.Images"

    def __init__(self, collections: SharedCollections) -> None:
        self._collections = collections

    def methods(self) -> Mapping[str, Method]:
        """The five calls."""
        return {
            "Get": unary(messages.GetImageRequest, _get),
            "List": unary(messages.ListImagesRequest, _list),
            "Create": unary(messages.CreateImageRequest, _create, changes=True),
            "Update": unary(messages.UpdateImageRequest, _update, changes=True),
            "Delete": unary(messages.DeleteImageRequest, self._delete, changes=True),
        }

    def _delete(self, call: Call, request: messages.DeleteImageRequest) -> Empty:
        images = call.scope().images
        call.facts["image"] = request.name
        if request.target.digest:
            wanted, found = Digest.parse(request.target.digest), images.get(request.name)
            if found.target.digest != wanted:
                raise NotFound(request.name, f"image of {wanted},")
        images.delete(request.name)
        if request.sync:
            self._collections.collect(call)
        return Empty()


def _get(call: Call, request: messages.GetImageRequest) -> messages.GetImageResponse:
    image = call.scope().images.get(request.name)
    return messages.GetImageResponse(image=wire.image_message(image))


def _list(call: Call, request: messages.ListImagesRequest) -> messages.ListImagesResponse:
    found = call.scope().images.list(*request.filters)
    return messages.ListImagesResponse(images=map(wire.image_message, found))


def _create(call: Call, request: messages.CreateImageRequest) -> messages.CreateImageResponse:
    name = _name(call, request.image)
    image = call.scope().images.create(
        name, _target(request.image), labels=dict(request.image.labels)
    )
    return messages.CreateImageResponse(image=wire.image_message(image))


def _update(call: Call, request: messages.UpdateImageRequest) -> messages.UpdateImageResponse:
    """Change what the mask names; without one, target and labels are replaced, as in containerd."""
    fields = tuple(request.update_mask.paths)
    is_whole = not fields or "target" in fields
    image = call.scope().images.update(
        _name(call, request.image),
        target=_target(request.image) if is_whole else _annotated(request.image, fields),
        labels=dict(request.image.labels),
        fields=fields,
    )
    return messages.UpdateImageResponse(image=wire.image_message(image))


def _name(call: Call, image: messages.Image) -> str:
    if not image.name:
        raise InvalidArgument("an image needs a name")
    call.facts["image"] = image.name
    return image.name


def _target(image: messages.Image) -> Descriptor:
    """What an image points to: containerd wants all three."""
    target = wire.descriptor(image.target)
    if target.size == 0:
        raise InvalidArgument("the target of an image has a size above 0")
    if not target.media_type:
        raise InvalidArgument("the target of an image has a media type")
    return target


def _annotated(image: messages.Image, fields: tuple[str, ...]) -> Descriptor | None:
    """A descriptor of which only the annotations count; None where the mask does not name them."""
    if "annotations" not in fields:
        return None
    return Descriptor("", Digest.of(b""), 0, wire.labels_of(image.target.annotations))
