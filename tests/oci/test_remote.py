"""Remote: one request to one host, and the same over all of them."""

import itertools
import json
import ssl
import threading

import pytest

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    Error,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RefLocked,
    Refused,
    ResourceExhausted,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Untrusted,
)
from lading.model.reference import Reference
from lading.oci.access.credentials import Credential, GivenCredentials
from lading.oci.access.host import Host
from lading.oci.access.hosts import Hosts
from lading.oci.access.outages import LASTS, Outages
from lading.oci.access.tokens import Authorizer
from lading.oci.progress import Waiting
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Http, Tls
from lading.oci.transport.refusals import ANSWER_LIMIT, MESSAGE_LIMIT, BodyNeeded
from tests.oci.scripted import Says
from tests.support.certificates import Authority

REGISTRY = "registry.example"
BLOB = "blobs/sha256:" + 64 * "a"


class GivenHosts(Hosts):
    """Hosts that a test names."""

    def __init__(self, *hosts):
        super().__init__(())
        self.hosts = hosts

    def of(self, registry):
        return self.hosts


def at(server, **settings):
    return Host(f"{server.url}/v2", REGISTRY, **settings)


def mirror(server, **settings):
    return at(server, is_mirror=True, **settings)


def wrong(code, message="", status=400):
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    return Says(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def asked(remote, server, path=BLOB, method="GET", **options):
    made = remote(f"{server.host}/me/model:1")
    (host,) = made.hosts("pull")
    with made.ask(host, method, path, **options) as answer:
        return answer.status, answer.read(1000)


def test_a_request_is_for_the_repository(remote, serve):
    server = serve(lambda asked: Says(200, {}, b"x"))
    assert asked(remote, server, "tags/list?n=1", headers={"X": "y"}) == (200, b"x")
    assert server.asked[0].path == "/v2/me/model/tags/list?n=1"
    assert server.asked[0].header("X") == "y"


def test_a_mirror_is_told_whose_it_is_and_gets_its_own_headers(remote, serve):
    server = serve(lambda asked: Says())
    host = mirror(server, header_lines=(("X-Key", "k"),))
    made = remote(f"{REGISTRY}/me/model:1", hosts=GivenHosts(host))
    for path in ("manifests/1", "tags/list?n=1"):
        made.ask(host, "GET", path).close()
    assert [asked.path for asked in server.asked] == [
        f"/v2/me/model/manifests/1?ns={REGISTRY}",
        f"/v2/me/model/tags/list?n=1&ns={REGISTRY}",
    ]
    assert server.asked[0].header("X-Key") == "k"


def test_what_the_caller_accepts_comes_back(remote, serve):
    server = serve(lambda asked: Says(416, {}, b"no"))
    assert asked(remote, server, accepts=(416,)) == (416, b"no")
    with pytest.raises(Refused):
        asked(remote, server)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (wrong("DENIED", "not yours", 403), PermissionDenied, "not allowed: DENIED: not yours"),
        (wrong("BLOB_UNKNOWN", "x", 404), NotFound, "blob '{name}@sha256:aaaa"),
        (wrong("NAME_UNKNOWN", "x", 404), NotFound, "repository '{name}': not found"),
        (Says(408), Unavailable, "it answered 408"),
        (Says(500), Unavailable, "{host}: it answered 500"),
        (wrong("UNKNOWN", "oh", 502), Unavailable, "it answered 502, UNKNOWN: oh"),
        (Says(504), Unavailable, "it answered 504"),
        (Says(429), TooManyRequests, "{host}: too many requests"),
        (Says(501), Refused, "GET {url}: refused with 501"),
        (wrong("SIZE_INVALID", "too big", 413), Refused, "with 413, SIZE_INVALID: too big"),
        (wrong("UNSUPPORTED", "UNSUPPORTED", 405), Refused, "refused with 405, UNSUPPORTED"),
        (Says(302), Refused, "it redirects to nowhere"),
        (Says(418), Refused, "refused with 418"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Says) else None,
)
def test_a_status_is_an_error_of_ours(remote, serve, answer, kind, sentence):
    server = serve(lambda asked: answer)
    with pytest.raises(kind) as caught:
        asked(remote, server)
    name = f"{server.host}/me/model"
    url = f"{server.url}/v2/me/model/{BLOB}"
    assert sentence.format(host=server.host, name=name, url=url) in str(caught.value)
    assert type(caught.value).retryable == (kind in {Unavailable, TooManyRequests})


