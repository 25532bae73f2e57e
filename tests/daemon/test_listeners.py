"""How a listener is written, and what is refused."""

from pathlib import Path

import pytest

from lading.daemon.listeners import PATH_LIMIT, Files, TcpListener, UnixListener, listener
from lading.errors import InvalidArgument

TLS = "cert=c.pem,key=k.pem,client-ca=ca.pem"
FILES = Files(Path("c.pem"), Path("k.pem"), Path("ca.pem"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:///run/l.sock", UnixListener(Path("/run/l.sock"))),
        ("/run/l.sock", UnixListener(Path("/run/l.sock"))),
        ("/run/l.sock,namespace=k8s", UnixListener(Path("/run/l.sock"), "k8s")),
        ("tcp://127.0.0.1:1,insecure", TcpListener("127.0.0.1", 1, None)),
        ("tcp://localhost:1,insecure", TcpListener("localhost", 1, None)),
        ("tcp://[::1]:1,insecure", TcpListener("::1", 1, None)),
        (f"tcp://0.0.0.0:1,{TLS}", TcpListener("0.0.0.0", 1, FILES)),  # noqa: S104 - as a user has it
        (f"tcp://a.example:1,namespace=n,{TLS}", TcpListener("a.example", 1, FILES, "n")),
    ],
)
def test_a_listener_is_read(text, expected):
    assert listener(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not an address"),
        ("run/l.sock", "not an address"),
        ("unix://run/l.sock", "not an address"),
        ("http://127.0.0.1:1", "not an address"),
        ("/run/", "no name of a file"),
        ("/run/l.sock,insecure", "insecure is for tcp:// alone"),
        (f"/run/l.sock,{TLS}", "cert is for tcp:// alone"),
        ("/run/l.sock,namespace=", "namespace needs a value"),
        ("/run/l.sock,namespace", "namespace needs a value"),
        ("/run/l.sock,namespace=a,namespace=b", "namespace is there twice"),
        ("/run/l.sock,colour=red", "unknown option 'colour=red'"),
        ("tcp://127.0.0.1", "not an address"),
        ("tcp://127.0.0.1:http", "not an address"),
        ("tcp://127.0.0.1:65536", "not an address"),
        ("tcp://:1", "not an address"),
        ("tcp://::1:1,insecure", "in brackets"),
        ("tcp://127.0.0.1:1,insecure=yes", "unknown option 'insecure=yes'"),
        (f"tcp://127.0.0.1:1,insecure,{TLS}", "not both"),
        ("tcp://127.0.0.1:1,cert=c.pem", "add key, client-ca (or insecure"),
        ("tcp://192.0.2.1:1", "add cert, key, client-ca"),
    ],
)
def test_what_is_no_listener_is_refused_with_its_problem(text, problem):
    with pytest.raises(InvalidArgument) as refused:
        listener(text)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - as a user may have it
        "192.0.2.1",
        "[::]",
        "[::ffff:192.0.2.1]",
        "a.example",
        "127.0.0.1.example",
    ],
)
def test_only_a_loopback_address_may_go_without_certificates(host):
    with pytest.raises(InvalidArgument, match="only a loopback address may be insecure"):
        listener(f"tcp://{host}:1,insecure")


def test_a_path_is_as_long_as_the_kernel_allows_and_no_longer():
    # Counted in bytes, of which this letter has two.
    longest = f"/{'é' * ((PATH_LIMIT - 1) // 2)}"
    assert listener(longest) == UnixListener(Path(longest))
    with pytest.raises(InvalidArgument, match=f"at most {PATH_LIMIT} bytes, and this one"):
        listener(f"{longest}ee")


@pytest.mark.parametrize(
    "text", ["unix:///run/l.sock", "tcp://127.0.0.1:5000,insecure", "tcp://[::1]:5000,insecure"]
)
def test_a_listener_is_told_as_it_is_written(text):
    assert str(listener(text)) == text.partition(",")[0]
