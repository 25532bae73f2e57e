"""hosts.toml, containerd's file about one registry; and docker's folders of certificates."""

import logging
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lading.errors import InvalidArgument
from lading.oci.access.host import CAPABILITIES, Capability, Host
from lading.oci.transport.http import Tls

FILE_LIMIT = 1 << 20
"""Bytes of a hosts.toml."""
MIRRORS_LIMIT = 100

_LOG = logging.getLogger(__name__)
_DEFAULT = "_default"
_FILE = "hosts.toml"
_CAPABILITIES: Mapping[str, Capability | None] = {
    "resolve": "resolve",
    "pull": "pull",
    "push": "push",
    "referrers": None,  # newer containerds have it; here who may pull may list them
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def read_trees(trees: Sequence[Path], own: Host, *, skips_denied: bool = False) -> tuple[Host, ...]:
    """Read what the first tree says that says something; `own` alone where none does.

    Raises `InvalidArgument` for a file that is broken or cannot be read. A folder of others that
    may not be read counts as none where it `skips_denied`, since nobody here has named it.
    """
    for folders in (
        [_folders(tree, own.registry) for tree in trees],
        [[t / _DEFAULT] for t in trees],
    ):
        for folder in (folder for of_tree in folders for folder in of_tree):
            try:
                hosts = _read_folder(folder, own)
            except PermissionError as error:
                if not skips_denied:
                    raise InvalidArgument(f"{error.filename}: {error.strerror}") from error
                _LOG.debug("%s may not be read, and counts as none", error.filename)
                continue
            except OSError as error:
                raise InvalidArgument(f"{error.filename}: {error.strerror}") from error
            if hosts:
                return hosts
    return (own,)


def _folders(tree: Path, registry: str) -> list[Path]:
    """containerd's way to write a port, and everybody's."""
    host, colon, port = registry.rpartition(":")
    folders = [tree / registry]
    if host and colon and port.isdecimal():
        folders.insert(0, tree / f"{host}_{port}_")
    return folders


def _read_folder(folder: Path, own: Host) -> tuple[Host, ...]:
    file = folder / _FILE
    try:
        with file.open("rb") as opened:
            text = opened.read(FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        text = b""
    if len(text) > FILE_LIMIT:
        raise InvalidArgument(f"{file}: it is longer than {FILE_LIMIT} bytes")
    if text:
        return _read_file(file, text, own)
    tls = _certificates(folder)
    return (_told(own, tls),) if tls != Tls() else ()


def _told(own: Host, tls: Tls) -> Host:
    # Whoever has certificates for it, or waives them, means TLS.
    return own._replace(tls=tls, falls_back=own.falls_back and tls == Tls())


def _certificates(folder: Path) -> Tls:
    """What a folder has in docker's way: *.crt to trust; *.cert to be, and its *.key beside it."""
    try:
        files = {file.name: file for file in sorted(folder.iterdir())}
    except (FileNotFoundError, NotADirectoryError):
        return Tls()
    identities = []
    for name, file in files.items():
        if name.endswith(".cert"):
            key = files.get(name.removesuffix("cert") + "key")
            identities.append((str(file), str(key) if key else None))
    authorities = tuple(str(file) for name, file in files.items() if name.endswith(".crt"))
    return Tls(authorities, tuple(identities))


def _read_file(file: Path, text: bytes, own: Host) -> tuple[Host, ...]:
    import tomllib  # noqa: PLC0415 - few have such a file

    try:
        tables = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{file}: not TOML: {error}") from error
    mirrors = _Table(file, "", tables).table("host")
    if len(mirrors) > MIRRORS_LIMIT:
        raise InvalidArgument(f"{file}: more than {MIRRORS_LIMIT} hosts")
    # A dict of TOML keeps the order of the file, and that order is the one to try them in.
    hosts = [
        _Table(file, f"host {server!r}: ", mirrors[server]).host(server, own) for server in mirrors
    ]
    root = _Table(file, "", tables)
    server = root.text("server")
    if server:
        hosts.append(root.host(server, own))
    else:
        hosts.append(_told(own, root.tls())._replace(header_lines=root.headers()))
    return tuple(hosts)


class _Table:
    """A table of the file. Whatever is not as it should be is said with the file's name."""

    def __init__(self, file: Path, where: str, content: Any) -> None:
        self._file, self._where = file, where
        if not isinstance(content, dict):
            raise self._wrong("not a table")
        self._content: dict[str, Any] = content

    def _wrong(self, problem: str) -> InvalidArgument:
        return InvalidArgument(f"{self._file}: {self._where}{problem}")

    def text(self, key: str) -> str:
        value = self._content.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(f"{key} is not a text")
        return value

    def flag(self, key: str) -> bool:
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(f"{key} is neither true nor false")
        return value

    def table(self, key: str) -> dict[str, Any]:
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(f"{key} is not a table")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts, or one text alone."""
        value = self._content.get(key, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._wrong(f"{key} is neither a text nor a list of texts")
        return texts

    def host(self, server: str, own: Host) -> Host:
        url = self._url(server)
        return Host(
            url,
            own.registry,
            self._capabilities(),
            self.tls(),
            self.headers(),
            is_mirror=urlsplit(url).netloc not in {own.name, own.registry},
        )

    def _url(self, server: str) -> str:
        address = server if "://" in server else f"https://{server}"
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        name = parts.hostname
        if parts.scheme not in {"http", "https"} or not name or parts.query or parts.fragment:
            raise self._wrong(f"{server[:160]!r} is no http or https address")
        if "@" in parts.netloc:
            raise self._wrong("credentials do not belong into an address; use `lading login`")
        path = posixpath.normpath(parts.path).rstrip("/") if parts.path else ""
        if not self.flag("override_path") and not path.endswith("/v2"):
            path += "/v2"
        del port  # was asked for only because asking checks it
        return f"{parts.scheme}://{parts.netloc}{path}"

    def _capabilities(self) -> frozenset[Capability]:
        names = [name.lower() for name in self.texts("capabilities")]
        for name in names:
            if name not in _CAPABILITIES:
                raise self._wrong(f"there is no capability {name[:80]!r}")
        # None named means all of them.
        known = frozenset(found for name in names if (found := _CAPABILITIES[name]))
        return known if names else CAPABILITIES

    def tls(self) -> Tls:
        authorities = tuple(self._path(name) for name in self.texts("ca"))
        return Tls(authorities, self._identities(), verifies=not self.flag("skip_verify"))

    def _identities(self) -> tuple[tuple[str, str | None], ...]:
        value = self._content.get("client", [])
        identities: list[tuple[str, str | None]] = []
        for entry in (
            [value] if isinstance(value, str) else value if isinstance(value, list) else [0]
        ):
            match entry:
                case str(certificate) | [str(certificate), ""]:
                    identities.append((self._path(certificate), None))
                case [str(certificate), str(key)]:
                    identities.append((self._path(certificate), self._path(key)))
                case _:
                    raise self._wrong("client is neither a file, nor files, nor pairs of files")
        return tuple(identities)

    def _path(self, name: str) -> str:
        return str(self._file.parent / name)

    def headers(self) -> tuple[tuple[str, str], ...]:
        lines = []
        within = _Table(self._file, f"{self._where}header: ", self.table("header"))
        for name in within._content:
            # A field that is given several times is one with commas: RFC 9110, 5.3.
            value = ", ".join(within.texts(name))
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise within._wrong(f"{name[:80]!r} cannot be sent")
            lines.append((name, value))
        return tuple(lines)
