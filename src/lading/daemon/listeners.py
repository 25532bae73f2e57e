"""Where a daemon listens: an address, and what holds for the calls that come through it.

unix:///run/lading/lading.sock                        or the path alone
unix:///run/lading/containerd.sock,namespace=images   every call is in that namespace
tcp://host:port,cert=FILE,key=FILE,client-ca=FILE     who has a certificate of that authority
tcp://127.0.0.1:port,insecure                         anybody on this machine
"""

import ipaddress
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lading.errors import InvalidArgument

PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Bytes of a unix socket's path: what the kernel's address holds, less the final zero."""
PORT_LIMIT = 65_535
_TLS = ("cert", "key", "client-ca")
_FLAGS = ("insecure",)
_HOW = "write unix:///PATH or tcp://HOST:PORT, and options after a comma"


class Files(NamedTuple):
    """What TLS needs: who we are, and who vouches for clients."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class UnixListener:
    """A socket of this machine, for whoever may open it."""

    path: Path
    namespace: str | None = None
    """Where every call through this listener works, whatever it says."""

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True)
class TcpListener:
    """A port. Without TLS it is a loopback address, on which somebody has insisted."""

    host: str
    port: int
    tls: Files | None
    namespace: str | None = None

    @property
    def target(self) -> str:
        """Host and port, as they are written."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"tcp://{self.target}"


Listener = UnixListener | TcpListener


def listener(text: str) -> Listener:
    """Read a listener, or raise `InvalidArgument` with a sentence."""
    address, *rest = text.split(",")
    options = dict(_options(text, rest))
    namespace = options.pop("namespace", None)
    if address.startswith("tcp://"):
        return _tcp(text, address.removeprefix("tcp://"), options, namespace)
    if address.startswith(("unix:///", "/")):
        if options:
            raise InvalidArgument(f"{text!r}: {next(iter(options))} is for tcp:// alone")
        return UnixListener(_socket_path(text, address.removeprefix("unix://")), namespace)
    raise InvalidArgument(f"not an address to listen on: {text!r}; {_HOW}")


def _options(text: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    seen = set()
    for part in parts:
        name, separator, value = part.partition("=")
        if name in seen:
            raise InvalidArgument(f"{text!r}: {name} is there twice")
        if name in _FLAGS and not separator:
            yield name, "yes"
        elif name not in (*_TLS, "namespace"):
            raise InvalidArgument(
                f"{text!r}: unknown option {part!r}; there are namespace=NAME, cert=FILE, "
                "key=FILE, client-ca=FILE and insecure"
            )
        elif not value:
            raise InvalidArgument(f"{text!r}: {name} needs a value")
        else:
            yield name, value
        seen.add(name)


def _socket_path(text: str, path: str) -> Path:
    size = len(path.encode(errors="surrogateescape"))
    if size > PATH_LIMIT:
        raise InvalidArgument(
            f"{text!r}: the path of a socket has at most {PATH_LIMIT} bytes, and this one {size}"
        )
    if "\0" in path or path.endswith("/"):
        raise InvalidArgument(f"{text!r}: that is no name of a file")
    return Path(path)


def _tcp(text: str, target: str, options: dict[str, str], namespace: str | None) -> TcpListener:
    host, port = _host_and_port(text, target)
    if "insecure" in options:
        if len(options) > 1:
            raise InvalidArgument(f"{text!r}: either insecure or certificates, not both")
        if not _is_loopback(host):
            raise InvalidArgument(
                f"{text!r}: only a loopback address may be insecure; give cert, key and client-ca"
            )
        return TcpListener(host, port, None, namespace)
    missing = [name for name in _TLS if name not in options]
    if missing:
        raise InvalidArgument(
            f"{text!r}: TCP needs certificates of both ends; add {', '.join(missing)}"
            + (" (or insecure, for this machine alone)" if _is_loopback(host) else "")
        )
    return TcpListener(host, port, Files(*(Path(options[name]) for name in _TLS)), namespace)


def _host_and_port(text: str, target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > PORT_LIMIT:
        raise InvalidArgument(f"not an address to listen on: {text!r}; {_HOW}")
    if ":" in host and not target.startswith("["):
        raise InvalidArgument(f"{text!r}: write an IPv6 address in brackets, as [::1]:5000")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
