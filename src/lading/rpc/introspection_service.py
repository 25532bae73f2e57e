"""containerd's introspection.v1 and version.v1: who answers here, and with what."""

import os
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from google.protobuf.empty_pb2 import Empty

from lading.model.filters import Path as FieldPath
from lading.model.filters import parse
from lading.rpc.methods import Call, Method, unary
from lading.rpc.protos import introspection_pb2 as messages
from lading.rpc.protos import version_pb2

_PLUGINS = (
    ("io.containerd.content.v1", "content", ()),
    ("io.containerd.metadata.v1", "lading", ("io.containerd.content.v1",)),
    ("io.containerd.gc.v1", "scheduler", ("io.containerd.metadata.v1",)),
    ("io.containerd.event.v1", "exchange", ()),
    ("io.containerd.grpc.v1", "content", ("io.containerd.metadata.v1",)),
    ("io.containerd.grpc.v1", "leases", ("io.containerd.metadata.v1", "io.containerd.gc.v1")),
    ("io.containerd.grpc.v1", "namespaces", ("io.containerd.metadata.v1",)),
    ("io.containerd.grpc.v1", "images", ("io.containerd.metadata.v1", "io.containerd.gc.v1")),
    ("io.containerd.grpc.v1", "events", ("io.containerd.event.v1",)),
    ("io.containerd.grpc.v1", "introspection", ()),
    ("io.containerd.grpc.v1", "version", ()),
    ("io.containerd.grpc.v1", "healthcheck", ()),
)
"""What we have of what containerd calls a plugin, under the types by which its clients look."""


class IntrospectionService:
    """The introspection service. `uuid` stays the same for a root; `process` is this one, or its
    parent where that is what was started.
    """

    name = "containerd.services.introspection.v1.Introspection"

    def __init__(self, uuid: str, process: int | None = None) -> None:
        self._uuid, self._process = uuid, process or os.getpid()

    def methods(self) -> Mapping[str, Method]:
        """The two calls."""
        return {
            "Plugins": unary(messages.PluginsRequest, _plugins),
            "Server": unary(Empty, self._server),
        }

    def _server(self, call: Call, request: Empty) -> messages.ServerResponse:
        return messages.ServerResponse(uuid=self._uuid, pid=self._process, pidns=_pid_namespace())


class VersionService:
    """The version service."""

    name = "containerd.services.version.v1.Version"

    def methods(self) -> Mapping[str, Method]:
        """The one call."""
        return {"Version": unary(Empty, _version)}


def _version(call: Call, request: Empty) -> version_pb2.VersionResponse:
    # Clients read it as a semantic version, in which what follows the plus says who it is.
    return version_pb2.VersionResponse(version=f"v{version('lading')}+lading", revision="lading")


def _plugins(call: Call, request: messages.PluginsRequest) -> messages.PluginsResponse:
    accepts = parse(*request.filters)
    plugins = (
        messages.Plugin(type=kind, id=name, requires=requires) for kind, name, requires in _PLUGINS
    )
    return messages.PluginsResponse(
        plugins=[plugin for plugin in plugins if accepts(partial(_field, plugin))]
    )


def _field(plugin: messages.Plugin, path: FieldPath) -> str | None:
    return {"type": plugin.type, "id": plugin.id}.get(path[0])


def _pid_namespace() -> int:
    """The number of the namespace that the pid is in; 0 where the system has none."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
