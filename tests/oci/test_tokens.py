"""A registry is shown who asks, as it asks for it, and nobody else is."""

import threading

import pytest

from lading.errors import (
    ConnectionFailed,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from lading.oci.access.credentials import Credential, GivenCredentials
from lading.oci.access.host import Host
from lading.oci.access.realm import ANSWER_LIMIT, TOKEN_LIMIT
from lading.oci.access.tokens import KEPT_LIMIT, Authorizer, _Slot
from lading.oci.transport.http import Http, Tls
from lading.oci.transport.patience import Patience
from tests.support.certificates import Authority
from tests.support.registry import ALICE
from tests.support.token_server import SERVICE, running_token_server

REGISTRY = Host("http://registry.example/v2", "registry.example")
PULL = ("repository:a/b:pull",)
PUSH = ("repository:a/b:pull,push", "repository:c:pull")
BASIC = ['Basic realm="the tests"']


@pytest.fixture(scope="module")
def module_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    with running_token_server(folder, users=dict([ALICE])) as server:
        server.defaults = dict(vars(server))
        yield server


@pytest.fixture
def server(module_server):
    """A token server that has been asked nothing yet."""
    vars(module_server).update(module_server.defaults)
    module_server.log, module_server.failures, module_server.refresh_tokens = [], [], {}
    return module_server


@pytest.fixture
def http():
    with_little_patience = Http(Patience())
    yield with_little_patience
    with_little_patience.close()


class Clock:
    """A time that goes on when a test says so."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def of(http, clock):
    """An authorizer with what it has of credentials."""

    def make(credential=None):
        credentials = credential
        if credential is None or isinstance(credential, tuple):
            credentials = GivenCredentials(credential and Credential(*credential))
        return Authorizer(http, credentials, clock=clock)

    return make


def bearer(server, **parameters):
    parameters = {"realm": server.url, "service": SERVICE} | parameters
    return ["Bearer " + ",".join(f'{name}="{text}"' for name, text in parameters.items())]


def renewed(authorizer, challenges, scopes=PULL, host=REGISTRY):
    authorizer.renew(host, scopes, challenges, sent=authorizer.header(host, scopes))
    return authorizer.header(host, scopes)


def test_before_a_host_has_asked_nothing_is_shown(of, server):
    assert of(ALICE).header(REGISTRY, PULL) is None
    assert server.log == []


def test_basic_is_shown_to_who_asks_for_it(of):
    authorizer = of(ALICE)
    assert renewed(authorizer, BASIC) == "Basic YWxpY2U6d29uZGVyOmxhbmQ="
    other = Host("http://other.example/v2", "other.example")
    assert authorizer.header(other, PULL) is None


def test_bearer_comes_before_basic(of, server):
    assert renewed(of(ALICE), [*BASIC, *bearer(server)]).startswith("Bearer ey")
    assert renewed(of(ALICE), ["Bearer", *BASIC]).startswith("Basic ")  # one without a realm


def test_a_secret_goes_by_oauth(of, server):
    renewed(of(ALICE), bearer(server), PUSH)
    (asked,) = server.log
    assert (asked.method, asked.user, asked.scopes) == ("POST", "alice", PUSH)
    assert asked.fields == {
        "grant_type": "password",
        "username": "alice",
        "password": "wonder:land",
        "service": SERVICE,
        "client_id": "lading",
        "scope": " ".join(PUSH),
    }
    assert "wonder" not in str(asked.headers)


def test_an_identity_token_goes_by_oauth(of, server):
    server.refresh_tokens["secret"] = "alice"  # noqa: S105 - of a test
    assert renewed(of(("", "", "secret")), bearer(server))
    (asked,) = server.log
    assert (asked.method, asked.user) == ("POST", "alice")
    assert asked.fields["grant_type"] == "refresh_token"
    assert asked.fields["refresh_token"] == "secret"  # noqa: S105 - of a test


def test_without_a_secret_it_is_asked_anonymously(of, server):
    assert renewed(of(), bearer(server), PUSH)
    (asked,) = server.log
    assert (asked.method, asked.user, asked.scopes) == ("GET", None, PUSH)
    assert "Authorization" not in asked.headers
    assert asked.fields == {"service": SERVICE, "scope": PUSH[0]}


@pytest.mark.parametrize("status", [400, 401, 404, 405])
def test_a_server_that_speaks_no_oauth_is_asked_in_dockers_way(of, server, status):
    server.failures = [(status, {})]
    assert renewed(of(ALICE), bearer(server))
    asked = server.log[-1]
    assert (asked.method, asked.user, asked.fields["account"]) == ("GET", "alice", "alice")
    assert [asked.status for asked in server.log] == [status, 200]


def test_what_dialect_a_server_speaks_is_learnt_once(of, server):
    server.speaks_oauth = False
    authorizer = of(ALICE)
    renewed(authorizer, bearer(server))
    authorizer.header(REGISTRY, PUSH)
    assert [asked.method for asked in server.log] == ["POST", "GET", "GET"]


def test_what_is_asked_anonymously_says_nothing_of_the_dialect(of, server):
    credentials = {"a/b": None, "c": Credential(*ALICE)}

    class Some:
        def find(self, host, repository):
            return credentials[repository]

    authorizer = of(Some())
    renewed(authorizer, bearer(server))
    authorizer.header(REGISTRY, ("repository:c:pull",))
    assert [asked.method for asked in server.log] == ["GET", "POST"]


def test_a_redirect_is_followed_with_the_credentials_within_the_server_alone(of, server, tmp_path):
    server.speaks_oauth = False
    with running_token_server(tmp_path, users={}) as other:
        for location, shown_to in (("/token?a=b", server), (other.url, other)):
            server.failures = [(307, {"Location": location})]
            assert renewed(of(ALICE), bearer(server))
            is_ours = shown_to is server
            assert ("Authorization" in shown_to.log[-1].headers) == is_ours


def test_an_identity_token_is_shown_in_no_other_way(of, server):
    with pytest.raises(Unauthenticated):
        renewed(of(("me", "", "unknown")), bearer(server))
    assert [asked.method for asked in server.log] == ["POST"]


def test_a_registry_token_is_shown_as_it_is(of, server):
    assert renewed(of(("", "", "", "given")), bearer(server)) == "Bearer given"
    assert server.log == []


def test_a_realm_keeps_the_query_that_it_has(of, server):
    renewed(of(), bearer(server, realm=f"{server.url}?a=b%20c"))
    assert server.log[0].fields == {"a": "b c", "service": SERVICE, "scope": PULL[0]}
    assert renewed(of(), [f'Bearer realm="{server.url}#x"'], ())
    assert server.log[1].fields == {}


def test_a_token_is_asked_for_once(of, server):
    authorizer = of(ALICE)
    first = renewed(authorizer, bearer(server))
    assert authorizer.header(REGISTRY, PULL) == first
    assert len(server.log) == 1


def test_other_scopes_have_another_token_and_no_second_401(of, server):
    authorizer = of(ALICE)
    first = renewed(authorizer, bearer(server))
    assert authorizer.header(REGISTRY, PUSH) != first
    assert authorizer.header(REGISTRY, PULL) == first
    assert server.scopes == [PULL, PUSH]


def test_what_a_challenge_asks_for_is_asked_for_too(of, server):
    authorizer = of(ALICE)
    scope = "repository:a/b:pull registry:catalog:*"
    first = renewed(authorizer, bearer(server, scope=scope))
    assert server.scopes == [("registry:catalog:*", *PULL)]
    assert authorizer.header(REGISTRY, PULL) == first
    assert len(server.log) == 1


@pytest.mark.parametrize("scope", ["repository:a/b:push,pull", "repository:a/b:push", "pull", ""])
def test_the_order_of_actions_makes_no_other_token(of, server, scope):
    renewed(of(ALICE), bearer(server, scope=scope), ("repository:a/b:pull,push",))
    assert server.scopes == [("repository:a/b:pull,push",)]


def test_a_token_is_replaced_before_it_expires(of, server, clock):
    authorizer = of(ALICE)
    server.expires_in = 100
    first = renewed(authorizer, bearer(server))
    clock.now += 89
    assert authorizer.header(REGISTRY, PULL) == first
    clock.now += 2
    assert authorizer.header(REGISTRY, PULL) != first
    assert len(server.log) == 2


@pytest.mark.parametrize(
    ("said", "lifetime_s"),
    [(None, 60), ("many", 60), (0, 60), (-5, 60), (1e300, 60), (True, 1), (5, 5), (2.5, 2.5)],
)
def test_a_lifetime_is_believed_where_it_can_be_one(of, server, clock, said, lifetime_s):
    authorizer = of(ALICE)
    server.expires_in = said
    renewed(authorizer, bearer(server))
    clock.now += lifetime_s * 0.75
    authorizer.header(REGISTRY, PULL)
    assert len(server.log) == 1
    clock.now += lifetime_s * 0.25
    authorizer.header(REGISTRY, PULL)
    assert len(server.log) == 2


def test_a_token_that_is_old_already_is_replaced_earlier_whatever_our_clock_says(of, server, clock):
    authorizer = of(ALICE)
    issued = "2001-01-01T00:00:00Z"  # by its own clock 90 years ago, so that nothing is left
    server.issues = lambda answer: answer | {"issued_at": issued}
    renewed(authorizer, bearer(server))
    authorizer.header(REGISTRY, PULL)
    before = len(server.log)
    server.issues = lambda answer: answer | {"issued_at": "yesterday"}
    authorizer.header(REGISTRY, PULL)
    authorizer.header(REGISTRY, PULL)
    assert len(server.log) == before + 1


def test_a_refused_token_is_replaced_once_by_however_many_threads_had_it(of, server):
    authorizer = of(ALICE)
    challenges = bearer(server)
    old = renewed(authorizer, challenges)
    server.may_answer.clear()
    threads = [
        threading.Thread(
            target=authorizer.renew, args=(REGISTRY, PULL, challenges), kwargs={"sent": old}
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    server.may_answer.set()
    for thread in threads:
        thread.join()
    assert len(server.log) == 2
    assert authorizer.header(REGISTRY, PULL) != old


class CrowdedLock:
    """A lock that says when so many want it."""

    def __init__(self, crowd):
        self._lock, self._crowd = threading.Lock(), threading.Barrier(crowd)
        self._first = threading.Lock()

    def __enter__(self):
        is_first = self._first.acquire(blocking=False)
        if is_first:
            self._lock.acquire()
        self._crowd.wait(60)
        if not is_first:
            self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_who_waits_for_a_request_that_fails_does_not_make_it_again():
    slot = _Slot()
    slot._lock = CrowdedLock(4)
    asked, failures = [], []

    def fetch():
        asked.append(1)
        raise ConnectionFailed("auth.example", "no answer")

    def get():
        try:
            slot.get(lambda _: True, fetch)
        except ConnectionFailed as failure:
            failures.append(str(failure))

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(asked), failures) == (1, ["auth.example: no answer"] * 4)
    slot._lock = threading.Lock()
    get()
    assert len(asked) == 2  # who comes later tries again


def test_a_renewal_that_fails_is_tried_again_by_the_next(of, server):
    authorizer = of(ALICE)
    server.failures = [(503, {})]
    with pytest.raises(Unavailable):
        authorizer.renew(REGISTRY, PULL, bearer(server))
    authorizer.renew(REGISTRY, PULL, bearer(server))
    assert authorizer.header(REGISTRY, PULL)


def test_nothing_that_is_remembered_grows_without_end(of):
    authorizer = of(ALICE)
    for number in range(KEPT_LIMIT + 10):
        authorizer.renew(REGISTRY, (f"repository:r{number}:pull",), BASIC)
    assert len(authorizer._slots) == KEPT_LIMIT
    assert len(authorizer._asked) <= KEPT_LIMIT


def test_a_registry_with_ever_new_realms_fills_no_memory(of, server):
    server.speaks_oauth = False
    authorizer = of(ALICE)
    authorizer._without_oauth = {f"https://{number}.example" for number in range(KEPT_LIMIT)}
    renewed(authorizer, bearer(server))
    assert authorizer._without_oauth == {server.url}


class Asked:
    """Credentials that say what they were asked for."""

    def __init__(self):
        self.of = []

    def find(self, host, repository):
        self.of.append((host, repository))
        return Credential(*ALICE)


def test_the_credentials_are_those_of_the_host_and_of_the_repository(of, server):
    credentials = Asked()
    authorizer = of(credentials)
    mirror = Host("http://mirror.example:5000/v2", "docker.io", is_mirror=True)
    hub = Host("https://registry-1.docker.io/v2", "docker.io")
    renewed(authorizer, bearer(server), PUSH, host=mirror)
    renewed(authorizer, BASIC, PUSH, host=hub)
    renewed(authorizer, BASIC, (), host=REGISTRY)
    expected = [("mirror.example:5000", "a/b"), ("docker.io", "a/b"), ("registry.example", "")]
    assert credentials.of == expected


def test_a_password_that_is_refused_is_looked_up_once_more(of):
    class Changing:
        names = iter(("old", "new", "new", "new"))

        def find(self, host, repository):
            return Credential(next(self.names), "pass")

    authorizer = of(Changing())
    old = renewed(authorizer, BASIC)
    assert renewed(authorizer, BASIC) != old  # a helper's passwords are short-lived
    with pytest.raises(Unauthenticated, match="does not accept the credentials of 'new'"):
        renewed(authorizer, BASIC)


@pytest.mark.parametrize(
    ("challenges", "sentence"),
    [
        ([], "it wants to know who asks, and it does not say how to show it"),
        (["Negotiate, Digest realm=a"], "it wants to know who asks, and it asks for negotiate, d"),
        (["Bearer"], "it asks for bearer"),
        (BASIC, "it gives nothing of a/b without knowing who asks; `lading login registry.exam"),
        (['Bearer realm="ftp://a"'], "it sends us for a token to 'ftp://a', which is no place"),
        (['Bearer realm="//a"'], "which is no place"),
        (['Bearer realm="http://"'], "which is no place"),
        (['Bearer realm="http://a:b/"'], "which is no place"),
        (['Bearer realm="http://me:pass@a/"'], "which is no place"),
        (['Bearer realm="file:///etc/passwd"'], "which is no place"),
    ],
)
def test_what_is_hopeless_is_one_sentence(of, challenges, sentence):
    with pytest.raises(Unauthenticated) as raised:
        of().renew(REGISTRY, PULL, challenges)
    assert f"registry.example: {sentence}" in str(raised.value) or sentence in str(raised.value)


def test_a_registry_with_tls_cannot_send_us_to_a_realm_without(of, server):
    secure = Host("https://registry.example/v2", "registry.example")
    with pytest.raises(Unauthenticated, match=r"to auth\.example over plain http"):
        of(ALICE).renew(secure, PULL, ['Bearer realm="http://auth.example/token"'])
    assert renewed(of(ALICE), bearer(server), host=secure)  # loopback is no wire


@pytest.mark.parametrize(
    ("credential", "sentence"),
    [
        (("alice", "wrong"), "gives no token to 'alice'; `lading login registry.example`"),
        (("alice", "", "wrong"), "gives no token to 'alice'"),
        (("", "", "wrong"), "gives no token to who has that token"),
        (None, "gives no token to whom it does not know; `lading login registry.example`"),
    ],
)
def test_a_realm_that_gives_no_token_is_one_sentence(of, server, credential, sentence):
    server.lets_anonymous = False
    with pytest.raises(Unauthenticated, match=sentence) as raised:
        of(credential).renew(REGISTRY, PULL, bearer(server))
    assert "wrong" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (429, {"Retry-After": "7"}, TooManyRequests),
        (500, {}, Unavailable),
        (503, {"Retry-After": "7"}, TooManyRequests),
        (404, {}, NotFound),
    ],
)
def test_a_realm_in_trouble_is_an_error_of_ours(of, server, status, headers, error):
    server.failures = [(status, headers)] * 2
    with pytest.raises(error) as raised:
        of().renew(REGISTRY, PULL, bearer(server))
    assert getattr(raised.value, "retry_after_s", 7) in {7, None}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        {},
        {"token": ""},
        {"token": 7},
        {"token": "a b"},
        {"token": "a\r\nX-Evil: b"},
        {"token": "ä"},
        {"token": "a" * (TOKEN_LIMIT + 1)},
        b'{"token": "a"}' + b" " * ANSWER_LIMIT,
    ],
    ids=range(12),
)
def test_an_answer_without_a_token_is_no_traceback(of, server, answer):
    server.issues = lambda _: answer
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:\d+: "):
        of(ALICE).renew(REGISTRY, PULL, bearer(server))


def test_a_token_by_its_other_name_is_one(of, server):
    server.issues = lambda answer: {"access_token": answer["token"]}
    assert renewed(of(ALICE), bearer(server)).startswith("Bearer ey")


def test_a_realm_with_a_certificate_of_the_same_authority_is_believed(of, tmp_path):
    authority = Authority(tmp_path / "authority")
    certificate = authority.vouch("tokens")
    tls = Tls((str(authority.certificate),))
    secure = Host("https://registry.example/v2", "registry.example", tls=tls)
    with running_token_server(tmp_path, users=dict([ALICE]), tls=certificate) as server:
        assert server.url.startswith("https:")
        assert renewed(of(ALICE), bearer(server), host=secure)


@pytest.mark.parametrize(
    ("credential", "scheme", "scopes", "expected"),
    [
        (ALICE, "bearer", PUSH, "registry.example/a/b: 'alice' may not pull and push there"),
        (ALICE, "bearer", (), "registry.example: it does not accept the credentials of 'alice'"),
        (ALICE, "basic", PUSH, "registry.example: it does not accept the credentials of 'alice'"),
        (None, "bearer", PULL, "registry.example: it gives nothing of a/b without knowing"),
    ],
)
def test_what_stays_refused_says_what_to_do(of, credential, scheme, scopes, expected):
    asked = BASIC if scheme == "basic" else ['Bearer realm="https://a.example"']
    refused = of(credential).refused(REGISTRY, scopes, asked)
    is_of_scope = "may not" in expected
    assert isinstance(refused, PermissionDenied if is_of_scope else Unauthenticated)
    assert str(refused).startswith(expected)
    assert "`lading login registry.example`" in str(refused)
    assert "wonder" not in str(refused)
