"""Host: a server that answers for a registry, and how it is spoken to."""

from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from lading.oci.transport.addresses import is_loopback
from lading.oci.transport.http import Tls

Capability = Literal["resolve", "pull", "push"]
CAPABILITIES: frozenset[Capability] = frozenset({"resolve", "pull", "push"})

DOCKER_REGISTRY = "docker.io"
DOCKER_HOST = "registry-1.docker.io"


class Host(NamedTuple):
    """A server, for one registry. A value: equal to another one with the same fields."""

    url: str
    """Where its API begins, with no slash at the end: `https://registry-1.docker.io/v2`."""
    registry: str
    """The registry that it answers for, as references name it: `docker.io`."""
    capabilities: frozenset[Capability] = CAPABILITIES
    tls: Tls = Tls()
    header_lines: tuple[tuple[str, str], ...] = ()
    is_mirror: bool = False
    """Whether it is another server than the registry's own, so that it has to be told which."""
    falls_back: bool = False
    """Whether plain http may be tried where it does not speak TLS: a loopback address whose scheme
    nobody named."""

    @property
    def name(self) -> str:
        """Host and port: `registry-1.docker.io`."""
        return urlsplit(self.url).netloc

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent with each request to it, and to nobody else."""
        return dict(self.header_lines)

    @property
    def account(self) -> str:
        """The name that credentials for it are kept under, and that `lading login` takes."""
        return self.name if self.is_mirror else self.registry

    def __repr__(self) -> str:
        # Headers may hold secrets.
        return f"Host({self.url!r}, registry={self.registry!r}, is_mirror={self.is_mirror})"


def own_host(registry: str, *, plain_http: bool = False) -> Host:
    """Say where a registry answers itself, as long as no file says anything about it."""
    if registry == DOCKER_REGISTRY:
        return Host(f"https://{DOCKER_HOST}/v2", registry)
    # Without a port it would be another one in plain http: as containerd, not to be guessed at.
    name, _, port = registry.rpartition(":") if not registry.endswith("]") else ("", "", "")
    ambiguous = is_loopback(name.strip("[]")) and port != "443"
    scheme = "http" if plain_http else "https"
    return Host(f"{scheme}://{registry}/v2", registry, falls_back=ambiguous and not plain_http)
