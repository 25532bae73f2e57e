"""Server: services behind one listener."""

from collections.abc import Sequence

import grpc

from lading.content.catalog import Catalog
from lading.errors import Unavailable
from lading.rpc.calls import Calls, Workers
from lading.rpc.methods import Dispatch, Service

MESSAGE_LIMIT = 16 << 20
"""Bytes of a message, either way: containerd's."""
STREAMS_LIMIT = 256
"""Calls of one connection at a time; a client waits with the rest."""
CALLS_LIMIT = 8192
"""Calls that are answered or wait for a thread; the next one is told ResourceExhausted."""


class Server:
    """One listener. Several of one daemon share the catalog and nothing else."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        services: Sequence[Service],
        pinned: str | None = None,
        workers: int = 256,
    ) -> None:
        self.calls = Calls()
        self._workers = Workers(workers, self.calls)
        self._server = grpc.server(
            self._workers,
            maximum_concurrent_rpcs=CALLS_LIMIT,
            options=(
                ("grpc.max_receive_message_length", MESSAGE_LIMIT),
                ("grpc.max_send_message_length", MESSAGE_LIMIT),
                ("grpc.max_concurrent_streams", STREAMS_LIMIT),
                ("grpc.so_reuseport", 0),
            ),
        )
        dispatch = Dispatch(catalog, self.calls, pinned)
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(service.name, dispatch.handlers(service))
                for service in services
            )
        )

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Bind `unix:PATH` or `HOST:PORT`, and give the port; `Unavailable` where that fails."""
        try:
            port = (
                self._server.add_insecure_port(address)
                if credentials is None
                else self._server.add_secure_port(address, credentials)
            )
        except RuntimeError as error:
            raise Unavailable(f"cannot listen on {address}: {error}") from error
        return port

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Take no more calls, give those in flight `grace` seconds, cancel them, and wait.

        Every writer is closed when this returns, its bytes kept at their offset.
        """
        stopped = self._server.stop(grace)
        self.calls.end_endless()
        stopped.wait()
        self._workers.shutdown(wait=True)
