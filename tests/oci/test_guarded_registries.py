"""A real registry that is guarded lets in who should get in: passwords, tokens, TLS, mirrors."""

import shutil
import time
from contextlib import ExitStack

import pytest

from lading import LocalStore
from lading.errors import ConnectionFailed, PermissionDenied, Unauthenticated, Untrusted
from lading.model.reference import Reference
from lading.oci.access.credentials import Credential, GivenCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.access.tokens import Authorizer
from lading.oci.client import RegistryClient
from lading.oci.progress import Done
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience
from tests.support.certificates import Authority
from tests.support.registry import ALICE, digest, image, running_registry
from tests.support.token_server import running_token_server

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE = image({"file": b"bytes"})
PULL, PUSH = ("repository:a/b:pull",), ("repository:a/b:pull,push",)
pytestmark = pytest.mark.slow


@pytest.fixture
def remote():
    """One repository at one registry, with what is given to get in."""
    with ExitStack() as stack:

        def make(reference, *, credential=None, tree=None, **settings):
            http = Http()
            stack.callback(http.close)
            credentials = GivenCredentials(credential and Credential(*credential))
            return Remote(
                Reference.parse(reference),
                http=http,
                hosts=Hosts([tree] if tree else [], **settings),
                authorizer=Authorizer(http, credentials),
                patience=Patience(attempts=1),
            )

        yield make


def manifest(remote):
    """Read the manifest that the reference names, from the first host that has it."""

    def read(host):
        path = f"manifests/{remote.reference.object}"
        with remote.ask(host, "GET", path, headers={"Accept": MANIFEST}) as answer:
            return answer.read(1 << 20)

    return remote.attempt("pull", read)


def begin_upload(remote):
    (host,) = remote.hosts("push")
    with remote.ask(host, "POST", "blobs/uploads/", body=b"", actions="pull,push") as answer:
        return host, answer.headers["Location"]


@pytest.fixture(scope="module")
def guarded_by_passwords(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("passwords"), passwords=True) as registry:
        yield registry.push(IMAGE, "a/b:1", credential=ALICE)


def test_who_has_the_password_gets_in(remote, guarded_by_passwords):
    assert manifest(remote(guarded_by_passwords, credential=ALICE)) == IMAGE.manifest
    begin_upload(remote(guarded_by_passwords, credential=ALICE))


@pytest.mark.parametrize(
    ("credential", "sentence"),
    [
        (None, "it gives nothing of a/b without knowing who asks; `lading login 127.0.0.1:"),
        (("alice", "wrong"), "it does not accept the credentials of 'alice'; `lading login 127."),
    ],
)
def test_who_has_not_is_told_how_to(remote, guarded_by_passwords, credential, sentence):
    with pytest.raises(Unauthenticated, match=sentence):
        manifest(remote(guarded_by_passwords, credential=credential))