@pytest.mark.parametrize(
    ("path", "kind", "what"),
    [
        ("manifests/1.0", "manifest", "{name}:1.0"),
        ("manifests/sha256:abc", "manifest", "{name}@sha256:abc"),
        ("tags/list?n=1", "repository", "{name}"),
        ("blobs/uploads/", "upload", "{name}"),
        ("blobs/uploads/1?x=y", "upload", "{name}"),
    ],
)
def test_what_is_not_there_has_a_name(remote, serve, path, kind, what):
    server = serve(lambda asked: Says(404))
    with pytest.raises(NotFound) as caught:
        asked(remote, server, path)
    expected = what.format(name=f"{server.host}/me/model")
    assert (caught.value.kind, caught.value.what) == (kind, expected)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ""),
        (b"\x00\x01", ""),
        (b"no route\r\nto\x1b[2J host", "no route to [2J host"),
        (b"<html><head><title>502 Bad\nGateway</title>" + 4000 * b"<p>", "502 Bad Gateway"),
        (b"<style>p {}</style><p>Access <b>denied</b></p><script>x()</script>", "Access denied"),
        (b'{"errors": []}', ""),
        (b'{"errors": 5}', ""),
        (b'{"errors": [7, {"code": 7, "message": ["x"]}]}', ""),
        (b'{"errors": [{}, {"message": "second"}]}', "second"),
        (b'{"message": "quota\\u0000 is\\u202e used up"}', "quota is used up"),
        (b'{"error": "invalid_scope", "error_description": "x"}', "invalid_scope: x"),
        (b'"text"', ""),
        (b"[" * 50_000, "[" * MESSAGE_LIMIT + "…"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"<" * 60_000, "<" * MESSAGE_LIMIT + "…"),
        (b"<script" * 9000, "<script" * 42 + "<scrip…"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_whatever_an_error_says_is_one_short_line(remote, serve, body, told):
    server = serve(lambda asked: Says(400, {}, body))
    with pytest.raises(Refused) as caught:
        asked(remote, server)
    said = ": ".join(filter(None, (caught.value.code, caught.value.message)))
    assert said == told
    assert said.isprintable()


def test_an_error_without_an_end_is_not_read_to_its_end(remote, serve):
    server = serve(lambda asked: Says(400, {"Content-Length": str(1 << 40)}, ANSWER_LIMIT * b"x"))
    with pytest.raises(Refused):
        asked(remote, server)


def test_an_error_that_breaks_off_is_still_that_error(remote, serve):
    body = b'{"errors": [{"code": "DENIED"}]}'
    server = serve(lambda asked: Says(403, {"Content-Length": "100"}, body, closes=True))
    with pytest.raises(PermissionDenied, match="not allowed: DENIED"):
        asked(remote, server)


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_that_a_host_asks_for_is_a_fact_of_the_error(remote, serve, status):
    server = serve(lambda asked: Says(status, {"Retry-After": "7"}))
    with pytest.raises(TooManyRequests, match="it asks for a pause of 7 s") as caught:
        asked(remote, server)
    assert caught.value.retry_after_s == 7


def wants_password(asked):
    """Alice's registry."""
    if asked.header("Authorization") == "Basic YWxpY2U6eA==":
        return Says(200, {}, b"in")
    return Says(401, {"WWW-Authenticate": 'Basic realm="here"'}, b"who are you?")


ALICE = Credential("alice", "x")


def test_who_asks_is_shown_when_it_is_asked_for_and_from_then_on(remote, serve):
    server = serve(wants_password)
    made = remote(f"{server.host}/me/model:1", credential=ALICE)
    (host,) = made.hosts("pull")
    for body in (None, b"bytes"):
        with made.ask(host, "PUT", BLOB, body=body) as answer:
            assert answer.read(10) == b"in"
    assert [asked.header("Authorization") is None for asked in server.asked] == [1, 0, 0]
    assert server.connections == 1


def test_a_body_that_is_spent_is_not_sent_again(remote, serve):
    server = serve(wants_password)
    made = remote(f"{server.host}/me/model:1", credential=ALICE)
    (host,) = made.hosts("push")
    with pytest.raises(BodyNeeded) as caught:
        made.ask(host, "PUT", BLOB, body=iter([b"bytes"]))
    assert caught.value.retryable
    with made.ask(host, "PUT", BLOB, body=iter([b"bytes"])) as answer:
        assert answer.read(10) == b"in"


def test_who_is_not_let_in_twice_is_not_known(remote, serve):
    server = serve(wants_password)
    for credential in (None, Credential("bob", "y")):
        made = remote(f"{server.host}/me/model:1", credential=credential)
        before = len(server.asked)
        for _ in range(2):
            with pytest.raises(Unauthenticated, match=f"`lading login {server.host}`"):
                made.ask(*made.hosts("pull"), "GET", BLOB)
        # Bob shows what he has when he is asked, and then at once; nobody has nothing to show.
        assert len(server.asked) - before == (1 if credential is None else 3)


def test_a_bearer_token_is_fetched_for_the_scopes(remote, serve):
    def says(asked):
        if asked.path.startswith("/token"):
            return Says(200, {}, b'{"token": "t0ken", "expires_in": 300}')
        if asked.header("Authorization") == "Bearer t0ken":
            return Says(200)
        return Says(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="s"'})

    server = serve(says)
    made = remote(f"{server.host}/me/model:1")
    (host,) = made.hosts("push")
    also = ("repository:me/base:pull",)
    made.ask(host, "POST", "blobs/uploads/", actions="pull,push", also=also).close()
    token = server.asked[1]
    assert "scope=repository%3Ame%2Fmodel%3Apull%2Cpush" in token.path
    assert "scope=repository%3Ame%2Fbase%3Apull" in token.path


def test_a_loopback_registry_without_tls_is_found_by_trying(remote, serve):
    server = serve(lambda asked: Says(200, {}, b"plain"))
    made = remote(f"{server.host}/me/model:1", hosts=Hosts(()))
    (host,) = made.hosts("pull")
    assert (host.url, host.falls_back) == (f"https://{server.host}/v2", True)
    for body in (None, b"bytes", b"bytes"):
        with made.ask(host, "POST", BLOB, body=body) as answer:
            assert answer.read(10) == b"plain"
    assert [host.url for host in made.hosts("pull")] == [f"{server.url}/v2"]
    assert len(server.asked) == 3
    # One of them, the first, was to see whether it speaks TLS.
    assert server.connections == 2


def test_an_upload_goes_on_at_a_loopback_registry_that_nobody_has_asked_yet(remote, serve):
    server = serve(wants_password)
    made = remote(f"{server.host}/me/model:1", hosts=Hosts(()), credential=ALICE)
    (host,) = made.hosts("push")
    with made.ask(host, "GET", "blobs/uploads/", url=f"{server.url}/upload?id=1") as answer:
        assert answer.read(10) == b"in"


def test_a_registry_that_is_not_up_yet_is_not_probed_for_good(remote, serve):
    made = remote("127.0.0.1:1/me/model:1", hosts=Hosts(()))
    with pytest.raises(ConnectionFailed, match="Connection refused"):
        made.ask(*made.hosts("pull"), "GET", BLOB)
    assert made.hosts("pull")[0].falls_back


def test_a_registry_elsewhere_is_never_asked_in_plain(remote, serve):
    server = serve(lambda asked: Says())
    host = Host(f"https://{server.host}/v2", REGISTRY)
    made = remote(f"{REGISTRY}/me/model:1", hosts=GivenHosts(host))
    with pytest.raises(ConnectionFailed, match="speak TLS"):
        made.ask(host, "GET", BLOB)
    assert (server.asked, server.connections) == ([], 1)


def test_a_redirect_to_what_speaks_no_tls_does_not_make_the_registry_plain(remote, serve):
    storage = serve(lambda asked: Says())
    server = serve(lambda asked: Says(307, {"Location": f"https://{storage.host}/"}))
    made = remote(f"{server.host}/me/model:1", hosts=Hosts(()))
    with pytest.raises(ConnectionFailed, match="speak TLS"):
        made.ask(*made.hosts("pull"), "GET", BLOB)
    assert storage.asked == []


def test_a_registry_with_tls_stays_so_whatever_it_redirects_to(remote, serve, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).vouch("server"))
    storage = serve(lambda asked: Says())
    says = Says(307, {"Location": f"https://{storage.host}/"})
    server = serve(lambda asked: says, context=context)
    made = remote(f"{server.host}/me/model:1", hosts=Hosts((), verifies=False))
    (host,) = made.hosts("pull")
    assert host.falls_back
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match=f"{storage.host}: it does not speak TLS"):
            made.ask(host, "GET", BLOB)
    assert len(server.asked) == 2


