"""Clients that others wrote, with TLS and without."""

import ssl

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from tests.http2.peer import PATIENCE_SECONDS, REQUEST, Peer, data, frame, message
from tests.http2.peer import frames as kinds

LIMITS = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))


@pytest.fixture(params=["plain", "TLS"])
def reached(request, serve, authority):
    """A server, and a channel of grpc's to it."""
    if request.param == "plain":
        server = serve()
        channel = grpc.insecure_channel(server.address, LIMITS)
    else:
        offer, client = authority
        server = serve(address="127.0.0.1:0", tls=offer)
        root = ssl.DER_cert_to_PEM_cert(client.get_ca_certs(binary_form=True)[0]).encode()
        trust = grpc.ssl_channel_credentials(root)
        channel = grpc.secure_channel(f"localhost:{server.port}", trust, LIMITS)
    with channel:
        yield server, channel


def test_grpc_calls_each_kind_of_method(reached):
    _, channel = reached
    where = {"timeout": PATIENCE_SECONDS}
    assert channel.unary_unary("/test.Test/Echo")(b"hello", **where) == b"hello"
    parts = [b"a" * size for size in (0, 1, 100_000, 3_000_000)]
    assert channel.stream_unary("/test.Test/Echo")(iter(parts), **where) == b"".join(parts)
    assert list(channel.stream_stream("/test.Test/Each")(iter(parts), **where)) == parts
    found = list(channel.unary_stream("/test.Test/Many")(b"300 10000", **where))
    assert [int.from_bytes(each[:4], "big") for each in found] == list(range(300))


def test_grpc_hears_of_an_error_as_it_was_meant(reached):
    _, channel = reached
    words = iter([b"5", "n%aïve".encode()])
    with pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary("/test.Test/Abort")(words, timeout=PATIENCE_SECONDS)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "n%aïve")
    assert ("words-bin", "n%aïve".encode()) in [tuple(m) for m in caught.value.trailing_metadata()]


def test_grpc_cancels_a_call_that_would_go_on(reached):
    server, channel = reached
    call = channel.unary_stream("/test.Test/Endless")(b"", timeout=PATIENCE_SECONDS)
    assert len(next(call)) == 65_536
    call.cancel()
    assert server.handlers.left.acquire(timeout=PATIENCE_SECONDS)


def test_h2_is_answered_within_its_windows(server):
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    fields = {**dict(REQUEST), ":path": "/test.Test/Many"}
    client.send_headers(1, list(fields.items()))
    client.send_data(1, message(b"50 20000"), end_stream=True)
    told, trailers = b"", None
    with server.connected() as raw:
        while trailers is None:
            raw.sendall(client.data_to_send())
            for event in client.receive_data(raw.recv(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    told += event.data
                    client.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers = dict(event.headers)
    assert len(told) == 50 * 20_005
    assert trailers == {"grpc-status": "0"}


@pytest.fixture
def secure(serve, authority):
    """A client with TLS that says what it is told to."""
    offer, client = authority
    server = serve(address="127.0.0.1:0", tls=offer)
    connected = client.wrap_socket(server.connected(), server_hostname="localhost")
    with Peer(connected) as peer:
        yield peer.greet()


def test_tls_records_cut_what_is_said_anywhere(secure):
    for byte in secure.headers() + data(1, message(b"slow"), ends=True):
        secure.send(bytes((byte,)))
    assert secure.answer().messages == [b"slow"]


def test_many_tls_records_at_a_time_are_taken_without_a_further_byte(secure):
    parts = [bytes(16_000)] * 3
    secure.send(secure.headers(), *(data(1, part) for part in (message(bytes(48_000))[:5], *parts)))
    secure.send(frame(kinds.DATA, kinds.END_STREAM, 1))
    assert [len(each) for each in secure.answer().messages] == [48_000]


def test_a_client_of_tls_that_speaks_plainly_is_hung_up_on(serve, authority):
    offer, _ = authority
    server = serve(address="127.0.0.1:0", tls=offer)
    with server.peer() as peer:
        peer.drained()
