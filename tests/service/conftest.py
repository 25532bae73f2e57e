"""A server over a catalog in SQLite, in this process, and plain channels to it."""

import queue
from collections.abc import Callable, Iterator
from typing import NamedTuple

import grpc
import pytest

from lading.metadata import Metadata
from lading.rpc.protos import content_pb2
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.wire import LEASE, NAMESPACE
from lading.stores.local.store import LocalStore

LIMITS = (
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.max_send_message_length", 32 << 20),
)


class Service(NamedTuple):
    """A server that runs, what it serves, and how to call it."""

    address: str
    catalog: Metadata
    server: Server
    channel: grpc.Channel

    def unary(self, path, request, answer, *, namespace="default", lease=None, timeout=30):
        """Call a method of one request and one answer."""
        call = self.channel.unary_unary(path, type(request).SerializeToString, answer.FromString)
        return call(request, metadata=headers(namespace, lease), timeout=timeout)

    def stream(self, path, request, answer, *, namespace="default", lease=None, timeout=30):
        """Call a method of one request and many answers."""
        call = self.channel.unary_stream(path, type(request).SerializeToString, answer.FromString)
        return call(request, metadata=headers(namespace, lease), timeout=timeout)

    def write(self, requests, *, namespace="default", lease=None, timeout=30):
        """Open a Write; iterate over its answers."""
        call = self.channel.stream_stream(
            "/containerd.services.content.v1.Content/Write",
            content_pb2.WriteContentRequest.SerializeToString,
            content_pb2.WriteContentResponse.FromString,
        )
        return call(iter(requests), metadata=headers(namespace, lease), timeout=timeout)


def headers(namespace, lease=None):
    """The headers of a call."""
    found = [(NAMESPACE, namespace)] if namespace else []
    return found + ([(LEASE, lease)] if lease else [])


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Service]]:
    """Start a server; keywords go to `Server`, `sharing` to the catalog."""
    running: list[Service] = []

    def start(*, sharing="shared", **options) -> Service:
        root = tmp_path / f"root{len(running)}"
        catalog = Metadata(f"sqlite:///{root}.db", content=LocalStore(root), sharing=sharing)
        services = all_services(catalog, catalog.events)
        server = Server(catalog, services=services, **options)
        address = f"unix:{tmp_path}/s{len(running)}"
        server.listen(address)
        server.start()
        channel = grpc.insecure_channel(address, LIMITS)
        running.append(Service(address, catalog, server, channel))
        return running[-1]

    yield start
    for each in running:
        each.channel.close()
        each.server.stop(0.5)
        each.catalog.close()


class Messages:
    """The requests of a stream, one after another as the test has them."""

    def __init__(self, *requests):
        self._queue = queue.SimpleQueue()
        for request in requests:
            self.put(request)

    def put(self, request):
        """Send one."""
        self._queue.put(request)

    def close(self):
        """Say that there are no more."""
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


@pytest.fixture
def feed():
    """Open a Write that goes on: its requests, and its answers."""
    opened = []

    def open_stream(service, *requests, **where):
        messages = Messages(*requests)
        stream = service.write(messages, **where)
        opened.append((messages, stream))
        return messages, stream

    yield open_stream
    for messages, stream in opened:
        messages.close()
        stream.cancel()


@pytest.fixture
def service(serve) -> Service:
    """A server that runs."""
    return serve()
