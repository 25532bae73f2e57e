"""Hosts: which servers answer for a registry.

A registry is what a reference names; a host is a server that one connects to. Where nothing is
written about a registry, it is its own host, and docker.io is registry-1.docker.io. A tree of
folders, as containerd, podman and docker have it, names mirrors and certificates:

    docker.io/hosts.toml               mirrors, what each may do, certificates, headers
    registry.example_5000_/hosts.toml  a port, as containerd writes it
    registry.example:5000/ca.crt       no hosts.toml: certificates by their ending, as docker has it
    _default/hosts.toml                where no other folder is there for the registry
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from lading.errors import InvalidArgument
from lading.oci.access.host import Capability, Host, own_host
from lading.oci.access.hosts_file import read_trees
from lading.oci.transport.http import Tls

__all__ = ["Capability", "Host", "Hosts"]

_NAME = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]{0,254}")


class Hosts:
    """The hosts of every registry, looked up when they are first asked for and then remembered.

    `folders` are trees as above; by default those that `LADING_HOSTS` names, separated by colons,
    else the usual ones of this user and this machine. A registry's own folder in any of them comes
    before `_default` in any. `plain_http` is for registries whose scheme no file names;
    `verifies=False` and `authorities` are for every host. Any method may be called by any thread.
    """

    def __init__(
        self,
        folders: Sequence[Path] | None = None,
        *,
        plain_http: bool = False,
        verifies: bool = True,
        authorities: tuple[str, ...] = (),
    ) -> None:
        self._are_usual = folders is None and not os.environ.get("LADING_HOSTS")
        self._folders = _usual_folders(os.environ) if folders is None else tuple(folders)
        self._plain_http, self._verifies, self._authorities = plain_http, verifies, authorities
        self._known: dict[str, tuple[Host, ...]] = {}
        self._plain: dict[str, bool] = {}
        self._guard = threading.Lock()

    def of(self, registry: str) -> tuple[Host, ...]:
        """The hosts of a registry: mirrors first, in the order of their file, itself last.

        Raises `InvalidArgument` for a file that is broken, and says which.
        """
        with self._guard:
            known = self._known.get(registry)
        if known is None:
            # Without the guard, since a folder may be on a slow disk. To read it twice is harmless.
            found = self._find(registry)
            with self._guard:
                known = self._known.setdefault(registry, found)
        return tuple(self._probed(host) for host in known)

    def learn(self, host: Host, *, plain: bool) -> Host:
        """Remember whether a host that falls back speaks plain http; gives the host as it is now.

        Whoever says so first is believed: what TLS answered once is not asked in plain afterwards.
        """
        with self._guard:
            self._plain.setdefault(host.name, plain)
        return self._probed(host)

    def _probed(self, host: Host) -> Host:
        plain = self._plain.get(host.name) if host.falls_back else None
        if plain is None:
            return host
        scheme = "http" if plain else "https"
        return host._replace(url=f"{scheme}://{host.url.partition('://')[2]}", falls_back=False)

    def _find(self, registry: str) -> tuple[Host, ...]:
        own = own_host(check_registry(registry), plain_http=self._plain_http)
        hosts = read_trees(self._folders, own, skips_denied=self._are_usual)
        return tuple(host._replace(tls=self._told(host.tls)) for host in hosts)

    def _told(self, tls: Tls) -> Tls:
        return Tls(
            tls.authorities + self._authorities, tls.identities, tls.verifies and self._verifies
        )


def check_registry(text: str) -> str:
    """Give the name of a registry back, or raise `InvalidArgument`: it becomes part of a path."""
    if not _NAME.fullmatch(text):
        raise InvalidArgument(f"{text[:160]!r} is no registry; write host or host:port")
    return text


def _usual_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    chosen = environment.get("LADING_HOSTS", "")
    if chosen:
        return tuple(Path(folder) for folder in chosen.split(os.pathsep) if folder)
    configuration = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not configuration.is_absolute():  # the XDG rules say that a relative path counts as none
        configuration = Path(os.path.expanduser("~/.config"))  # noqa: PTH111 - fails for nobody
    return (
        configuration / "lading/certs.d",
        configuration / "containers/certs.d",
        Path("/etc/containerd/certs.d"),
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )
