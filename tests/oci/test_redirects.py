"""Redirects: where we go, and what is said there."""

import pytest

from lading.errors import (
    ConnectionFailed,
    InvalidArgument,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
)
from lading.oci.access.credentials import Credential
from lading.oci.access.host import Host
from lading.oci.transport.addresses import is_loopback, same_origin, shown
from lading.oci.transport.redirects import REDIRECTS_LIMIT, target_of
from lading.oci.transport.refusals import RedirectExpired
from tests.oci.scripted import Says

BLOB = "blobs/sha256:" + 64 * "a"
SECRETS = ("Authorization", "X-Registry-Secret", "Cookie")


def to(url, status=307):
    return Says(status, {"Location": url})


def asked_of(remote, registry, method="GET", **options):
    """Ask for a blob, as everybody does, with what another host should see and what not."""
    made = remote(f"{registry.host}/me/model:1")
    (host,) = made.hosts("pull")
    host = host._replace(header_lines=(("X-Registry-Secret", "s3cret"),))
    headers = {"Range": "bytes=0-4", "Accept": "*/*", "Cookie": "who=me"}
    with made.ask(host, method, BLOB, headers=headers, **options) as answer:
        return answer.status, answer.read(1000)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_is_followed_and_what_is_ours_stays_at_home(remote, serve, status, method):
    storage = serve(lambda asked: Says(206, {}, b"bytes"))
    registry = serve(lambda asked: to(f"{storage.url}/signed?key=k", status))
    expected = b"bytes" if method == "GET" else b""
    assert asked_of(remote, registry, method) == (206, expected)
    (asked,) = storage.asked
    assert (asked.method, asked.path) == (method, "/signed?key=k")
    assert [asked.header(name) for name in SECRETS] == [None, None, None]
    assert (asked.header("Range"), asked.header("Accept")) == ("bytes=0-4", "*/*")


def test_a_token_never_reaches_another_host(remote, serve):
    storage = serve(lambda asked: Says(200, {}, b"bytes"))

    def registry_says(asked):
        if asked.header("Authorization") is None:
            return Says(401, {"WWW-Authenticate": 'Basic realm="r"'})
        return to(f"{storage.url}/signed")

    registry = serve(registry_says)
    made = remote(f"{registry.host}/me/model:1", credential=Credential("me", "s3cret"))
    for _ in range(2):
        with made.ask(*made.hosts("pull"), "GET", BLOB) as answer:
            assert answer.read(10) == b"bytes"
    assert [asked.header("Authorization") is None for asked in registry.asked] == [1, 0, 0]
    assert [asked.header("Authorization") for asked in storage.asked] == [None, None]


def test_a_redirect_at_home_keeps_who_we_are(remote, serve):
    def says(asked):
        return Says(200, {}, b"here") if asked.path == "/here" else to("/here")

    registry = serve(says)
    assert asked_of(remote, registry) == (200, b"here")
    assert registry.asked[-1].header("X-Registry-Secret") == "s3cret"


def test_who_has_left_home_does_not_come_back_as_somebody(remote, serve):
    storage = serve(lambda asked: to(f"{registry.url}/back"))

    def says(asked):
        return Says(200, {}, b"x") if asked.path == "/back" else to(f"{storage.url}/away")

    registry = serve(says)
    assert asked_of(remote, registry) == (200, b"x")
    assert registry.asked[-1].path == "/back"
    assert [registry.asked[-1].header(name) for name in SECRETS] == [None, None, None]


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("file:///etc/passwd", "no http or https URL"),
        ("ftp://files.example/a", "no http or https URL"),
        ("javascript:alert(1)", "no http or https URL"),
        ("http://[::1", "no URL"),
        ("http://a.example:99999/", "no URL"),
        ("", "nowhere"),
        (f"http://127.0.0.1:1/{9000 * 'a'}\x7f", None),
    ],
)
def test_a_redirect_to_what_is_no_place_is_one_clear_error(remote, serve, location, problem):
    registry = serve(lambda asked: to(location))
    with pytest.raises((Refused, ConnectionFailed)) as caught:
        asked_of(remote, registry)
    if problem is not None:
        assert isinstance(caught.value, Refused)
        assert problem in str(caught.value)
        assert f"{registry.url}/v2/me/model/{BLOB}" in str(caught.value)
    assert len(str(caught.value)) < 700
    assert len(registry.asked) == 1


def test_a_redirect_without_a_place_is_refused(remote, serve):
    registry = serve(lambda asked: Says(302))
    with pytest.raises(Refused, match="nowhere"):
        asked_of(remote, registry)


def test_a_circle_is_seen_when_it_closes(remote, serve):
    registry = serve(lambda asked: to("/b" if asked.path == "/a" else "/a"))
    with pytest.raises(Refused, match="in a circle"):
        asked_of(remote, registry)
    assert [asked.path for asked in registry.asked[1:]] == ["/a", "/b"]


def test_a_chain_without_an_end_is_cut(remote, serve):
    registry = serve(lambda asked: to(f"/{len(registry.asked)}"))
    with pytest.raises(Refused, match=f"more than {REDIRECTS_LIMIT} times"):
        asked_of(remote, registry)
    assert len(registry.asked) == REDIRECTS_LIMIT + 1