def calls(*outcomes):
    """A call that ends so, once for each time, and the hosts that it was called with."""
    remaining, called = iter(outcomes), []

    def call(host):
        called.append(host.url.partition("//")[2][0])
        outcome = next(remaining)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call, called


A = Host("https://a.example/v2", REGISTRY, is_mirror=True)
B = Host("https://b.example/v2", REGISTRY, is_mirror=True)
OWN = Host("https://own.example/v2", REGISTRY)
DOWN, BUSY = ConnectionFailed("a", "down"), Unavailable("busy")
ABSENT, DENIED = NotFound("it", "manifest"), PermissionDenied("it", "no")


@pytest.fixture
def attempt(remote):
    """Attempt a call at hosts."""

    def run(call, *hosts, **options):
        return remote(f"{REGISTRY}/a:1", hosts=GivenHosts(*hosts)).attempt("pull", call, **options)

    return run


def test_the_first_host_that_answers_is_enough(attempt, pauses):
    for failure in (DOWN, BUSY, ABSENT, DENIED, Untrusted("a", "x"), DigestMismatch("1", "2")):
        call, called = calls(failure, "found")
        assert attempt(call, A, OWN) == "found"
        assert called == ["a", "o"]
    assert pauses == []


def test_what_may_pass_is_asked_again_after_pauses_that_grow(attempt, pauses):
    call, called = calls(DOWN, BUSY, DOWN, "found")
    steps = []
    assert attempt(call, OWN, progress=steps.append) == "found"
    assert called == ["o", "o", "o", "o"]
    assert pauses == [0.5, 1, 2]
    assert steps == [
        Waiting(None, 0.5, "a: down"),
        Waiting(None, 1, "busy"),
        Waiting(None, 2, "busy"),
    ]


