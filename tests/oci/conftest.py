"""What the tests of registries share: a server that answers as they say, and who asks it."""

from contextlib import ExitStack

import pytest

from lading.model.reference import Reference
from lading.oci.access.credentials import GivenCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.access.tokens import Authorizer
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience
from tests.oci.scripted import scripted


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    """No proxies, certificates or credentials of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in (
        *("LADING_HOSTS", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.fixture
def serve():
    """Start a server of a script, `Asked → Says`; it ends with the test."""
    with ExitStack() as stack:
        yield lambda script, **settings: stack.enter_context(scripted(script, **settings))


@pytest.fixture
def pauses():
    """The pauses that were made."""
    return []


@pytest.fixture
def patience(pauses):
    """One that waits for nobody, and notes how long it would have waited."""
    return Patience(sleep=pauses.append, random=lambda: 1.0)


@pytest.fixture
def http(patience):
    """Connections, which are closed when the test ends."""
    made = Http(patience)
    yield made
    made.close()


@pytest.fixture
def remote(http, patience):
    """Make a remote of a reference, at a registry that speaks plain http."""

    def make(reference, *, credential=None, hosts=None, **settings):
        return Remote(
            Reference.parse(reference),
            http=http,
            hosts=hosts or Hosts((), plain_http=True),
            authorizer=Authorizer(http, GivenCredentials(credential)),
            patience=patience,
            **settings,
        )

    return make
