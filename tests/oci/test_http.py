"""HTTP: one request, one answer, and errors in our words."""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from lading.errors import ConnectionFailed, InvalidArgument, Untrusted
from lading.oci.access.probing import speaks_tls
from lading.oci.transport.http import Http, SpeaksNoTls, Tls
from lading.oci.transport.patience import Patience
from tests.oci.scripted import Says
from tests.support.certificates import Authority

HELLO = Says(200, {}, b"hello")
QUICK = Patience(idle=timedelta(milliseconds=50), connect=timedelta(milliseconds=50))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    return context


@pytest.fixture
def trusting(authority):
    """Whom to trust, to reach the servers here."""
    return Tls(authorities=(str(authority.certificate),))


@pytest.fixture
def answering():
    """Start a server that says the same to whoever connects, once; gives its https URL."""
    with contextlib.ExitStack() as stack:

        def start(raw):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer():
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(raw)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            return f"https://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def get(http, url, **options):
    with http.request("GET", url, **options) as answer:
        return answer.status, answer.read(1 << 20)


def test_an_answer_is_here_before_its_body_whatever_its_status(http, serve):
    server = serve(lambda asked: Says(404, (("X-A", "1"), ("X-A", "2"), ("X-B", "3")), b"no"))
    with http.request("GET", f"{server.url}/a?b=c", headers={"X": "y"}) as answer:
        assert (answer.status, answer.host) == (404, server.host)
        assert answer.every("x-a") == ["1", "2"]
        assert answer.every("X-C") == []
        assert answer.headers["x-b"] == "3"
        assert answer.read(2) == b"no"
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.header("X")) == ("GET", "/a?b=c", "y")
    assert asked.header("Accept-Encoding") == "identity"
    assert asked.header("User-Agent") == "lading"


def test_no_encoding_is_undone_and_no_redirect_followed(http, serve):
    packed = {"Content-Encoding": "gzip", "Location": "/elsewhere"}
    server = serve(lambda asked: Says(302, packed, b"not gzip"))
    assert get(http, server.url) == (302, b"not gzip")
    assert len(server.asked) == 1


def test_nothing_is_repeated(http, serve):
    server = serve(lambda asked: Says(503, {"Retry-After": "0"}))
    assert get(http, server.url)[0] == 503
    broken = serve(lambda asked: Says(raw=b""))
    with pytest.raises(ConnectionFailed):
        get(http, broken.url)
    assert (len(server.asked), len(broken.asked)) == (1, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_a_connection_is_used_again(http, serve, method):
    server = serve(lambda asked: Says(200, {}, b"" if asked.method == "DELETE" else b"hello"))
    for _ in range(3):
        with http.request(method, server.url, body=b"x" if method == "POST" else None) as answer:
            answer.drain()
        with http.request(method, server.url) as answer:
            answer.read(5)
    assert server.connections == 1


def test_what_has_no_body_gives_its_connection_back_unread(http, serve):
    server = serve(lambda asked: HELLO if asked.method == "HEAD" else Says(204))
    for method in ("HEAD", "DELETE", "HEAD"):
        http.request(method, server.url).close()
    assert server.connections == 1


def test_a_body_that_is_left_closes_its_connection(http, serve):
    server = serve(lambda asked: Says(200, {}, bytes(1 << 20)))
    for _ in range(2):
        with http.request("GET", server.url) as answer:
            assert len(answer.read1(10)) == 10
    assert server.connections == 2


def test_a_body_has_a_limit(http, serve):
    server = serve(lambda asked: HELLO)
    with http.request("GET", server.url) as answer:
        assert answer.read_up_to(2) == b"he"
        assert answer.read(3) == b"llo"
    with http.request("GET", server.url) as answer, pytest.raises(ConnectionFailed) as caught:
        answer.read(4)
    assert str(caught.value) == f"{server.host}: its answer is longer than 4 bytes"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\n" + 70_000 * b"a" + b": b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + 200 * b"A: b\r\n" + b"\r\n",
        bytes(range(256)),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_broken_answer_is_a_connection_that_failed(http, serve, raw):
    server = serve(lambda asked: Says(raw=raw))
    with pytest.raises(ConnectionFailed) as caught:
        get(http, server.url)
    assert caught.value.host == server.host
    assert caught.value.retryable
    assert len(str(caught.value)) < 400
    assert "HTTPConnection" not in str(caught.value)


def test_nobody_there_is_a_connection_that_failed(http):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionFailed, match="Connection refused"):
            get(http, url)
        # Ours is the only name in it.
        with pytest.raises(ConnectionFailed, match=r"^127\.0\.0\.1:\d+: Connection refused$"):
            get(http, url.replace("http", "https"))