def test_everybody_is_asked_before_anybody_is_asked_again(attempt, pauses):
    call, called = calls(DOWN, BUSY, BUSY, "found")
    assert attempt(call, A, OWN) == "found"
    assert called == ["a", "o", "a", "o"]
    assert pauses == [0.5]


def test_patience_ends(attempt, patience, pauses):
    call, called = calls(*itertools.repeat(BUSY, 10))
    with pytest.raises(Unavailable, match="busy"):
        attempt(call, A, OWN)
    assert len(called) == 2 * patience.attempts
    assert len(pauses) == patience.attempts - 1


def test_the_last_failure_of_a_host_is_told(attempt):
    call, _ = calls(*(Unavailable(f"busy {number}") for number in range(5)))
    with pytest.raises(Unavailable, match="busy 4"):
        attempt(call, OWN)


def test_what_cannot_pass_is_asked_for_once(attempt, pauses):
    for failure in (ABSENT, DENIED, Refused("it", 400), Untrusted("a", "x")):
        call, called = calls(failure)
        with pytest.raises(type(failure)):
            attempt(call, OWN)
        assert called == ["o"]
    assert pauses == []


def test_what_the_registry_itself_says_ends_it(attempt, pauses):
    call, called = calls(DOWN, BUSY, ABSENT)
    with pytest.raises(NotFound):
        attempt(call, A, B, OWN)
    assert called == ["a", "b", "o"]
    assert pauses == []


@pytest.mark.parametrize(
    ("mirror_says", "registry_says", "told"),
    [
        (DOWN, ABSENT, ABSENT),
        (ABSENT, DOWN, ABSENT),
        (ABSENT, BUSY, BUSY),
        (BUSY, ABSENT, ABSENT),
        (BUSY, DOWN, BUSY),
        (ABSENT, DENIED, DENIED),
        (DENIED, ABSENT, DENIED),
        (DENIED, BUSY, DENIED),
        (ABSENT, NotFound("other", "manifest"), "manifest 'other': not found"),
        (DigestMismatch("1", "2"), DENIED, DigestMismatch),
    ],
)
def test_the_error_of_the_host_that_got_furthest_is_told(attempt, mirror_says, registry_says, told):
    def call(host):
        raise mirror_says if host.is_mirror else registry_says

    with pytest.raises(Error) as caught:
        attempt(call, A, OWN)
    if isinstance(told, type):
        assert isinstance(caught.value, told)
    else:
        assert str(caught.value) == str(told)


def test_what_is_not_about_hosts_comes_through_at_once(attempt, pauses):
    for failure in (ResourceExhausted("r", 5), RefLocked("r"), InvalidArgument("x"), KeyError("x")):
        call, called = calls(failure)
        with pytest.raises(type(failure)):
            attempt(call, A, OWN)
        assert called == ["a"]
    assert pauses == []


