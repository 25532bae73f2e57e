"""containerd.services.content.v1.Content over a catalog.

The calls are containerd 1.6's, message by message; where it answers Unknown, the code says what is
the matter. docs/service.md has the differences.
"""

import io
import os
from collections.abc import Iterator, Mapping
from itertools import islice

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.content.events import Events
from lading.content.store import Blob
from lading.errors import InvalidArgument, OutOfRange
from lading.model.digest import Digest
from lading.rpc import wire
from lading.rpc.methods import Call, Method, answers, exchange, unary
from lading.rpc.protos import content_pb2 as messages
from lading.rpc.write_stream import Tickets, write_with

NAME = "containerd.services.content.v1.Content"
PAGE = 100
_SECOND = 1_000_000_000
READ_SIZE = 2 << 20
"""Bytes of a message: half of what a client takes that sets no limit of its own."""


class ContentService:
    """The content service."""

    name = NAME

    def __init__(self, events: Events, tickets: Tickets | None = None) -> None:
        self._events, self._tickets = events, tickets

    def methods(self) -> Mapping[str, Method]:
        """The nine calls."""
        return {
            "Info": unary(messages.InfoRequest, _info),
            "Update": unary(messages.UpdateRequest, _update, changes=True),
            "List": answers(messages.ListContentRequest, _list),
            "Delete": unary(messages.DeleteContentRequest, _delete, changes=True),
            "Read": answers(messages.ReadContentRequest, _read),
            "Status": unary(messages.StatusRequest, _status),
            "ListStatuses": unary(messages.ListStatusesRequest, _list_statuses),
            "Write": exchange(write_with(self._events, self._tickets), changes=True),
            "Abort": unary(messages.AbortRequest, _abort, changes=True),
        }


def _info(call: Call, request: messages.InfoRequest) -> messages.InfoResponse:
    answer = messages.InfoResponse()
    _describe(answer.info, call.scope().blob(Digest.parse(request.digest)))
    return answer


def _update(call: Call, request: messages.UpdateRequest) -> messages.UpdateResponse:
    if not request.HasField("info"):
        raise InvalidArgument("an update needs the blob that it updates")
    digest = Digest.parse(request.info.digest)
    call.facts["digest"] = digest
    labels, replaces = labels_to_set(request.update_mask, request.info.labels)
    blob = call.scope().label(digest, labels, replace=replaces)
    return messages.UpdateResponse(info=wire.info(blob))


def labels_to_set(mask: FieldMask, labels: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """What a field mask says of labels: those to set, and whether all others go.

    An empty mask means all that can be updated. Raises `InvalidArgument` for any other field.
    """
    given = dict(labels)
    if not mask.paths or "labels" in mask.paths:
        named = {path for path in mask.paths if path != "labels"}
        if bad := {path for path in named if not path.startswith("labels.")}:
            raise InvalidArgument(f"cannot update field {min(bad)!r}")
        return given, True
    changed = {}
    for path in mask.paths:
        key = path.removeprefix("labels.")
        if key == path:
            raise InvalidArgument(f"cannot update field {path!r}")
        changed[key] = given.get(key, "")
    return changed, False


def _list(
    call: Call, request: messages.ListContentRequest
) -> Iterator[messages.ListContentResponse]:
    found = call.scope().blobs(*request.filters)
    while blobs := list(islice(found, PAGE)):
        page = messages.ListContentResponse()
        for blob in blobs:
            _describe(page.info.add(), blob)
        yield page


def _describe(info: messages.Info, blob: Blob) -> None:
    """Write a blob into a message that is part of its answer.

    For long listings: filling in costs half of making the parts and putting them together, and
    labels one by one a quarter of labels at once.
    """
    info.digest, info.size, created_ns, updated_ns, labels = blob
    moment = info.created_at
    moment.seconds, moment.nanos = divmod(created_ns, _SECOND)
    moment = info.updated_at
    moment.seconds, moment.nanos = divmod(updated_ns, _SECOND)
    if labels:
        written = info.labels
        for key, value in labels.items():
            written[key] = value


def _delete(call: Call, request: messages.DeleteContentRequest) -> Empty:
    digest = Digest.parse(request.digest)
    call.facts["digest"] = digest
    call.scope().delete(digest)
    return Empty()


def _read(call: Call, request: messages.ReadContentRequest) -> Iterator[bytes]:
    digest = Digest.parse(request.digest)
    scope = call.scope()
    with scope.open(digest) as file:
        length = file.seek(0, os.SEEK_END)
        offset = max(0, request.offset)
        if offset > length:
            raise OutOfRange(offset, length)
        size = length - offset
        if 0 < request.size < size:
            size = request.size
        file.seek(offset)
        source = file.raw if isinstance(file, io.BufferedReader) else file
        done = 0
        while done < size:
            data = source.read(min(READ_SIZE, size - done))
            if not data:
                return
            yield _piece(done, data)
            done += len(data)


def _piece(offset: int, data: bytes) -> bytes:
    """A ReadContentResponse around `data`, whose bytes are copied once."""
    head = messages.ReadContentResponse(offset=offset).SerializeToString()
    return wire.with_data(head, messages.ReadContentResponse.DATA_FIELD_NUMBER, data)


def _status(call: Call, request: messages.StatusRequest) -> messages.StatusResponse:
    return messages.StatusResponse(status=wire.status(call.scope().ingest(request.ref)))


def _list_statuses(
    call: Call, request: messages.ListStatusesRequest
) -> messages.ListStatusesResponse:
    found = call.scope().ingests(*request.filters)
    return messages.ListStatusesResponse(statuses=map(wire.status, found))


def _abort(call: Call, request: messages.AbortRequest) -> Empty:
    call.facts["ref"] = request.ref
    call.scope().abort(request.ref)
    return Empty()