def test_ten_redirects_are_not_too_many(remote, serve):
    def says(asked):
        count = len(registry.asked)
        return to(f"/{count}") if count <= REDIRECTS_LIMIT else Says(200, {}, b"end")

    registry = serve(says)
    assert asked_of(remote, registry) == (200, b"end")


def test_https_does_not_lead_to_plain_http():
    class Answer:
        url, status = "https://registry.example/v2/a", 307
        headers = {"Location": "http://storage.example/blob?key=s3cret"}  # noqa: RUF012 - a fake

    with pytest.raises(
        Refused, match=r"from https to plain http, to http://storage\.example/blob$"
    ):
        target_of(Answer())
    Answer.headers = {"Location": "http://127.0.0.1:1/blob"}
    with pytest.raises(Refused):
        target_of(Answer())
    Answer.url = "https://localhost:5000/v2/a"
    assert target_of(Answer()) == "http://127.0.0.1:1/blob"
    Answer.headers = {"Location": "//storage.example/blob#part"}
    assert target_of(Answer()) == "https://storage.example/blob"


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_an_address_that_has_expired_is_to_be_asked_for_anew(remote, serve, status):
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>Request has expired</Error>"
    storage = serve(lambda asked: Says(status, {"Content-Type": "application/xml"}, body))
    registry = serve(lambda asked: to(f"{storage.url}/signed?key=s3cret"))
    with pytest.raises(RedirectExpired) as caught:
        asked_of(remote, registry)
    assert caught.value.retryable
    assert f"{storage.host}: it answered {status} to a redirect: AccessDenied" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(storage.asked) == len(registry.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (429, TooManyRequests), (503, Unavailable)]
)
def test_what_a_storage_says_otherwise_means_what_it_says(remote, serve, status, kind):
    storage = serve(lambda asked: Says(status))
    registry = serve(lambda asked: to(f"{storage.url}/signed"))
    with pytest.raises(kind):
        asked_of(remote, registry)


def test_what_changes_something_is_not_taken_elsewhere(remote, serve):
    registry = serve(lambda asked: to("/elsewhere"))
    with pytest.raises(Refused) as caught:
        asked_of(remote, registry, "POST", body=b"x")
    assert caught.value.status == 307
    assert len(registry.asked) == 1


def test_an_upload_goes_where_the_registry_said_and_our_token_does_not(remote, serve):
    storage = serve(lambda asked: Says(202))
    registry = serve(lambda asked: Says(202))
    made = remote(f"{registry.host}/me/model:1")
    (host,) = made.hosts("push")
    host = host._replace(header_lines=(("Authorization", "Bearer s3cret"),))
    headers = {"Content-Type": "application/octet-stream", "Content-Range": "0-4"}
    for method, body in (("PATCH", b"bytes"), ("GET", None)):
        for server in (storage, registry):
            url = f"{server.url}/upload?id=1"
            with made.ask(
                host, method, "blobs/uploads/", headers=headers, body=body, url=url
            ) as answer:
                assert answer.status == 202
    assert [asked.header("Authorization") for asked in storage.asked] == [None, None]
    assert [asked.header("Authorization") for asked in registry.asked] == 2 * ["Bearer s3cret"]
    assert storage.asked[0].header("Content-Range") == "0-4"
    assert storage.asked[0].body == b"bytes"


def test_a_range_that_storage_cannot_serve_comes_back_to_who_asked_for_that(remote, serve):
    storage = serve(lambda asked: Says(416, {"Content-Range": "bytes */5"}))
    registry = serve(lambda asked: to(f"{storage.url}/signed"))
    assert asked_of(remote, registry, accepts=(416,))[0] == 416


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("https://a.example/x", "https://a.example:443/y?z", True),
        ("http://A.example", "http://a.example:80/", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://a.example:444/x", False),
        ("https://a.example/x", "https://b.a.example/x", False),
        ("https://a.example@b.example/x", "https://a.example/x", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one, other, are_same):
    assert same_origin(one, other) == are_same


def test_this_machine_is_known_by_its_name():
    for name in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "a.localhost", "localhost."):
        assert is_loopback(name), name
    for name in ("localhost.example", "128.0.0.1", "10.0.0.1", "", None, "1270.0.1"):
        assert not is_loopback(name), name


def test_a_sentence_shows_no_secret_of_a_url():
    assert shown("https://u:p@a.example:1/b?key=k#f") == "https://a.example:1/b"
    assert shown("https://u:p@[bad/b?key=k") == "[bad/b"
    assert len(shown(f"https://a.example/{9999 * 'a'}")) < 210


def test_a_host_of_a_registry_hides_its_headers():
    assert "s3cret" not in repr(Host("https://a.example/v2", "a", header_lines=(("X", "s3cret"),)))


def test_a_url_that_is_not_for_us_is_no_connection(http):
    for url in ("file:///etc/passwd", "http://", "http://[::1", "http://a.example:x/", "a.example"):
        with pytest.raises(InvalidArgument):
            http.request("GET", url)
