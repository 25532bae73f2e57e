"""Credentials: who we are to a registry, and where that is written down."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lading.errors import InvalidArgument
from lading.oci.access.credential import Credential, account_of
from lading.oci.access.credential_files import AuthFile

__all__ = ["Credential", "Credentials", "FileCredentials", "GivenCredentials"]


class Credentials(Protocol):
    """Whoever knows credentials. May be asked from any thread, and again when one was refused."""

    def find(self, host: str, repository: str) -> Credential | None:
        """What there is for a repository at a host, `""` for none; None where that is nothing."""


class GivenCredentials:
    """One credential for every host, or for None none: anonymous.

    With `host` it is for that registry alone, and for its mirrors, which are other hosts, there is
    what `others` have.
    """

    def __init__(
        self,
        credential: Credential | None,
        *,
        host: str | None = None,
        others: Credentials | None = None,
    ) -> None:
        self._credential, self._others = credential, others
        self._account = None if host is None else account_of(host)

    def find(self, host: str, repository: str) -> Credential | None:
        """The one that was given, or of another host what there is."""
        if self._account in {None, account_of(host)}:
            return self._credential
        return None if self._others is None else self._others.find(host, repository)


class FileCredentials:
    """docker's and podman's files, and the helpers that they name, read anew at each call.

    The first file that has something for a host counts. In this order: `file` alone; the file of
    `REGISTRY_AUTH_FILE` alone; config.json in `DOCKER_CONFIG`; containers/auth.json in
    `XDG_RUNTIME_DIR`, then in `XDG_CONFIG_HOME` or ~/.config; ~/.docker/config.json, unless
    `DOCKER_CONFIG` is another place; ~/.dockercfg. That is podman's order, with docker's own
    variable before it.

    Any method raises what an `AuthFile` raises.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, *, file: Path | None = None
    ) -> None:
        self._environment, self._file = environment, file

    def find(self, host: str, repository: str) -> Credential | None:
        """What the first file has that has something.

        A `file` that is not there is an error, and one of the others is not.
        """
        if self._file is not None and not self._file.exists():
            raise InvalidArgument(f"{self._file}: there is no such file; `lading login` makes it")
        account = account_of(host)
        for path in self._paths():
            if found := AuthFile(path, self._environment).find(account, repository):
                return found
        return None

    def keep(self, host: str, credential: Credential) -> tuple[Path, str | None]:
        """Keep a credential where the host's are found, or else where docker looks for them.

        Gives the file, and the helper that has it by that file; None where it is in the file.
        """
        account = account_of(host)
        *others, _ = paths = self._paths()
        chosen = self._docker_file() if others else paths[0]
        for path in others:
            if AuthFile(path, self._environment).names(account):
                chosen = path
                break
        return chosen, AuthFile(chosen, self._environment).keep(account, credential)

    def forget(self, host: str) -> tuple[Path, ...]:
        """Forget every credential of a host; gives the files that had one, or whose helper had."""
        account = account_of(host)
        files = [AuthFile(path, self._environment) for path in self._paths()]
        return tuple(file.path for file in files if file.forget(account))

    def _paths(self) -> list[Path]:
        """Where to look, in order; at the end the file that is never written."""
        alone = self._file or self._place("REGISTRY_AUTH_FILE")
        if alone is not None:
            return [alone]
        runtime = self._place("XDG_RUNTIME_DIR")
        if runtime is None and sys.platform == "linux":
            runtime = Path(f"/run/containers/{os.getuid()}")
            podman = [runtime / "auth.json"]
        else:
            podman = [runtime / "containers/auth.json"] if runtime else []
        configuration = self._place("XDG_CONFIG_HOME") or self._home / ".config"
        podman.append(configuration / "containers/auth.json")
        docker = [self._docker_file()]
        named = bool(self._environment.get("DOCKER_CONFIG"))
        usual = [*docker, *podman] if named else [*podman, *docker]
        return [*usual, self._home / ".dockercfg"]

    def _docker_file(self) -> Path:
        folder = self._place("DOCKER_CONFIG") or self._home / ".docker"
        return folder / "config.json"

    def _place(self, name: str) -> Path | None:
        value = self._environment.get(name, "")
        # The XDG rules say that a relative path counts as none.
        is_taken = bool(value) and (not name.startswith("XDG_") or value.startswith("/"))
        return Path(value) if is_taken else None

    @property
    def _home(self) -> Path:
        return self._place("HOME") or Path.home()
