"""A link is what the other tests take it for: counted, held to the byte, and slow."""

import http.client
import threading
import time
from datetime import timedelta

import pytest

from tests.support.link import link
from tests.support.lying import lying

DATA = bytes(range(251)) * 1_000


@pytest.fixture
def registry():
    with lying(files={"data": DATA}) as registry:
        yield registry


def get(line, **headers):
    connection = http.client.HTTPConnection(line.host, timeout=30)
    try:
        connection.request("GET", "/files/data", headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_what_passes_is_counted_and_what_was_asked_for_is_known(registry):
    with link(registry.host) as line:
        assert get(line) == DATA
        assert get(line, Range="bytes=9-99") == DATA[9:100]
        assert line.connections == 2
        assert line.down > len(DATA) + 91
        assert [(each.method, each.path, each.range) for each in line.requests] == [
            ("GET", "/files/data", None),
            ("GET", "/files/data", "bytes=9-99"),
        ]


@pytest.mark.parametrize("limit", [0, 1, 100, 70_000, 200_001])
def test_it_holds_at_the_byte_and_lets_go(registry, limit):
    got = []
    with link(registry.host, down_limit=limit) as line:
        reader = threading.Thread(target=lambda: got.append(get(line)))
        reader.start()
        line.wait_for(lambda line: line.requests and line.down >= limit)
        assert line.down == limit
        assert got == []
        line.let_go()
        reader.join()
    assert got == [DATA]


def test_what_goes_up_is_held_at_the_byte_too(registry):
    body = DATA[:50_000]

    def post():
        connection = http.client.HTTPConnection(line.host, timeout=30)
        connection.request("POST", "/v2/a/blobs/uploads/", body)
        assert connection.getresponse().status == 202
        connection.close()

    with link(registry.host) as line:
        line.limit(up=10_000)
        writer = threading.Thread(target=post)
        writer.start()
        line.wait_for(lambda line: line.up >= 10_000)
        assert line.up == 10_000
        (request,) = line.requests
        assert (request.method, request.length) == ("POST", len(body))
        assert 0 < request.sent < 10_000
        line.let_go()
        writer.join()
        assert request.sent == len(body)


def test_bodies_in_chunks_are_no_requests(registry):
    with link(registry.host) as line:
        connection = http.client.HTTPConnection(line.host, timeout=30)
        for _ in range(2):
            # What looks like a request, and is a body.
            chunks = iter([b"GET / HTTP/1.1\r\n\r\n", b"x" * 70_000])
            connection.request("POST", "/v2/a/blobs/uploads/", chunks, encode_chunked=True)
            connection.getresponse().read()
        connection.close()
        assert [(each.method, each.sent) for each in line.requests] == [("POST", 70_018)] * 2


def test_a_cut_ends_connections_in_their_middle_and_lets_new_ones_in(registry):
    broken = []

    def try_to_get():
        try:
            get(line)
        except (OSError, http.client.HTTPException) as error:
            broken.append(error)

    with link(registry.host, down_limit=100_000) as line:
        reader = threading.Thread(target=try_to_get)
        reader.start()
        line.wait_for(lambda line: line.down >= 100_000)
        line.cut()
        reader.join()
        assert len(broken) == 1
        line.let_go()
        assert get(line) == DATA


@pytest.mark.slow
def test_it_is_as_slow_as_it_was_made(registry):
    rate = 500_000
    with link(registry.host, round_trip=timedelta(milliseconds=100), rate=rate) as line:
        began = time.monotonic()
        assert get(line, Range="bytes=0-0") == DATA[:1]
        # One round trip to connect, and one for the answer.
        assert time.monotonic() - began >= 0.2
        began = time.monotonic()
        assert get(line) == DATA
        assert time.monotonic() - began >= 0.2 + len(DATA) / rate
