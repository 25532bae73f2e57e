"""What may stand for an address."""

import pytest

from lading.errors import InvalidArgument, PermissionDenied
from lading.rpc.client.address import read


@pytest.mark.parametrize("text", ["unix:///run/a b%2fc/s", "unix:/run/a b%2fc/s", "/run/a b%2fc/s"])
def test_a_socket_is_named_by_its_path_in_each_spelling(text):
    address = read(text)
    assert (address.path, address.text) == ("/run/a b%2fc/s", "unix:///run/a b%2fc/s")
    assert address.target == "unix:/run/a%20b%252fc/s"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"])
def test_without_tls_an_address_is_of_this_machine(host):
    address = read(f"tcp://{host}:4000,insecure")
    assert (address.path, address.credentials) == (None, None)
    assert address.text == f"tcp://{host}:4000"


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "128.0.0.1", "localhost.example.org"])
def test_without_tls_no_other_machine_is_spoken_to(host):
    with pytest.raises(InvalidArgument, match="without TLS"):
        read(f"tcp://{host}:4000,insecure")


def test_tcp_is_tls():
    assert read("tcp://example.org:4000").credentials is not None


def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PermissionDenied, match=r"absent\.pem"):
        read(f"tcp://example.org:4000,ca={tmp_path}/absent.pem")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "./s",
        "unix://s",
        "unix:",
        "/a\0b",
        "http://host:80",
        "tcp://host",
        "tcp://:80",
        "tcp://host:x",
        "tcp://host:80,what=1",
    ],
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InvalidArgument, match=r"write unix:///path/of/a/socket or tcp://host:port"):
        read(text)


def test_a_path_that_no_socket_can_have_is_refused():
    with pytest.raises(InvalidArgument, match="107"):
        read("/" + "x" * 107)
