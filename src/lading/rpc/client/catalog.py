"""RemoteCatalog: the namespaces of another process, ours or containerd's."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.content.catalog import Catalog, Found, NamespaceRecord
from lading.content.collection import Collection, IdleIngest, LedgerLine
from lading.content.store import Blob, Ingest, Labels
from lading.errors import NotFound
from lading.model.digest import Digest
from lading.rpc import wire
from lading.rpc.client.channel import ANSWERS_WITHIN, Channel, Method, made
from lading.rpc.client.handing import Handing
from lading.rpc.client.store import RemoteScope
from lading.rpc.protos import collector_pb2, introspection_pb2, namespaces_pb2, version_pb2

_NAMESPACES = "/containerd.services.namespaces.v1.Namespaces"
_LIST: Final = Method(f"{_NAMESPACES}/List", namespaces_pb2.ListNamespacesResponse, repeats=True)
_CREATE: Final = Method(f"{_NAMESPACES}/Create", namespaces_pb2.CreateNamespaceResponse)
_UPDATE: Final = Method(f"{_NAMESPACES}/Update", namespaces_pb2.UpdateNamespaceResponse)
_DELETE: Final = Method(f"{_NAMESPACES}/Delete", Empty)
_COLLECTOR = "/lading.services.collector.v1.Collector"
_COLLECT: Final = Method(f"{_COLLECTOR}/Collect", collector_pb2.CollectResponse, patient=True)
_LEDGER: Final = Method(f"{_COLLECTOR}/Ledger", collector_pb2.LedgerLine, repeats=True)
_IDLE: Final = Method(f"{_COLLECTOR}/IdleIngests", collector_pb2.IdleIngest, repeats=True)
_UNKNOWN: Final = Method(f"{_COLLECTOR}/UnknownIngests", collector_pb2.UnknownIngest, repeats=True)
_ORPHANS: Final = Method(f"{_COLLECTOR}/Orphans", collector_pb2.Orphan, repeats=True)
_REBUILD: Final = Method(f"{_COLLECTOR}/Rebuild", collector_pb2.Found)
_VERSION: Final = Method(
    "/containerd.services.version.v1.Version/Version", version_pb2.VersionResponse, repeats=True
)
_SERVER: Final = Method(
    "/containerd.services.introspection.v1.Introspection/Server",
    introspection_pb2.ServerResponse,
    repeats=True,
)


class RemoteCatalog(Catalog):
    """The namespaces at an address, over one connection.

    What only lading knows, collection above all, raises `FailedPrecondition` with containerd.
    """

    def __init__(self, address: str, *, answers_within: timedelta = ANSWERS_WITHIN) -> None:
        self._channel = Channel(address, answers_within=answers_within)
        self._handing = Handing(self._channel)

    def namespace(self, name: str) -> RemoteScope:
        return RemoteScope(self._channel, self._handing, name)

    def namespaces(self) -> Iterator[NamespaceRecord]:
        found = self._channel.once(_LIST, namespaces_pb2.ListNamespacesRequest()).namespaces
        return iter(sorted(map(_namespace, found), key=lambda each: each.name))

    def label_namespace(
        self, name: str, labels: Labels, *, replace: bool = False
    ) -> NamespaceRecord:
        if not labels and not replace:
            # To ask for one that is not there is no error, and does not make it.
            there = (each for each in self.namespaces() if each.name == name)
            return next(there, None) or self._created(name, labels)
        mask = ["labels"] if replace else [f"labels.{key}" for key in labels]
        asked = made(
            namespaces_pb2.UpdateNamespaceRequest,
            namespace=made(namespaces_pb2.Namespace, name=name, labels=labels),
            update_mask=made(FieldMask, paths=mask),
        )
        try:
            return _namespace(self._channel.once(_UPDATE, asked).namespace)
        except NotFound:
            return self._created(name, labels)

    def delete_namespace(self, name: str) -> None:
        self._channel.once(_DELETE, made(namespaces_pb2.DeleteNamespaceRequest, name=name))

    def collect(self) -> Collection:
        done = self._channel.once(_COLLECT, collector_pb2.CollectRequest())
        took = done.took.ToTimedelta()
        return Collection(done.blobs, done.bytes, done.rows, done.ingests, took, tuple(done.failed))

    def ledger(self) -> Iterator[LedgerLine]:
        for line in self._channel.listed(_LEDGER, collector_pb2.LedgerRequest()):
            reason = line.reason if line.HasField("reason") else None
            yield LedgerLine(line.namespace, Digest(line.digest), line.size, reason)

    def idle_ingests(self) -> Iterator[IdleIngest]:
        for idle in self._channel.listed(_IDLE, collector_pb2.IdleIngestsRequest()):
            yield IdleIngest(idle.namespace, idle.ref, idle.offset)

    def unknown_ingests(self) -> Iterator[Ingest]:
        for found in self._channel.listed(_UNKNOWN, collector_pb2.UnknownIngestsRequest()):
            yield Ingest(
                found.ref,
                found.offset,
                found.total or None,
                Digest(found.expected) if found.expected else None,
                found.started_ns,
                found.updated_ns,
            )

    def orphans(self) -> Iterator[Blob]:
        for found in self._channel.listed(_ORPHANS, collector_pb2.OrphansRequest()):
            yield Blob(Digest(found.digest), found.size, found.created_ns, found.updated_ns)

    def rebuild(self, namespace: str) -> Iterator[Found]:
        request = made(collector_pb2.RebuildRequest, namespace=namespace)
        for found in self._channel.listed(_REBUILD, request):
            yield _found(found)

    def facts(self) -> dict[str, str | bool | None]:
        """What is so about the daemon, for people who ask why."""
        version = self._channel.once(_VERSION, Empty())
        server = self._channel.once(_SERVER, Empty())
        return {
            "address": self._channel.address.text,
            "version": version.version,
            "uuid": server.uuid,
        }

    def close(self) -> None:
        self._channel.close()

    def _created(self, name: str, labels: Labels) -> NamespaceRecord:
        kept = {key: value for key, value in labels.items() if value}
        request = made(
            namespaces_pb2.CreateNamespaceRequest,
            namespace=made(namespaces_pb2.Namespace, name=name, labels=kept),
        )
        return _namespace(self._channel.once(_CREATE, request).namespace)


def _namespace(message: namespaces_pb2.Namespace) -> NamespaceRecord:
    return NamespaceRecord(message.name, 0, wire.labels_of(message.labels))


def _found(message: Any) -> Found:
    namespace = message.namespace if message.HasField("namespace") else None
    return Found(message.kind, namespace, message.name, message.size)
