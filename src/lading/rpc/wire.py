"""Our values as messages, and messages as our values."""

from collections.abc import Mapping
from types import MappingProxyType

from google.protobuf.timestamp_pb2 import Timestamp

from lading.content.catalog import Image
from lading.content.store import NO_LABELS, Blob, Ingest, Labels
from lading.errors import InvalidArgument
from lading.model.descriptor import Descriptor
from lading.model.digest import Data, Digest
from lading.rpc.protos import content_pb2, images_pb2, types_pb2

NAMESPACE = "containerd-namespace"
LEASE = "containerd-lease"
"""The headers of a call that say where it works, and under which lease."""
_SECOND = 1_000_000_000
_SEVEN_BITS = 0x7F


def with_data(message: bytes, field: int, data: Data) -> bytes:
    """A message that is written, and a field of bytes after it, which are copied once."""
    key = field << 3 | 2  # a field whose length is said
    return b"".join((message, _varint(key), _varint(len(data)), data))


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > _SEVEN_BITS:
        written.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def timestamp(nanoseconds: int) -> Timestamp:
    """A moment."""
    seconds, nanos = divmod(nanoseconds, _SECOND)
    return Timestamp(seconds=seconds, nanos=nanos)


def nanoseconds(moment: Timestamp) -> int:
    """The same back."""
    return moment.seconds * _SECOND + moment.nanos


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Labels that no longer hang on their message."""
    return MappingProxyType(dict(labels)) if labels else NO_LABELS


def info(blob: Blob) -> content_pb2.Info:
    """A blob, for the wire."""
    return content_pb2.Info(
        digest=blob.digest,
        size=blob.size,
        created_at=timestamp(blob.created_ns),
        updated_at=timestamp(blob.updated_ns),
        labels=blob.labels,
    )


def blob(message: content_pb2.Info) -> Blob:
    """A blob, from the wire."""
    return Blob(
        Digest(message.digest),
        message.size,
        nanoseconds(message.created_at),
        nanoseconds(message.updated_at),
        labels_of(message.labels),
    )


def status(ingest: Ingest) -> content_pb2.Status:
    """An ingest, for the wire."""
    return content_pb2.Status(
        ref=ingest.ref,
        offset=ingest.offset,
        total=ingest.total or 0,
        lading_total=ingest.total is not None,
        expected=ingest.expected or "",
        started_at=timestamp(ingest.started_ns),
        updated_at=timestamp(ingest.updated_ns),
    )


def ingest(message: content_pb2.Status) -> Ingest:
    """An ingest, from the wire, where 0 is no total unless lading says that it is one."""
    return Ingest(
        message.ref,
        message.offset,
        message.total if message.lading_total else message.total or None,
        Digest(message.expected) if message.expected else None,
        nanoseconds(message.started_at),
        nanoseconds(message.updated_at),
    )


def target(descriptor: Descriptor) -> types_pb2.Descriptor:
    """A descriptor, for the wire."""
    return types_pb2.Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=descriptor.annotations,
    )


def descriptor(message: types_pb2.Descriptor) -> Descriptor:
    """A descriptor, from the wire; `InvalidArgument` for what can be none."""
    if message.size < 0:
        raise InvalidArgument(f"a descriptor of {message.size} bytes: it cannot be negative")
    return Descriptor(
        message.media_type,
        Digest.parse(message.digest),
        message.size,
        labels_of(message.annotations),
    )


def image_message(image: Image) -> images_pb2.Image:
    """An image, for the wire."""
    return images_pb2.Image(
        name=image.name,
        labels=image.labels,
        target=target(image.target),
        created_at=timestamp(image.created_ns),
        updated_at=timestamp(image.updated_ns),
    )


def image(message: images_pb2.Image) -> Image:
    """An image, from the wire."""
    return Image(
        message.name,
        descriptor(message.target),
        nanoseconds(message.created_at),
        nanoseconds(message.updated_at),
        labels_of(message.labels),
    )
