"""A link to a server: slow, counted, and held at any byte.

    with link(registry.host, round_trip=timedelta(milliseconds=40), rate=10 << 20) as line:
        …                        # line.host is where the server seems to be
        line.down, line.requests # bytes that came from it, and what it was asked for

    python -m tests.support.link HOST:PORT --round-trip-ms 40 --rate 10485760
                                 # the same as a program, which prints its address and then, when
                                 # its input ends, what it has counted, as JSON

Each connection has the whole round trip and the whole rate, in each direction: a link whose
connections are slow, and not one that they share. Not simulated: loss, and how TCP begins slowly.
"""

import argparse
import contextlib
import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

_PIECE = 16 << 10
_HEAD_LIMIT = 64 << 10
_FOREVER = 1 << 62
_NO_TIME = timedelta(0)


@dataclass(slots=True)
class Request:
    """What a client asked for, read on the way."""

    connection: int
    method: str
    path: str
    range: str | None = None
    content_range: str | None = None
    length: int | None = None
    """Bytes of its body; None where it said none, or sent it in chunks."""
    sent: int = 0
    """Bytes of its body that have passed."""


class Link:
    """A link that is up. Everything of it may be used from any thread."""

    def __init__(
        self,
        target: str,
        *,
        round_trip: timedelta = _NO_TIME,
        rate: int | None = None,
        down_limit: int | None = None,
        up_limit: int | None = None,
    ) -> None:
        """`rate` in bytes a second. Of what comes down from the server, and of what goes up to it,
        all connections together get so many bytes as the limits say, to the byte, and then wait
        until they are `let_go`.
        """
        host, _, port = target.rpartition(":")
        self._target = (host.strip("[]"), int(port))
        self._delay_s, self._rate = round_trip.total_seconds() / 2, rate
        self.connections = 0
        self.down = 0
        """Bytes that have come from the server, and gone on."""
        self.up = 0
        self.requests: list[Request] = []
        """In the order in which they passed; empty where TLS hides them."""
        self._limits = {
            "down": _FOREVER if down_limit is None else down_limit,
            "up": _FOREVER if up_limit is None else up_limit,
        }
        self.changed = threading.Condition()
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[socket.socket] = {self._listener}
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def limit(self, *, down: int | None = None, up: int | None = None) -> None:
        """Hold where so many bytes, counted from now, have passed."""
        with self.changed:
            if down is not None:
                self._limits["down"] = self.down + down
            if up is not None:
                self._limits["up"] = self.up + up
            self.changed.notify_all()

    def rate_is(self, rate: int | None) -> None:
        """Be another one from now on; None: as fast as can be."""
        with self.changed:
            self._rate = rate

    def let_go(self) -> None:
        """Pass on everything from now on."""
        with self.changed:
            self._limits = {"down": _FOREVER, "up": _FOREVER}
            self.changed.notify_all()

    def wait_for(self, condition: Callable[["Link"], bool]) -> None:
        """Wait until the link is so: `lambda line: line.down >= 1000`. What else it asks for is
        looked at now and then.
        """
        give_up = time.monotonic() + 60
        with self.changed:
            while not condition(self):
                self.changed.wait(0.1)
                assert time.monotonic() < give_up, (self.down, self.up, self.requests)

    def cut(self) -> None:
        """End every connection there is; new ones are let in."""
        with self.changed:
            for each in self._sockets - {self._listener}:
                with contextlib.suppress(OSError):  # either side may have hung up
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take it down."""
        with self.changed:
            self._open = False
            self.changed.notify_all()
            with contextlib.suppress(OSError):  # of a listener that is no longer one
                self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:  # the server is gone: so is the connection to it
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                if not self._open:
                    client.close()
                    server.close()
                    return
                self.connections += 1
                number = self.connections
                self._sockets |= {client, server}
            # A connection is made with one round trip, before the first byte.
            ready = time.monotonic() + 2 * self._delay_s
            self._start(_Lane(client, server, "up", ready), number)
            self._start(_Lane(server, client, "down", ready), number)

    def _start(self, lane: "_Lane", number: int) -> None:
        for work in (self._take, self._give):
            thread = threading.Thread(target=work, args=(lane, number))
            with self.changed:
                self._threads.append(thread)
            thread.start()

    def _take(self, lane: "_Lane", number: int) -> None:
        """Read what comes in, and put down when it may go on."""
        free_at = lane.ready
        with contextlib.suppress(OSError):  # either side may hang up at any time
            while data := lane.source.recv(_PIECE):
                now = time.monotonic()
                if self._rate:  # whatever it is just now
                    free_at = max(free_at, now) + len(data) / self._rate
                lane.pieces.put((max(free_at, now) + self._delay_s, data))
        lane.pieces.put(None)

    def _give(self, lane: "_Lane", number: int) -> None:
        requests = _requests(self.requests, number)
        next(requests)
        broken = False
        while (piece := lane.pieces.get()) is not None:
            due, data = piece
            if broken:
                continue  # so that whoever puts does not wait for room
            if self._delay_s or self._rate:
                time.sleep(max(0.0, due - time.monotonic()))
            broken = not self._pass(lane, data, requests)
        for each in (lane.source, lane.sink):
            with contextlib.suppress(OSError):
                # What went the other way may still be under way, so only this way ends.
                each.shutdown(socket.SHUT_WR if each is lane.sink else socket.SHUT_RD)

    def _pass(self, lane: "_Lane", data: bytes, requests: Generator[None, bytes, None]) -> bool:
        while data:
            with self.changed:
                self.changed.wait_for(
                    lambda: not self._open or self._counted(lane) < self._limits[lane.direction]
                )
                if not self._open:
                    return False
                part = data[: self._limits[lane.direction] - self._counted(lane)]
                # Counted before it is sent, or two connections could share one allowance.
                setattr(self, lane.direction, self._counted(lane) + len(part))
                if lane.direction == "up":
                    requests.send(part)
            try:
                lane.sink.sendall(part)
            except OSError:
                return False
            with self.changed:
                self.changed.notify_all()
            data = data[len(part) :]
        return True

    def _counted(self, lane: "_Lane") -> int:
        return self.down if lane.direction == "down" else self.up


class _Lane:
    """One direction of a connection."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, direction: str, ready: float
    ) -> None:
        self.source, self.sink, self.direction, self.ready = source, sink, direction, ready
        # As much as a wide window holds; whoever sends more waits, as on a real link.
        self.pieces: queue.Queue[tuple[float, bytes] | None] = queue.Queue(64)


