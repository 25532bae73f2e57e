"""Files of credentials: docker's config.json and podman's auth.json, which are one format.

    {
      "auths": {
        "registry.example": {"auth": "<base64 of name:password>"},
        "registry.example/team": {"identitytoken": "…"}
      },
      "credHelpers": {"registry.example": "secretservice"},
      "credsStore": "desktop"
    }

The older .dockercfg is what is under "auths" alone. Sources: docker's "docker login" page, and
containers-auth.json(5).
"""

import binascii
import contextlib
import fcntl
import json
import os
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.errors import InvalidArgument, PermissionDenied
from lading.oci.access.credential import Credential, account_of, server_names
from lading.oci.access.credential_helpers import Helper

FILE_LIMIT = 4 << 20
"""Bytes of a file."""


class AuthFile:
    """One file, as it was when it was read. What cannot be read of it is said with its name.

    Raises `InvalidArgument` for a file that is broken, `PermissionDenied` for one that this process
    may not read or write, and what a `Helper` raises.
    """

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path, self._environment = path, environment
        self._content = _read(path)

    @property
    def _is_old(self) -> bool:
        return self.path.name == ".dockercfg"

    def find(self, host: str, repository: str) -> Credential | None:
        """What it has for a repository, its longest beginning first; None for nothing."""
        parts = repository.split("/") if repository else []
        for count in range(len(parts), 0, -1):
            name = "/".join((host, *parts[:count]))
            if found := self._of_entry(name):
                return found
        helper = self.helper(host)
        # docker leaves an empty entry for what a helper has; a full one may be older than that.
        return (helper and helper.find(host)) or self._of_entry(host)

    def helper(self, host: str) -> Helper | None:
        """The helper that keeps the credentials of a host, by this file."""
        by_host = self._table("credHelpers")
        names = [name for key, name in by_host.items() if account_of(key) == host]
        for name in (*names, self._content.get("credsStore")):
            if name and isinstance(name, str) and not self._is_old:
                return Helper(name, self._environment)
            if name and not self._is_old:
                raise self._wrong("the name of a credential helper is no text")
        return None

    def names(self, host: str) -> bool:
        """Whether it says anything of a host, or of who keeps its credentials."""
        helped = self._table("credHelpers") if not self._is_old else {}
        return any(account_of(key) == host for key in (*self._auths(), *helped))

    def keep(self, host: str, credential: Credential) -> str | None:
        """Keep a credential, in place of any other for the host; nothing else in it changes.

        Gives the name of the helper that has it; None where it is in the file, to be read by
        whoever can read that.
        """
        helper = self.helper(host)
        entry: dict[str, str] = {}
        if helper is not None:
            helper.keep(host, credential)
        elif credential.identity_token:
            text = f"{credential.username}:".encode()
            entry = {
                "auth": b64encode(text).decode(),
                "identitytoken": credential.identity_token,
            }
        else:
            text = f"{credential.username}:{credential.password}".encode()
            entry = {"auth": b64encode(text).decode()}
        with self._changed() as auths:
            of_host = [key for key in auths if account_of(key) == host]
            for key in of_host:
                del auths[key]
            # podman knows docker.io by its name, and docker by another one alone.
            usual = host if self.path.name == "auth.json" else server_names(host)[0]
            auths[of_host[0] if of_host else usual] = entry
        return helper.program if helper else None

    def forget(self, host: str) -> bool:
        """Forget what it has for a host, and say whether there was anything."""
        helper = self.helper(host)
        had = helper is not None and helper.forget(host)
        if any(account_of(key) == host for key in self._auths()):
            had = True
            with self._changed() as auths:
                for key in [key for key in auths if account_of(key) == host]:
                    del auths[key]
        return had

    @contextlib.contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """The entries, read again under a lock, and written when the block has ended."""
        try:
            # A link stays one; what it leads to is replaced.
            path = self.path.resolve()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.parent):
                self._content = _read(path)
                auths = dict(self._auths())
                yield auths
                self._content = auths if self._is_old else {**self._content, "auths": auths}
                _write(path, json.dumps(self._content, indent="\t", ensure_ascii=False))
        except PermissionError as error:
            raise PermissionDenied(self.path, "may not be written") from error
        except OSError as error:
            raise InvalidArgument(f"{self.path}: {error.strerror or error}") from error

    def _auths(self) -> dict[str, Any]:
        return self._content if self._is_old else self._table("auths")

    def _table(self, key: str) -> dict[str, Any]:
        value = self._content.get(key) or {}
        if not isinstance(value, dict):
            raise self._wrong(f"{key} is no object")
        return value

    def _of_entry(self, account: str) -> Credential | None:
        entries = self._auths()
        # The usual names first: docker keeps other things of docker.io under longer URLs.
        for key in sorted(entries, key=lambda key: key not in server_names(account)):
            entry = entries[key]
            if account_of(key) == account and entry:
                if not isinstance(entry, dict):
                    raise self._wrong(f"the entry {key!r} is no object")
                if found := self._read_entry(key, entry):
                    return found
        return None

    def _read_entry(self, key: str, entry: Mapping[str, Any]) -> Credential | None:
        texts = [
            entry.get(name) or ""
            for name in ("username", "password", "identitytoken", "registrytoken", "auth")
        ]
        if not all(isinstance(text, str) for text in texts):
            raise self._wrong(f"the entry {key!r} has something else than texts in it")
        username, password, identity_token, registry_token, packed = texts
        if packed:
            username, password = self._unpacked(key, packed)
        if not (password or identity_token or registry_token):
            return None
        return Credential(username, password, identity_token, registry_token)

    def _unpacked(self, key: str, packed: str) -> tuple[str, str]:
        try:
            text = b64decode(packed.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise self._wrong(
                f"the auth of {key!r} is no base64 of a name and a password"
            ) from None
        name, colon, password = text.partition(":")
        if not colon:
            raise self._wrong(f"the auth of {key!r} has no colon between name and password")
        # Old dockers have filled it up to a length.
        return name, password.rstrip("\0")

    def _wrong(self, problem: str) -> InvalidArgument:
        return InvalidArgument(f"{self.path}: {problem}")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise PermissionDenied(path, "may not be read") from error
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror or error}") from error
    if len(data) > FILE_LIMIT:
        raise InvalidArgument(f"{path}: it is longer than {FILE_LIMIT} bytes")
    if not data.strip():
        return {}
    try:
        content = json.loads(data)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgument(f"{path}: not JSON: {error.msg} in {where}") from None
    except (ValueError, RecursionError):
        raise InvalidArgument(f"{path}: not JSON") from None
    if not isinstance(content, dict):
        raise InvalidArgument(f"{path}: not a JSON object")
    return content


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other ladings from changing a file of the folder. The lock leaves nothing behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # where there are no locks, there is no one to wait for
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    """Put a file in the place of another, whole or not at all, for nobody else to read."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(text)
            file.flush()
            # Bytes before the name, or a power cut could leave an empty file with it.
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
