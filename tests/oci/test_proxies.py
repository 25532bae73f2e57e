"""Proxies: which stands between us and a host, and what goes through it."""

import base64
import contextlib
import socket
import ssl
import threading
from urllib.parse import urlsplit

import pytest

from lading.errors import ConnectionFailed, InvalidArgument
from lading.oci.transport.http import Tls
from lading.oci.transport.proxies import proxy_for
from tests.oci.scripted import Says
from tests.support.certificates import Authority

HELLO = Says(200, {}, b"hello")
FAR = "far.example"
"""A host that only a proxy can reach: nobody looks up its name here."""


class Proxy:
    """A proxy that reaches one server, whatever it is asked for."""

    def __init__(self, target, *, refuses=b""):
        self._target, self._refuses = target, refuses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            self.heads.append(head.decode())
            if self._refuses:
                connection.sendall(self._refuses)
                return
            with socket.create_connection(self._target) as onward:
                if head.startswith(b"CONNECT"):
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    onward.sendall(head)
                back = threading.Thread(target=_pump, args=[onward, connection])
                back.start()
                _pump(connection, onward)
                back.join()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy():
    """Start a proxy to a server."""
    with contextlib.ExitStack() as stack:

        def start(server, **options):
            made = Proxy(server.server_address, **options)
            stack.callback(made.close)
            return made

        yield start


def get(http, url, **options):
    with http.request("GET", url, **options) as answer:
        return answer.read(100)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_plain_http_goes_through_the_proxy(http, serve, proxy, monkeypatch, name):
    server = serve(lambda asked: HELLO)
    through = proxy(server)
    monkeypatch.setenv(name, through.url)
    assert get(http, f"http://{FAR}/a") == b"hello"
    assert through.heads[0].startswith(f"GET http://{FAR}/a HTTP/1.1\r\n")
    http.close()


def test_https_goes_through_a_tunnel_and_is_checked_at_its_end(
    http, serve, proxy, monkeypatch, tmp_path
):
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    server = serve(lambda asked: HELLO, context=context)
    through = proxy(server)
    monkeypatch.setenv("HTTPS_PROXY", through.url.replace("//", "//me:s%40cret@"))
    # The certificate is for this machine, and who is asked for another name sees that.
    with pytest.raises(Exception, match="certificate is not trusted: Hostname mismatch"):
        get(http, f"https://{FAR}/", tls=Tls(authorities=(str(authority.certificate),)))
    assert get(http, f"https://{FAR}/", tls=Tls(verifies=False)) == b"hello"
    head = through.heads[-1]
    assert head.startswith(f"CONNECT {FAR}:443 HTTP/1.")
    assert base64.b64encode(b"me:s@cret").decode() in head
    assert server.asked[0].header("Proxy-Authorization") is None
    http.close()


def test_a_proxy_that_refuses_is_named_without_its_password(http, serve, proxy, monkeypatch):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    through = proxy(serve(lambda asked: HELLO), refuses=refusal)
    monkeypatch.setenv("HTTPS_PROXY", through.url.replace("//", "//me:s3cret@"))
    with pytest.raises(ConnectionFailed) as caught:
        get(http, f"https://{FAR}/")
    assert str(caught.value) == f"{FAR}: the proxy does not let us through, with 407"
    assert "s3cret" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_a_connection_that_failed(http, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        for scheme in ("http", "https"):
            monkeypatch.setenv(
                f"{scheme}_proxy", f"http://me:s3cret@127.0.0.1:{listener.getsockname()[1]}"
            )
            with pytest.raises(ConnectionFailed, match="Connection refused") as caught:
                get(http, f"{scheme}://{FAR}/")
            assert "s3cret" not in str(caught.value)


def test_a_proxy_of_another_kind_is_one_sentence(http, monkeypatch):
    for proxy in ("socks5://me:s3cret@a.example:1", "http://me:s3cret@[bad", "http://a:99999"):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(InvalidArgument, match="mend HTTP_PROXY or HTTPS_PROXY") as caught:
            get(http, f"https://{FAR}/")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_proxied"),
    [
        ("http://far.example/", True),
        ("http://near.example/", False),
        ("http://below.near.example/", False),
        ("http://notnear.example/", True),
        ("http://port.example:5000/", False),
        ("http://port.example/", True),
        ("http://10.1.2.3/", False),
        ("http://11.1.2.3/", True),
        ("http://[fd00::1]/", False),
        ("http://192.0.2.7:5000/", False),
        ("http://localhost:5000/", False),
        ("http://127.0.0.1/", False),
        ("http://[::1]:5000/", False),
        ("https://far.example/", False),
    ],
)
def test_who_needs_no_proxy_has_none(monkeypatch, url, is_proxied):
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    exceptions = ".near.example, port.example:5000,10.0.0.0/8,fd00::/8, 192.0.2.7,/,x/9"
    monkeypatch.setenv("NO_PROXY", exceptions)
    expected = "http://proxy.example:3128" if is_proxied else None
    assert proxy_for(urlsplit(url)) == expected


def test_an_asterisk_is_everybody(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for(urlsplit("https://far.example/")) is None