@pytest.fixture(scope="module", params=["ES256", "RS256"])
def guarded_by_tokens(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("tokens")
    with (
        running_token_server(
            folder / "tokens", users=dict([ALICE]), algorithm=request.param
        ) as server,
        running_registry(folder / "registry", token_server=server) as registry,
    ):
        yield registry.push(IMAGE, "a/b:1", credential=ALICE), server


@pytest.fixture
def tokens(guarded_by_tokens):
    """A registry that wants tokens, and who gives them."""
    reference, server = guarded_by_tokens
    server.log.clear()
    before = dict(vars(server))
    yield reference, server
    vars(server).update(before)


@pytest.mark.parametrize("speaks_oauth", [True, False])
def test_who_has_a_token_gets_in(remote, tokens, speaks_oauth):
    reference, server = tokens
    server.speaks_oauth = speaks_oauth
    at = remote(reference, credential=ALICE)
    assert manifest(at) == IMAGE.manifest
    assert manifest(at) == IMAGE.manifest
    assert [(asked.user, asked.scopes) for asked in server.log if asked.status == 200] == [
        ("alice", PULL)
    ]


def test_a_push_asks_for_what_it_needs(remote, tokens):
    reference, server = tokens
    at = remote(reference, credential=ALICE)
    host, upload = begin_upload(at)
    blob = b"pushed"
    url = f"{upload}&digest={digest(blob)}"
    with at.ask(host, "PUT", "blobs/uploads/", url=url, body=blob, actions="pull,push") as answer:
        assert answer.status == 201
    assert server.scopes == [PUSH]


def test_who_is_anonymous_reads_what_is_for_everybody(remote, tokens):
    reference, server = tokens
    server.grants = lambda user, kind, name, actions: ["pull"] if "pull" in actions else []
    assert manifest(remote(reference)) == IMAGE.manifest
    with pytest.raises(Unauthenticated, match="lading login"):
        begin_upload(remote(reference))


def test_who_may_read_alone_is_told_so(remote, tokens):
    reference, server = tokens
    server.grants = lambda user, kind, name, actions: ["pull"]
    sentence = "'alice' may not pull and push there, .*`lading login .*` as somebody who may"
    with pytest.raises(PermissionDenied, match=sentence):
        begin_upload(remote(reference, credential=ALICE))
    assert server.scopes == [PUSH]


def test_a_token_that_expires_in_the_middle_is_replaced(remote, tokens):
    reference, server = tokens
    server.lifetime_s = 2  # and what it says is longer, so that only a 401 tells of it
    at = remote(reference, credential=ALICE)
    assert manifest(at) == IMAGE.manifest
    (host,) = at.hosts("pull")
    old = at._authorizer.header(host, PULL)
    ends = time.monotonic() + 30
    while _asked(reference, old) == 200:
        assert time.monotonic() < ends
    server.lifetime_s = 300
    assert len(server.log) == 1
    assert manifest(at) == IMAGE.manifest
    assert len(server.log) == 2
    assert at._authorizer.header(host, PULL) != old


def test_a_pull_goes_on_when_its_token_expires_between_two_blobs(tokens, tmp_path):
    reference, server = tokens
    server.lifetime_s = 2
    given = []
    server.issues = lambda answer: given.append(answer["token"]) or answer
    store = LocalStore(tmp_path)
    blobs = []

    def wait_at_the_first_blob(step):
        if isinstance(step, Done):
            blobs.append(step.blob.digest)
            if len(blobs) == 1:
                ends = time.monotonic() + 30
                while _asked(reference, f"Bearer {given[0]}") == 200:
                    assert time.monotonic() < ends
                server.lifetime_s = 300

    settings = {"credentials": GivenCredentials(Credential(*ALICE)), "hosts": Hosts([])}
    with RegistryClient(**settings, blobs_at_once=1) as registry:
        target = registry.pull(reference, into=store, progress=wait_at_the_first_blob)
    assert target.digest == IMAGE.digest
    assert {blob.digest for blob in store.blobs()} == set(IMAGE.blobs)
    assert len(given) == 2


def test_an_image_goes_and_comes_with_tokens(tokens, tmp_path):
    reference, server = tokens
    store = LocalStore(tmp_path / "store")
    there = f"{reference.partition('/')[0]}/c/d:2"
    settings = {"credentials": GivenCredentials(Credential(*ALICE)), "hosts": Hosts([])}
    with RegistryClient(**settings, uploads=tmp_path / "uploads") as registry:
        target = registry.pull(reference, into=store)
        registry.push(there, target, source=store)
        assert registry.resolve(there) == target
        copied = registry.copy(there, f"{reference.partition('/')[0]}/e/f:3")
        assert copied.digest == target.digest
    asked = {scope for scopes in server.scopes for scope in scopes}
    assert {"repository:a/b:pull", "repository:c/d:pull,push"} <= asked
    assert all(asked.user == "alice" for asked in server.log)


def _asked(reference, authorization):
    host = reference.partition("/")[0]
    http = Http()
    try:
        headers = {"Authorization": authorization, "Accept": MANIFEST}
        url = f"http://{host}/v2/a/b/manifests/1"
        with http.request("GET", url, headers=headers) as answer:
            answer.read(1 << 20)
            return answer.status
    finally:
        http.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client_files(authority):
    return authority.vouch("client")


@pytest.fixture(scope="module")
def guarded_by_tls(tmp_path_factory, authority):
    folder = tmp_path_factory.mktemp("tls")
    shutil.copy(authority.certificate, folder / "ca.crt")
    with running_registry(folder / "registry", tls=authority.vouch("server")) as registry:
        yield registry.push(IMAGE, "a/b:1", certificates=folder)


def folder_of(tree, reference):
    folder = tree / reference.partition("/")[0]
    folder.mkdir(parents=True)
    return folder


def test_a_certificate_of_an_unknown_authority_is_not_trusted(remote, guarded_by_tls):
    with pytest.raises(Untrusted, match="its certificate is not trusted"):
        manifest(remote(guarded_by_tls))
    assert manifest(remote(guarded_by_tls, verifies=False)) == IMAGE.manifest


def test_an_authority_is_trusted_wherever_it_is_named(remote, guarded_by_tls, authority, tmp_path):
    given = (str(authority.certificate),)
    assert manifest(remote(guarded_by_tls, authorities=given)) == IMAGE.manifest
    docker = folder_of(tmp_path / "docker", guarded_by_tls)
    shutil.copy(authority.certificate, docker / "ours.crt")
    assert manifest(remote(guarded_by_tls, tree=tmp_path / "docker")) == IMAGE.manifest
    containerd = folder_of(tmp_path / "containerd", guarded_by_tls)
    (containerd / "hosts.toml").write_text('ca = "ours.crt"')
    shutil.copy(authority.certificate, containerd / "ours.crt")
    assert manifest(remote(guarded_by_tls, tree=tmp_path / "containerd")) == IMAGE.manifest


def test_a_certificate_of_ours_is_shown_to_who_wants_one(remote, tmp_path, authority, client_files):
    certificate, key = client_files
    docker = tmp_path / "docker/both"
    docker.mkdir(parents=True)
    for file, name in (
        (authority.certificate, "ca.crt"),
        (certificate, "me.cert"),
        (key, "me.key"),
    ):
        shutil.copy(file, docker / name)
    with running_registry(
        tmp_path / "registry",
        tls=authority.vouch("strict"),
        client_authority=authority.certificate,
    ) as registry:
        reference = registry.push(IMAGE, "a/b:1", certificates=docker)
        docker.rename(docker.parent / registry.host)
        assert manifest(remote(reference, tree=docker.parent)) == IMAGE.manifest
        containerd = folder_of(tmp_path / "containerd", reference)
        text = f'ca = "{authority.certificate}"\nclient = [["{certificate}", "{key}"]]'
        (containerd / "hosts.toml").write_text(text)
        assert manifest(remote(reference, tree=tmp_path / "containerd")) == IMAGE.manifest
        with pytest.raises(ConnectionFailed):
            manifest(remote(reference, authorities=(str(authority.certificate),)))


def test_a_registry_on_loopback_that_speaks_no_tls_is_asked_in_plain(remote, tmp_path):
    with running_registry(tmp_path) as registry:
        reference = registry.push(IMAGE, "a/b:1")
        at = remote(reference)
        assert manifest(at) == IMAGE.manifest
        assert at.hosts("pull")[0].url == f"http://{registry.host}/v2"
        assert manifest(remote(reference, plain_http=True)) == IMAGE.manifest


def test_a_mirror_is_asked_first_and_told_for_whom_and_the_registry_when_it_is_gone(
    remote, tmp_path
):
    with running_registry(tmp_path / "origin") as origin:
        reference = origin.push(IMAGE, "a/b:1")
        tree = tmp_path / "tree"
        with running_registry(tmp_path / "mirror", mirror_of=f"http://{origin.host}") as mirror:
            folder_of(tree, reference).joinpath("hosts.toml").write_text(
                f'server = "http://{origin.host}"\n'
                f'[host."http://{mirror.host}"]\ncapabilities = ["pull", "resolve"]'
            )
            at = remote(reference, tree=tree)
            assert [host.name for host in at.hosts("push")] == [origin.host]
            assert manifest(at) == IMAGE.manifest
            (asked,) = (line for line in mirror.requests if '"lading' in line)
            assert f"ns={origin.host.replace(':', '%3A')}" in asked
            assert not any('"lading' in line for line in origin.requests)
        assert manifest(at) == IMAGE.manifest
        assert any('"lading' in line for line in origin.requests)
