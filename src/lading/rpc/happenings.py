"""Events as envelopes: what has happened, in containerd's messages and in ours.

    envelope = moment, namespace, topic, and a message in an Any

The Any names its message without a host before it, as containerd's does.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from lading.content import events
from lading.content.filtering import label_at
from lading.model.filters import Path
from lading.rpc import wire
from lading.rpc.protos import happenings_pb2, images_pb2, progress_pb2
from lading.rpc.protos.events_pb2 import Envelope

_MESSAGES: Final[dict[type[events.Event], Callable[[Any], Message]]] = {
    events.BlobCreated: lambda event: happenings_pb2.ContentCreate(
        digest=event.digest, size=event.size
    ),
    events.BlobDeleted: lambda event: happenings_pb2.ContentDelete(digest=event.digest),
    events.ImageCreated: lambda event: images_pb2.ImageCreate(name=event.name),
    events.ImageUpdated: lambda event: images_pb2.ImageUpdate(name=event.name),
    events.ImageDeleted: lambda event: images_pb2.ImageDelete(name=event.name),
    events.NamespaceCreated: lambda event: happenings_pb2.NamespaceCreate(name=event.namespace),
    events.NamespaceUpdated: lambda event: happenings_pb2.NamespaceUpdate(name=event.namespace),
    events.NamespaceDeleted: lambda event: happenings_pb2.NamespaceDelete(name=event.namespace),
    events.BlobsCollected: lambda event: progress_pb2.ContentCollect(digests=event.digests),
    events.BytesDeleted: lambda event: progress_pb2.BytesDelete(
        digests=event.digests, size=event.size
    ),
    events.LeaseCreated: lambda event: progress_pb2.LeaseCreate(id=event.id),
    events.LeaseDeleted: lambda event: progress_pb2.LeaseDelete(id=event.id),
    events.IngestProgress: lambda event: progress_pb2.IngestProgress(
        ref=event.ref, offset=event.offset, total=event.total or 0
    ),
}
_KINDS: Final[dict[str, type[Message]]] = {
    descriptor.full_name: getattr(module, descriptor.name)
    for module in (happenings_pb2, images_pb2, progress_pb2)
    for descriptor in module.DESCRIPTOR.message_types_by_name.values()
}
"""The messages that we can read, by their full names."""


class PassedOn(events.Event):
    """What a client has told, for the other clients."""

    envelope: Envelope


def enveloped(event: events.Event) -> Envelope | None:
    """An event as the wire has it; None for one that has no message."""
    if isinstance(event, PassedOn):
        return event.envelope
    make = _MESSAGES.get(type(event))
    if make is None:
        return None
    message = make(event)
    return Envelope(
        timestamp=wire.timestamp(event.at_ns),
        namespace=event.namespace,
        topic=event.topic,
        event=Packed(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString()),
    )


def field_of(envelope: Envelope, path: Path) -> str | None:
    """What a filter finds: `topic`, `namespace`, and fields of a message that we know."""
    match path[0]:
        case "topic":
            return envelope.topic or None
        case "namespace":
            return envelope.namespace or None
        case "event" if len(path) > 1:
            return _field(_opened(envelope.event), path[1:])
    return None


def _opened(packed: Packed) -> Message | None:
    kind = _KINDS.get(packed.type_url.rpartition("/")[2])
    try:
        return kind.FromString(packed.value) if kind else None
    except (DecodeError, UnicodeDecodeError):
        return None


def _field(message: Message | None, path: Path) -> str | None:
    found = message.DESCRIPTOR.fields_by_name.get(path[0]) if message else None
    if found is None:
        return None
    value = getattr(message, found.name)
    if found.name == "labels":
        return label_at(value, path)
    if found.type == FieldDescriptor.TYPE_STRING and not found.is_repeated:
        return value or None
    return str(value) if found.type == FieldDescriptor.TYPE_INT64 else None