def test_who_says_nothing_is_given_up(serve):
    ended = threading.Event()

    def says(asked):
        ended.wait(30)
        return HELLO

    server, http = serve(says), Http(QUICK)
    with pytest.raises(ConnectionFailed, match="timed out"):
        get(http, server.url)
    ended.set()
    http.close()


def test_what_http_cannot_carry_is_refused_and_not_shown(http, serve):
    server = serve(lambda asked: HELLO)
    for headers in ({"Authorization": "Bearer s3cret\r\nX: y"}, {"Authorization": "s3cret\u20ac"}):
        with pytest.raises(InvalidArgument) as caught:
            get(http, server.url, headers=headers)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidArgument) as caught:
        get(http, "gopher://a.example/b?key=s3cret")
    assert "s3cret" not in str(caught.value)
    assert server.asked == []


def test_a_body_may_come_piece_by_piece(http, serve, tmp_path):
    server = serve(lambda asked: HELLO)
    get_body = [b"he", b"", b"llo"]
    with http.request("POST", server.url, body=iter(get_body)) as answer:
        answer.drain()
    file = tmp_path / "body"
    file.write_bytes(b"hello")
    with file.open("rb") as body:
        http.request("PUT", server.url, body=body, headers={"Content-Length": "5"}).close()
    assert [asked.body for asked in server.asked] == [b"hello", b"hello"]


def test_a_certificate_is_checked(http, serve, server_context, trusting):
    server = serve(lambda asked: HELLO, context=server_context)
    with pytest.raises(Untrusted) as caught:
        get(http, server.url)
    assert not caught.value.retryable
    assert str(caught.value).startswith(f"{server.host}: its certificate is not trusted: ")
    assert get(http, server.url, tls=trusting) == (200, b"hello")
    # What was trusted once is not trusted by who does not.
    with pytest.raises(Untrusted):
        get(http, server.url)


def test_a_certificate_for_somebody_else_is_not_trusted(http, serve, server_context, trusting):
    server = serve(lambda asked: HELLO, context=server_context, address="127.0.0.2")
    with pytest.raises(Untrusted, match="IP address mismatch"):
        get(http, server.url, tls=trusting)


def test_who_need_not_be_trusted_is_not_checked_and_nobody_is_warned(http, serve, server_context):
    server = serve(lambda asked: HELLO, context=server_context)
    assert get(http, server.url, tls=Tls(verifies=False)) == (200, b"hello")


def test_an_authority_may_come_from_the_environment(
    http, serve, server_context, authority, monkeypatch
):
    server = serve(lambda asked: HELLO, context=server_context)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert get(http, server.url) == (200, b"hello")


def test_we_can_show_who_we_are(http, serve, authority, trusting):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = serve(lambda asked: HELLO, context=context)
    with pytest.raises(ConnectionFailed) as caught:
        get(http, server.url, tls=trusting)
    assert not isinstance(caught.value, SpeaksNoTls)
    certificate, key = map(str, authority.vouch("client"))
    known = trusting._replace(identities=((certificate, key),))
    assert get(http, server.url, tls=known) == (200, b"hello")


