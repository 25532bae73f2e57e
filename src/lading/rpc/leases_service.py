"""containerd.services.leases.v1.Leases over a catalog.

A lease of a client is one of ours: the `containerd-lease` header of any other call names it.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial

from google.protobuf.empty_pb2 import Empty

from lading.content.catalog import Lease, LeaseRecord, Resource, Scope
from lading.content.filtering import label_at
from lading.content.store import time_of
from lading.errors import FailedPrecondition, InvalidArgument, NotFound
from lading.model.filters import Path, parse
from lading.rpc import wire
from lading.rpc.collector_service import SharedCollections
from lading.rpc.methods import Call, Method, unary
from lading.rpc.protos import leases_pb2 as messages

EXPIRE = "containerd.io/gc.expire"


class LeasesService:
    """The leases service."""

    name = "containerd.services.leases.v1.Leases"

    def __init__(
        self, collections: SharedCollections, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._collections, self._clock = collections, clock

    def methods(self) -> Mapping[str, Method]:
        """The six calls, and one of ours: containerd's clients cannot renew a lease."""
        return {
            "Create": unary(messages.CreateRequest, _create, changes=True),
            "Delete": unary(messages.DeleteRequest, self._delete, changes=True),
            "List": unary(messages.ListRequest, _list),
            "AddResource": unary(messages.AddResourceRequest, _add_resource, changes=True),
            "DeleteResource": unary(messages.DeleteResourceRequest, _delete_resource, changes=True),
            "ListResources": unary(messages.ListResourcesRequest, _list_resources),
            "LadingRenew": unary(messages.CreateRequest, self._renew, changes=True),
        }

    def _delete(self, call: Call, request: messages.DeleteRequest) -> Empty:
        _lease(call, request.id).end()
        if request.sync:
            self._collections.collect(call)
        return Empty()

    def _renew(self, call: Call, request: messages.CreateRequest) -> messages.CreateResponse:
        """Have a lease end when the request's label says."""
        try:
            until = datetime.fromisoformat(request.labels[EXPIRE])
        except ValueError:
            raise InvalidArgument(f"renewing takes a moment as the label {EXPIRE}") from None
        if until.tzinfo is None:
            raise InvalidArgument(f"the moment {request.labels[EXPIRE]} is in no time zone")
        span = until - time_of(self._clock())
        return messages.CreateResponse(lease=_message(_lease(call, request.id).renew(span)))


def _namespace(call: Call) -> Scope:
    """The namespace, without the lease of the header: it may be the one that is being deleted."""
    if not call.namespace:
        raise FailedPrecondition("namespace is required")
    return call.catalog.namespace(call.namespace)


def _lease(call: Call, name: str) -> Lease:
    call.facts["lease"] = name
    return _namespace(call).leased(name)


def _create(call: Call, request: messages.CreateRequest) -> messages.CreateResponse:
    # It ends when its label says so, or never: the caller's, as in containerd.
    lease = _namespace(call).lease(request.id or None, expires_in=None, labels=dict(request.labels))
    call.facts["lease"] = lease.id
    return messages.CreateResponse(lease=_message(lease.record()))


def _list(call: Call, request: messages.ListRequest) -> messages.ListResponse:
    accepts = parse(*request.filters)
    found = (each for each in _namespace(call).leases() if accepts(partial(_field, each)))
    return messages.ListResponse(leases=map(_message, found))


def _field(lease: LeaseRecord, path: Path) -> str | None:
    match path[0]:
        case "id":
            return lease.id
        case "labels":
            return label_at(lease.labels, path)
    return None


def _add_resource(call: Call, request: messages.AddResourceRequest) -> Empty:
    _lease(call, request.id).hold(_resource(request.resource))
    return Empty()


def _delete_resource(call: Call, request: messages.DeleteResourceRequest) -> Empty:
    lease = _lease(call, request.id)
    with suppress(NotFound):  # what it does not hold, it has let go of, as in containerd
        lease.release(_resource(request.resource))
    return Empty()


def _list_resources(
    call: Call, request: messages.ListResourcesRequest
) -> messages.ListResourcesResponse:
    held = _lease(call, request.id).resources()
    return messages.ListResourcesResponse(
        resources=(messages.Resource(id=each.id, type=each.kind) for each in held)
    )


def _resource(message: messages.Resource) -> Resource:
    return Resource(message.type, message.id)


def _message(lease: LeaseRecord) -> messages.Lease:
    return messages.Lease(
        id=lease.id, created_at=wire.timestamp(lease.created_ns), labels=lease.labels
    )
