"""RemoteImages: the images of a namespace in another process."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.content.catalog import Image, Images
from lading.content.store import NO_LABELS
from lading.errors import NotFound
from lading.model.descriptor import Descriptor
from lading.model.filters import parse
from lading.rpc import wire
from lading.rpc.client.channel import Channel, Headers, Method, made
from lading.rpc.protos import images_pb2

_SERVICE = "/containerd.services.images.v1.Images"
_GET: Final = Method(f"{_SERVICE}/Get", images_pb2.GetImageResponse, repeats=True)
_LIST: Final = Method(f"{_SERVICE}/List", images_pb2.ListImagesResponse, repeats=True)
_CREATE: Final = Method(f"{_SERVICE}/Create", images_pb2.CreateImageResponse)
_UPDATE: Final = Method(f"{_SERVICE}/Update", images_pb2.UpdateImageResponse)
_DELETE: Final = Method(f"{_SERVICE}/Delete", Empty)


class RemoteImages(Images):
    """Made by `RemoteScope.images`."""

    def __init__(self, channel: Channel, headers: Headers) -> None:
        self._channel, self._headers = channel, headers

    def get(self, name: str) -> Image:
        request = made(images_pb2.GetImageRequest, name=name)
        try:
            return wire.image(self._channel.once(_GET, request, self._headers).image)
        except NotFound as error:
            raise _no_image(error, name) from error

    def list(self, *filters: str) -> Iterator[Image]:
        parse(*filters)
        request = made(images_pb2.ListImagesRequest, filters=filters)
        found = self._channel.once(_LIST, request, self._headers).images
        return iter(sorted(map(wire.image, found), key=lambda image: image.name))

    def create(
        self, name: str, target: Descriptor, *, labels: Mapping[str, str] | None = None
    ) -> Image:
        request = made(images_pb2.CreateImageRequest, image=_message(name, target, labels))
        return wire.image(self._channel.once(_CREATE, request, self._headers).image)

    def update(
        self,
        name: str,
        *,
        target: Descriptor | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Sequence[str] = (),
    ) -> Image:
        if not fields:
            fields = [
                field
                for field, value in (("target", target), ("labels", labels))
                if value is not None
            ]
        request = made(
            images_pb2.UpdateImageRequest,
            image=_message(name, target, labels),
            update_mask=made(FieldMask, paths=fields),
        )
        try:
            return wire.image(self._channel.once(_UPDATE, request, self._headers).image)
        except NotFound as error:
            raise _no_image(error, name) from error

    def delete(self, name: str) -> None:
        request = made(images_pb2.DeleteImageRequest, name=name)
        try:
            self._channel.once(_DELETE, request, self._headers)
        except NotFound as error:
            raise _no_image(error, name) from error


def _message(
    name: str, target: Descriptor | None, labels: Mapping[str, str] | None
) -> images_pb2.Image:
    message = made(images_pb2.Image, name=name, labels=labels or NO_LABELS)
    if target is not None:
        message.target.CopyFrom(wire.target(target))
    return message


def _no_image(error: NotFound, name: str) -> NotFound:
    return error if error.kind is not None else NotFound(name, "image")