def test_a_host_has_the_pause_that_it_asks_for_and_keeps_nobody_else_waiting(attempt, pauses):
    busy = TooManyRequests("a", 60)
    call, called = calls(busy, DOWN, DOWN, "found")
    assert attempt(call, A, OWN) == "found"
    assert called == ["a", "o", "o", "o"]
    assert pauses == [0.5, 1]
    pauses.clear()
    call, called = calls(busy, "found")
    assert attempt(call, OWN) == "found"
    assert pauses == [60]


def test_a_pause_without_an_end_is_not_waited_for(attempt, pauses):
    call, called = calls(TooManyRequests("a", 3600))
    with pytest.raises(TooManyRequests):
        attempt(call, OWN)
    assert (called, pauses) == (["o"], [])


def test_a_body_that_is_to_be_opened_again_waits_for_nothing(attempt, pauses):
    call, called = calls(BodyNeeded("o", "x"), "found")
    assert attempt(call, OWN) == "found"
    assert (called, pauses) == (["o", "o"], [])


def test_a_list_stays_with_the_host_that_began_it(attempt):
    call, called = calls(BUSY, "found")
    assert attempt(call, A, OWN, only=A) == "found"
    assert called == ["a", "a"]


def test_a_host_is_asked_for_what_it_may_do(remote):
    hosts = GivenHosts(A._replace(capabilities=frozenset({"pull"})), OWN)
    made = remote(f"{REGISTRY}/a:1", hosts=hosts)
    assert [host.name for host in made.hosts("pull")] == ["a.example", "own.example"]
    assert [host.name for host in made.hosts("push")] == ["own.example"]
    made = remote(f"{REGISTRY}/a:1", hosts=GivenHosts(hosts.hosts[0]))
    with pytest.raises(InvalidArgument, match="no host that may push"):
        made.hosts("push")


def test_a_mirror_that_is_down_is_asked_last_for_a_while(remote, serve, http):
    now = [100.0]
    outages = Outages(clock=lambda: now[0])
    server = serve(lambda asked: Says(raw=b"") if down else Says())
    hosts = GivenHosts(mirror(server), OWN)
    made = remote(f"{REGISTRY}/me/model:1", hosts=hosts, outages=outages)
    down = True
    with pytest.raises(ConnectionFailed):
        made.ask(hosts.hosts[0], "GET", BLOB)
    again = remote(f"{REGISTRY}/me/other:1", hosts=hosts, outages=outages)
    for each in (made, again):
        assert [host.is_mirror for host in each.hosts("pull")] == [False, True]
    now[0] += LASTS.total_seconds()
    assert [host.is_mirror for host in made.hosts("pull")] == [True, False]
    with pytest.raises(ConnectionFailed):
        made.ask(hosts.hosts[0], "GET", BLOB)
    down = False
    made.ask(hosts.hosts[0], "GET", BLOB).close()
    assert [host.is_mirror for host in made.hosts("pull")] == [True, False]


def test_a_registry_that_is_down_is_no_mirror(remote, serve):
    server = serve(lambda asked: Says(raw=b""))
    made = remote(f"{REGISTRY}/me/model:1", hosts=GivenHosts(at(server), B))
    with pytest.raises(ConnectionFailed):
        made.ask(made.hosts("pull")[0], "GET", BLOB)
    assert [host.is_mirror for host in made.hosts("pull")] == [False, True]


def test_any_thread_may_ask_the_same_remote(remote, serve):
    server = serve(lambda asked: Says(200, {}, b"x"))
    made = remote(f"{server.host}/me/model:1", hosts=Hosts(()))
    found = []

    def ask():
        with made.ask(*made.hosts("pull"), "GET", BLOB) as answer:
            found.append(answer.read(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == 8 * [b"x"]


class NotingHttp(Http):
    """It goes nowhere, and notes how it would have."""

    def __init__(self):
        super().__init__()
        self.told = []

    def request(self, method, url, *, headers=None, body=None, tls=None):
        self.told.append(tls)
        raise ConnectionFailed("nowhere", "noted")


def test_what_we_trust_goes_along_with_a_redirect_and_who_we_are_does_not(patience):
    http = NotingHttp()
    made = Remote(
        Reference.parse(f"{REGISTRY}/me/model:1"),
        http=http,
        hosts=Hosts(()),
        authorizer=Authorizer(http, GivenCredentials(None)),
        patience=patience,
    )
    tls = Tls(("ca.crt",), (("us.crt", None),))
    for url in ("https://storage.example/", None):
        with pytest.raises(ConnectionFailed, match="noted"):
            made.ask(OWN._replace(tls=tls), "GET", BLOB, url=url)
    assert http.told == [Tls(("ca.crt",), ()), tls]