def _requests(found: list[Request], connection: int) -> Generator[None, bytes, None]:
    """Read requests out of bytes as they pass, and put each down."""
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            held += yield
            if len(held) > _HEAD_LIMIT or not held[:1].isupper():
                while True:  # it is no HTTP that can be read
                    yield
        head, _, held = held.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in map(_parted, lines)}
        method, path, _ = first.split(" ", 2)
        length = headers.get("content-length")
        request = Request(
            connection,
            method,
            path,
            headers.get("range"),
            headers.get("content-range"),
            int(length) if length else None,
        )
        found.append(request)
        if "chunked" in headers.get("transfer-encoding", ""):
            held = yield from _chunks(request, held)
            continue
        left = request.length or 0
        while left:
            if not held:
                held = yield
            took = min(left, len(held))
            request.sent, left, held = request.sent + took, left - took, held[took:]


def _chunks(request: Request, held: bytes) -> Generator[None, bytes, bytes]:
    while True:
        while b"\r\n" not in held:
            held += yield
        line, _, held = held.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        left = size + 2
        while left:
            if not held:
                held = yield
            took = min(left, len(held))
            left, held = left - took, held[took:]
        request.sent += size
        if size == 0:
            return held


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


@contextlib.contextmanager
def link(
    target: str,
    *,
    round_trip: timedelta = _NO_TIME,
    rate: int | None = None,
    down_limit: int | None = None,
    up_limit: int | None = None,
) -> Iterator[Link]:
    """A link to `host:port` that is up until the block ends; see `Link`."""
    line = Link(target, round_trip=round_trip, rate=rate, down_limit=down_limit, up_limit=up_limit)
    try:
        yield line
    finally:
        line.close()


def main() -> None:
    """Be a link until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--round-trip-ms", type=float, default=0)
    parser.add_argument("--rate", type=int)
    options = parser.parse_args()
    round_trip = timedelta(milliseconds=options.round_trip_ms)
    with link(options.target, round_trip=round_trip, rate=options.rate) as line:
        print(line.host, flush=True)  # noqa: T201 - its answer
        sys.stdin.read()
        counted = {
            "connections": line.connections,
            "down": line.down,
            "up": line.up,
            "requests": [asdict(request) for request in line.requests],
        }
    print(json.dumps(counted))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
