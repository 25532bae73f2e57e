"""RemoteLease: a namespace in another process, on behalf of a lease."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.empty_pb2 import Empty

from lading.content.catalog import DAY, Lease, LeaseRecord, Resource
from lading.content.store import time_of
from lading.errors import InvalidArgument, NotFound
from lading.model.filters import quote
from lading.rpc import wire
from lading.rpc.client.channel import Method, made
from lading.rpc.client.store import RemoteScope
from lading.rpc.protos import leases_pb2

EXPIRE = "containerd.io/gc.expire"
_SERVICE = "/containerd.services.leases.v1.Leases"
_CREATE: Final = Method(f"{_SERVICE}/Create", leases_pb2.CreateResponse)
_RENEW: Final = Method(f"{_SERVICE}/LadingRenew", leases_pb2.CreateResponse)
_DELETE: Final = Method(f"{_SERVICE}/Delete", Empty)
_LIST: Final = Method(f"{_SERVICE}/List", leases_pb2.ListResponse, repeats=True)
_HOLD: Final = Method(f"{_SERVICE}/AddResource", Empty)
_RELEASE: Final = Method(f"{_SERVICE}/DeleteResource", Empty)
_RESOURCES: Final = Method(
    f"{_SERVICE}/ListResources", leases_pb2.ListResourcesResponse, repeats=True
)
_CENTURY = timedelta(days=36_525)
_EPOCH = time_of(0)


class RemoteLease(RemoteScope, Lease):
    """Made by `RemoteScope.lease` and `RemoteScope.leased`."""

    def __init__(self, scope: RemoteScope, lease: str) -> None:
        super().__init__(
            scope._channel,  # noqa: SLF001 - a lease is its namespace
            scope._handing,  # noqa: SLF001 - ditto
            scope.name,
            lease,
            clock=scope._clock,  # noqa: SLF001 - ditto
        )
        self.id = lease
        self._plain = scope._headers[:1]  # noqa: SLF001 - ditto
        """A lease that has ended is said to be gone by the call, not by its header."""

    def record(self) -> LeaseRecord:
        request = made(leases_pb2.ListRequest, filters=[f"id=={quote(self.id)}"])
        for message in self._channel.once(_LIST, request, self._plain).leases:
            if message.id == self.id:
                return _record(message)
        raise NotFound(self.id, "lease")

    def renew(self, expires_in: timedelta = DAY) -> LeaseRecord:
        """Have the lease end at another time; `FailedPrecondition` where that is not known.

        containerd has no call for it.
        """
        labels = {EXPIRE: _moment(self._clock(), expires_in)}
        request = made(leases_pb2.CreateRequest, id=self.id, labels=labels)
        return _record(self._channel.once(_RENEW, request, self._plain).lease)

    def resources(self) -> list[Resource]:
        request = made(leases_pb2.ListResourcesRequest, id=self.id)
        held = self._channel.once(_RESOURCES, request, self._plain).resources
        return sorted(Resource(each.type, each.id) for each in held)

    def hold(self, resource: Resource) -> None:
        request = made(leases_pb2.AddResourceRequest, id=self.id, resource=_message(resource))
        self._channel.once(_HOLD, request, self._plain)

    def release(self, resource: Resource) -> None:
        # What is not held is released without a word.
        if resource not in self.resources():
            raise NotFound(resource.id, f"{resource.kind} of lease {self.id!r}")
        request = made(leases_pb2.DeleteResourceRequest, id=self.id, resource=_message(resource))
        self._channel.once(_RELEASE, request, self._plain)

    def end(self) -> None:
        self._channel.once(_DELETE, made(leases_pb2.DeleteRequest, id=self.id), self._plain)


def make_lease(
    scope: RemoteScope,
    id: str | None,  # noqa: A002 - the word that users type
    *,
    expires_in: timedelta | None,
    labels: Mapping[str, str] | None,
) -> RemoteLease:
    """Make a lease, whose end is counted by the clock at this end."""
    kept = dict(labels or {})
    if expires_in is not None:
        kept.setdefault(EXPIRE, _moment(scope._clock(), expires_in))  # noqa: SLF001 - a part of it
    if id is not None:
        RemoteLease(scope, id)  # one that could be made and not be named is not made
    request = made(leases_pb2.CreateRequest, id=id or "", labels=kept)
    return RemoteLease(scope, scope._once(_CREATE, request).lease.id)  # noqa: SLF001 - ditto


def list_leases(scope: RemoteScope) -> Iterator[LeaseRecord]:
    """Every lease of a namespace, in the order of their ids."""
    found = scope._once(_LIST, leases_pb2.ListRequest()).leases  # noqa: SLF001 - a part of it
    return iter(sorted(map(_record, found), key=lambda lease: lease.id))


def _record(message: leases_pb2.Lease) -> LeaseRecord:
    labels = wire.labels_of(message.labels)
    created_ns = wire.nanoseconds(message.created_at)
    return LeaseRecord(message.id, created_ns, _expiry_of(labels), labels)


def _expiry_of(labels: Mapping[str, str]) -> int | None:
    try:
        moment = datetime.fromisoformat(labels.get(EXPIRE, ""))
        since = moment - _EPOCH
    except (ValueError, TypeError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _message(resource: Resource) -> leases_pb2.Resource:
    return made(leases_pb2.Resource, id=resource.id, type=resource.kind)


def _moment(now_ns: int, span: timedelta) -> str:
    if not timedelta(0) < span <= _CENTURY:
        raise InvalidArgument(f"a lease ends within a century, and not {span} from now")
    nanoseconds = (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1000
    return time_of(now_ns + nanoseconds).isoformat()
