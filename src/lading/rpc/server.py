"""Server: services behind one listener."""

import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from lading.content.catalog import Catalog
from lading.rpc.calls import Calls, Workers
from lading.rpc.http2.connection import STREAMS_LIMIT
from lading.rpc.http2.server import Http2Server
from lading.rpc.http2.stream import MESSAGE_LIMIT
from lading.rpc.methods import Dispatch, Service

_LOG = logging.getLogger(__name__)
__all__ = ["MESSAGE_LIMIT", "STREAMS_LIMIT", "Server"]


class Server:
    """One listener. Several of one daemon share the catalog and nothing else."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        services: Sequence[Service],
        pinned: str | None = None,
        workers: int = 256,
        over: Callable[[], object] | None = None,
    ) -> None:
        """`over` is called, by any thread, for each connection that has ended."""
        self.calls, self._over = Calls(), over
        self._workers = Workers(workers, self.calls)
        dispatch = Dispatch(catalog, self.calls, pinned)
        handlers = {
            f"/{service.name}/{name}": handler
            for service in services
            for name, handler in dispatch.handlers(service).items()
        }
        self._server = Http2Server(handlers, self._workers, over)

    def listen(self, address: str, tls: Callable[[], ssl.SSLContext] | None = None) -> int:
        """Bind `unix:PATH` or `HOST:PORT`, and give the port; `Unavailable` where that fails."""
        return self._server.listen(address, tls)

    def take(
        self, connected: socket.socket, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        """Serve a client that somebody else has let in; who cannot be served is hung up on."""
        try:
            self._server.took(connected, tls)
        except Exception as error:  # noqa: BLE001 - one client's trouble, and no other's
            connected.close()
            _LOG.warning("a client is turned away: %s", error)
            if self._over is not None:
                self._over()

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Take no more calls, give those in flight `grace` seconds, cancel them, and wait.

        Every writer is closed when this returns, its bytes kept at their offset.
        """
        self._server.drain()
        self.calls.end_endless()
        self._server.stop(grace)
        self._workers.shutdown(wait=True)
        self._server.close()
