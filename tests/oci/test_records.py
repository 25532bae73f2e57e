"""Records: TLS gives all that has come, waits for no more, and never shows its cipher."""

import socket
import ssl
import threading
from contextlib import suppress

import pytest

from lading.oci.transport.http import Tls
from lading.oci.transport.records import RecordsSocket
from lading.oci.transport.tls import context_of
from tests.oci.scripted import Says
from tests.support.certificates import Authority

RECORD = 16 << 10
PLENTY = bytes(range(256)) * 256
"""Four records."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    return context


@pytest.fixture(scope="module")
def trusting(authority):
    return Tls(authorities=(str(authority.certificate),))


@pytest.fixture
def pair(server_context, trusting):
    """A client and a server whose connection is memory: what is sent is there at once."""
    near, far = socket.socketpair()
    near.settimeout(10)
    server = server_context.wrap_socket(far, server_side=True, do_handshake_on_connect=False)
    greeting = threading.Thread(target=server.do_handshake)
    greeting.start()
    client = context_of(trusting).wrap_socket(near, server_hostname="localhost")
    greeting.join()
    with client, server:
        yield client, server


def taken(client, size):
    buffer = bytearray(size)
    return bytes(buffer[: client.recv_into(buffer)])


def test_all_records_that_have_come_are_given_together(pair):
    client, server = pair
    server.sendall(PLENTY)
    assert isinstance(client, RecordsSocket)
    assert taken(client, 1 << 20) == PLENTY


def test_no_more_is_given_than_there_is_room_for(pair):
    client, server = pair
    server.sendall(PLENTY)
    assert taken(client, RECORD + 10) == PLENTY[: RECORD + 10]
    buffer = bytearray(b"." * RECORD)
    assert client.recv_into(buffer, 20) == 20
    assert buffer[:21] == PLENTY[RECORD + 10 : RECORD + 30] + b"."


def test_nothing_is_held_back_while_the_other_end_has_to_be_waited_for(pair):
    client, server = pair
    server.sendall(b"a")
    assert taken(client, 1 << 20) == b"a"
    server.sendall(b"b")
    assert taken(client, 1 << 20) == b"b"
    assert client.gettimeout() == 10


def test_who_does_not_want_to_wait_is_told_so(pair):
    client, _ = pair
    client.settimeout(0)
    with pytest.raises(ssl.SSLWantReadError):
        taken(client, 100)


def test_a_failure_comes_after_the_bytes_before_it(pair):
    client, server = pair
    server.sendall(b"good")
    socket.socket.sendall(server, b"this is no record of anybody's")
    assert taken(client, 1 << 20) == b"good"
    with pytest.raises(ssl.SSLError):
        taken(client, 1 << 20)
    assert client.gettimeout() == 10


def test_the_end_comes_after_the_bytes_before_it(pair):
    client, server = pair
    server.sendall(b"good")
    socket.socket.shutdown(server, socket.SHUT_RDWR)
    assert [taken(client, 1 << 20) for _ in range(3)] == [b"good", b"", b""]


def test_after_a_shutdown_nobody_is_given_what_is_still_in_cipher(pair):
    client, server = pair
    server.sendall(PLENTY)
    first = taken(client, 100)
    client.shutdown(socket.SHUT_RD)
    rest = b"".join(iter(lambda: taken(client, 100), b""))
    assert PLENTY.startswith(first + rest)


def test_a_body_that_is_cut_ends_in_its_own_bytes(http, serve, server_context, trusting):
    body = bytes(1 << 20)
    server = serve(lambda asked: Says(200, {}, body), context=server_context)
    with http.request("GET", server.url, tls=trusting) as answer:
        came = answer.read1(10)
        answer.cut()
        with suppress(Exception):
            while piece := answer.read1(RECORD):
                came += piece
    assert not came.strip(b"\0")
