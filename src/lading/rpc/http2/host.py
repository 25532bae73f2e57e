"""Host: what a connection needs of its server, and which calls it takes up."""

from collections.abc import Callable
from typing import Protocol

import grpc

from lading.rpc.http2.headers import Opening, Refusal
from lading.rpc.http2.poller import Poller
from lading.rpc.http2.stream import Handler


class Nudged(Protocol):
    """A connection, as far as its server knows it."""

    def nudge(self) -> None:
        """Have the worker that waits for the next call look whether it may."""


class Host(Protocol):
    """A server, as its connections see it. Any method may be called from any thread."""

    poller: Poller

    def handler(self, path: str) -> Handler | None:
        """What answers a method."""

    def admits(self) -> bool:
        """Whether one more call may begin; it counts from here on."""

    def released(self) -> None:
        """A call that was admitted is over."""

    def submit(self, job: Callable[[], object]) -> bool:
        """Have a worker do this; False where they take no more."""

    def lingers(self, connection: Nudged) -> bool:
        """Whether a worker may wait for the next call of a connection, or go on waiting."""

    def lingered(self, connection: Nudged) -> None:
        """It waits no more."""

    def closed(self, connection: Nudged) -> None:
        """A connection is over."""


def admitted(host: Host, opening: Opening) -> Handler | Refusal:
    """What answers a call, which counts from here on; or why nothing does."""
    handler = host.handler(opening.path)
    if handler is None:
        return Refusal(200, grpc.StatusCode.UNIMPLEMENTED, "there is no such method here")
    if not host.admits():
        return Refusal(200, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls; try again")
    return handler
