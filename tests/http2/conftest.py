"""A server of HTTP/2 with handlers of the tests' own, and clients that say what they should."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lading.rpc.calls import Calls, Workers
from lading.rpc.http2 import turns
from lading.rpc.http2.messages import Soon
from lading.rpc.http2.server import Http2Server
from lading.rpc.http2.stream import Handler
from tests.http2.peer import PATIENCE_SECONDS, Peer
from tests.support.certificates import Authority


class Handlers:
    """What answers the tests' calls, and what it has met."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        """What Hold waits for."""
        self.entered = threading.Semaphore(0)
        """Counts the calls that have begun."""
        self.left = threading.Semaphore(0)
        """Counts the calls whose handlers have ended, in whatever way."""
        self.heard: list[bytes] = []

    def all(self) -> dict[str, Handler]:
        """Each handler, by its path."""
        once = {"Echo": self.echo, "Hold": self.hold, "Huge": self.huge, "Fail": self.fail}
        once |= {"Abort": self.abort, "Metadata": self.metadata}
        many = {"Each": self.each, "Many": self.many, "Endless": self.endless, "Begin": self.begin}
        many |= {"FailLate": self.fail_late, "First": self.first, "Tracked": self.tracked}
        many |= {"Unwritable": self.unwritable, "Soon": self.soon}
        handlers = {name: Handler(answers_once=True, function=each) for name, each in once.items()}
        for name, each in many.items():
            handlers[name] = Handler(answers_once=False, function=each)
        handlers["Slow"] = Handler(answers_once=True, function=self.turn)
        handlers["Quick"] = Handler(answers_once=True, function=self.turn, is_quick=True)
        return {f"/test.Test/{name}": handler for name, handler in handlers.items()}

    def echo(self, messages, context):
        """All messages in one."""
        return b"".join(messages)

    def hold(self, messages, context):
        """The same, once the gate is open."""
        said = b"".join(messages)
        self.entered.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        self.left.release()
        return said

    def huge(self, messages, context):
        """As many bytes as the message says."""
        for size in messages:
            if size.isdigit():
                return bytes(int(size))
        raise RuntimeError("as it was told to")

    def fail(self, messages, context):
        """Nothing."""
        raise RuntimeError("as it was told to")

    def abort(self, messages, context):
        """The code and the words that the messages are."""
        code, words = map(bytes, messages)
        wanted = next(each for each in grpc.StatusCode if each.value[0] == int(code))
        context.set_trailing_metadata((("words-bin", words), ("kind", "text")))
        context.abort(wanted, words.decode())

    def metadata(self, messages, context):
        """What the client's headers were, a line each."""
        lines = [f"{key}={value!r}" for key, value in context.invocation_metadata()]
        return "\n".join(lines).encode()

    def each(self, messages, context):
        """Each message as it comes."""
        for message in messages:
            yield bytes(message)

    def tracked(self, messages, context):
        """Each message as it comes, while it is known that the call is there."""
        self.entered.release()
        try:
            for message in messages:
                self.heard.append(bytes(message))
                yield bytes(message)
        finally:
            self.left.release()

    def many(self, messages, context):
        """So many messages of so many bytes."""
        count, size = map(int, next(messages).split())
        for number in range(count):
            yield number.to_bytes(4, "big") + bytes(size - 4)

    def endless(self, messages, context):
        """Messages of 64 KiB without end."""
        self.entered.release()
        try:
            while True:
                yield bytes(65_536)
        finally:
            self.left.release()

    def begin(self, messages, context):
        """Nothing but headers, until the client has said all."""
        context.send_initial_metadata(())
        yield b"".join(messages)

    def first(self, messages, context):
        """The first message, and the end, whatever else the client has to say."""
        for message in messages:
            yield bytes(message)
            return

    def turn(self, messages, context):
        """Whether some thread has its turn, which is this one if any."""
        return b"taken" if turns._ONE.locked() else b"free"

    def soon(self, messages, context):
        """Each message twice, with what comes next; the last one is what to fail with."""
        *said, last = map(bytes, messages)
        for message in said:
            yield Soon(message)
            yield Soon(message)
        if last:
            context.abort(grpc.StatusCode.DATA_LOSS, last.decode())

    def unwritable(self, messages, context):
        """Nothing, and trailers that are none."""
        context.set_trailing_metadata((("number", 1),))
        yield from ()

    def fail_late(self, messages, context):
        """One message."""
        yield b"well"
        raise RuntimeError("as it was told to")


class Running:
    """A server that runs, and what it does."""

    def __init__(
        self, address: str, workers: int, tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        self.handlers = Handlers()
        self.calls = Calls()
        self.workers = Workers(workers, self.calls)
        self.server = Http2Server(self.handlers.all(), self.workers)
        self.port = self.server.listen(address, tls)
        self.address = address
        self.server.start()
        self.peers: list[Peer] = []

    def connected(self) -> socket.socket:
        """A socket that nothing was said through."""
        if self.port:
            return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(PATIENCE_SECONDS)
        raw.connect(self.address.removeprefix("unix:"))
        return raw

    def peer(self, **settings: int) -> Peer:
        """A client that has said its preface and its settings."""
        return self.stranger().greet(**settings)

    def stranger(self) -> Peer:
        """A client that has said nothing."""
        peer = Peer(self.connected())
        self.peers.append(peer)
        return peer

    def serves(self) -> bool:
        """Whether another client is answered."""
        with self.peer() as other:
            other.call("Echo", b"well")
            return other.answer().messages == [b"well"]

    def stop(self, grace: float = 0.0) -> None:
        """Stop as `Server` does."""
        self.server.stop(grace)
        self.workers.shutdown(wait=True)
        self.server.close()

    def eventually(self, holds: Callable[[], bool]) -> bool:
        """Whether something comes to hold, which no event tells of."""
        turn = threading.Event()
        for _ in range(int(PATIENCE_SECONDS * 200)):
            if holds():
                return True
            turn.wait(0.005)
        return holds()

    @property
    def is_idle(self) -> bool:
        """Whether no call is left, and none is counted."""
        return not self.server._calls and not len(self.calls)

    def close(self) -> None:
        """Stop, and see that nothing is left."""
        self.handlers.gate.set()
        for peer in self.peers:
            peer.close()
        self.stop()
        assert self.server._calls == 0, "a call was never released"
        assert self.server._connections == set(), "a connection was never closed"


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Running]]:
    """Start a server; it is stopped at the end, and has left nothing behind then."""
    running: list[Running] = []

    def start(*, workers: int = 8, tls=None, address: str = "") -> Running:
        running.append(Running(address or f"unix:{tmp_path}/{len(running)}", workers, tls))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def server(serve) -> Running:
    """A server on a socket of the file system, without TLS."""
    return serve()


@pytest.fixture
def peer(server) -> Peer:
    """A client of it that has said its preface and its settings."""
    return server.peer()


@pytest.fixture(autouse=True)
def no_failure_is_logged(caplog) -> Iterator[None]:
    """See that no test makes the server tell of a failure that it did not ask for."""
    yield
    records = caplog.get_records("call") + caplog.get_records("teardown")
    told = [each for each in records if each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in told if "told to" not in str(each.exc_info)] == []


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> tuple[Callable[[], ssl.SSLContext], ssl.SSLContext]:
    """What a server of TLS offers to each client, and a client's context that trusts it."""
    vouching = Authority(tmp_path_factory.mktemp("authority"))
    certificate, key = vouching.vouch("server")

    def offer() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2"])
        return context

    client = ssl.create_default_context(cafile=str(vouching.certificate))
    client.set_alpn_protocols(["h2"])
    return offer, client


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