def test_files_that_are_no_certificates_are_named(http, authority, tmp_path):
    bad, certificate = tmp_path / "bad.pem", str(authority.certificate)
    bad.write_text("no certificate")
    _, key = authority.vouch("other")
    for tls, name in (
        (Tls(authorities=(str(tmp_path / "absent.crt"),)), "absent.crt"),
        (Tls(authorities=(certificate, str(bad))), "bad.pem"),
        (Tls(identities=((str(bad), None),)), "bad.pem"),
        (Tls(identities=((certificate, str(key)),)), "authority.crt and "),
    ):
        with pytest.raises(InvalidArgument) as caught:
            get(http, "https://127.0.0.1:1/", tls=tls)
        assert name in str(caught.value)


def test_a_key_with_a_password_asks_nobody_for_it(http, authority, tmp_path):
    certificate, key = authority.vouch("locked")
    locked = tmp_path / "locked.key"
    words = ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked]
    subprocess.run(words, check=True)
    with pytest.raises(InvalidArgument, match="without a password"):
        get(http, "https://127.0.0.1:1/", tls=Tls(identities=((str(certificate), str(locked)),)))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_who_does_not_speak_tls_is_told_from_who_is_not_trusted(http, answering, version):
    url = answering(f"HTTP/{version} 400 Bad Request\r\n\r\nno TLS here".encode())
    with pytest.raises(SpeaksNoTls, match="it does not speak TLS; --plain-http") as caught:
        get(http, url)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request", False),
        (b"", False),
        (b"\x15\x03\x01\x00\x02\x02\x28", True),  # an alert: the handshake has failed
    ],
    ids=["plain http", "a hang-up", "an alert"],
)
def test_a_server_shows_whether_it_speaks_tls(answering, raw, expected):
    assert speaks_tls(answering(raw), within=timedelta(seconds=10)) is expected


def test_any_certificate_shows_that_a_server_speaks_tls(serve, server_context):
    server = serve(lambda asked: HELLO, context=server_context)
    assert speaks_tls(server.url, within=timedelta(seconds=10)) is True
    assert server.asked == []


def test_who_does_not_answer_shows_nothing():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v2"
        assert speaks_tls(url, within=timedelta(seconds=10)) is None
        listener.listen()
        assert speaks_tls(url, within=timedelta(milliseconds=20)) is None


def test_a_client_closes_what_it_keeps_open_and_goes_on(serve):
    server, http = serve(lambda asked: HELLO), Http()
    for _ in range(2):
        get(http, server.url)
        http.close()
        http.close()
    assert server.connections == 2


def test_any_thread_may_ask(http, serve):
    server = serve(lambda asked: Says(200, {}, asked.path.encode()))
    found = {}

    def ask(number):
        for turn in range(5):
            found[number, turn] = get(http, f"{server.url}/{number}-{turn}")[1]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(body == f"/{number}-{turn}".encode() for (number, turn), body in found.items())


def test_without_urllib3_there_is_one_sentence_that_says_how_to_get_it():
    code = (
        "import sys; sys.modules['urllib3'] = None\n"
        "try:\n    import lading.oci.transport.http\n"
        "except ImportError as error:\n    print(error.name, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "urllib3 registries need the package urllib3, which is not here;"
        " run: pip install 'lading[oci]'\n"
    )


def test_a_response_that_is_cut_fails_at_once_for_who_reads_it(serve):
    ended, reading = threading.Event(), threading.Event()

    def says(asked):
        return Says(200, {"Content-Length": "10"}, b"hello")

    server, http = serve(says), Http()
    answer = http.request("GET", server.url)
    assert answer.read1(10) == b"hello"
    failures = []

    def read():
        reading.set()
        with contextlib.suppress(ConnectionFailed):
            failures.append(answer.read1(10))
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait(10)
    answer.cut()
    assert ended.wait(10)
    thread.join()
    assert failures in ([], [b""])
    answer.close()
    http.close()
