"""gRPC's own services: health, and reflection.

What grpcio-health-checking and grpcio-reflection answer, called as our own services are: watched,
bounded, and shed when all threads are taken.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from lading.errors import NotFound
from lading.rpc.calls import Watch
from lading.rpc.methods import Call, Method, exchange, first, read, unary

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_TELLING_SECONDS = 1.0
"""How long a watcher that reads nothing may hold up an end."""
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING


def _asked(call: Call) -> grpc.ServicerContext:
    """The call as grpcio's own servicers ask of it: whether it lasts, and to be told when not."""
    return cast("grpc.ServicerContext", call.context)


class Health:
    """Whether the daemon is ready, as a whole and service by service. It is not until it begins.

    One of a daemon, which all its listeners answer.
    """

    name = health.SERVICE_NAME

    def __init__(self) -> None:
        self._servicer = health.HealthServicer(experimental_non_blocking=False)
        self._names = {health.OVERALL_HEALTH}
        self._state = _NOT_SERVING
        self._told = threading.Condition()
        self._watchers: dict[Watch, int | None] = {}
        """Who watches, and what each was told last."""
        self._say(self._state)

    def cover(self, names: Iterable[str]) -> None:
        """Answer for these services, too."""
        self._names.update(names)
        self._say(self._state)

    def begin(self) -> None:
        """Say that the daemon is ready. Whoever watches is told at once."""
        self._say(_SERVING)

    def end(self) -> None:
        """Say that it is not, any more. Whoever watches, and reads, has been told afterwards."""
        self._say(_NOT_SERVING)
        with self._told:
            self._told.wait_for(
                lambda: all(state == _NOT_SERVING for state in self._watchers.values()),
                _TELLING_SECONDS,
            )

    def _say(self, state: int) -> None:
        self._state = state
        for name in self._names:
            self._servicer.set(name, state)

    def methods(self) -> Mapping[str, Method]:
        """The two calls."""
        return {
            "Check": unary(health_pb2.HealthCheckRequest, self._check),
            "Watch": Method(answers_once=False, run=self._watch, changes=False),
        }

    def _check(self, call: Call, request: health_pb2.HealthCheckRequest) -> Message:
        return self._servicer.Check(self._known(request), _asked(call))

    def _watch(self, call: Call, requests: Iterator[bytes], watch: Watch) -> Iterator[bytes]:
        request = read(health_pb2.HealthCheckRequest, first(requests))
        watch.is_endless = True
        # The servicer never forgets a name that somebody has watched.
        answers = self._servicer.Watch(self._known(request), _asked(call))
        if not call.context.is_active():
            return  # nobody would end the waiting
        with self._told:
            self._watchers[watch] = None
        try:
            for answer in watch.heard(answers):
                yield answer.SerializeToString()
                with self._told:
                    self._watchers[watch] = answer.status
                    self._told.notify_all()
        finally:
            with self._told:
                del self._watchers[watch]
                self._told.notify_all()

    def _known(self, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckRequest:
        if request.service not in self._names:
            raise NotFound(request.service[:80], "service")
        return request


class ReflectionService:
    """What is served here, for tools that ask."""

    name = reflection.SERVICE_NAME

    def __init__(self, names: Iterable[str]) -> None:
        self._servicer = reflection.ReflectionServicer((*names, self.name))

    def methods(self) -> Mapping[str, Method]:
        """The one call."""
        return {"ServerReflectionInfo": exchange(self._info)}

    def _info(self, call: Call, messages: Iterator[bytes]) -> Iterator[bytes]:
        requests = (read(reflection_pb2.ServerReflectionRequest, data) for data in messages)
        for answer in self._servicer.ServerReflectionInfo(requests, _asked(call)):
            yield answer.SerializeToString()
