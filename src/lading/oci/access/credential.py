"""Credential: what is shown to a registry, and what a registry is called where it is kept."""

from base64 import b64encode
from typing import NamedTuple

from lading.oci.access.host import DOCKER_HOST, DOCKER_REGISTRY

_DOCKER_KEY = "https://index.docker.io/v1/"
"""What docker keeps the credentials of docker.io under, for reasons that are long gone."""
_OF_DOCKER = {DOCKER_REGISTRY, DOCKER_HOST, "index.docker.io"}


class Credential(NamedTuple):
    """What is shown to a registry or to its token server. Its repr hides every secret."""

    username: str
    password: str
    identity_token: str = ""
    """What a token server gives for a password, to be used in its place."""
    registry_token: str = ""
    """A bearer token that is shown to the registry as it is."""

    @property
    def who(self) -> str:
        """Whose it is, for a sentence."""
        return repr(self.username) if self.username else "who has that token"

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, …)"


def basic(credential: Credential) -> str:
    """What `Authorization` is with a name and a password. RFC 7617."""
    return f"Basic {b64encode(f'{credential.username}:{credential.password}'.encode()).decode()}"


def account_of(key: str) -> str:
    """Read a key of somebody's file: a host, or a host and the beginning of a repository.

    docker has written URLs with schemes and paths; what is after the host of those counts for
    nothing. Every name of docker.io is one.
    """
    has_scheme = key.startswith(("https://", "http://"))
    host, _, path = (key.partition("://")[2] if has_scheme else key).partition("/")
    host = host.lower()
    host = DOCKER_REGISTRY if host in _OF_DOCKER else host
    path = path.strip("/")
    return host if has_scheme or path in {"", "v1", "v2"} else f"{host}/{path}"


def server_names(host: str) -> tuple[str, ...]:
    """What helpers may know a host as, docker's way first."""
    return (_DOCKER_KEY, host) if host == DOCKER_REGISTRY else (host,)
