"""Addresses: where a service listens.

unix:///run/lading/lading.sock      a socket of this machine
/run/lading/lading.sock             the same
tcp://host:port,ca=FILE             TLS; `cert=` and `key=` for a server that asks for them
tcp://localhost:port,insecure       without, and to this machine only
"""

import ipaddress
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import grpc

from lading.errors import InvalidArgument, PermissionDenied

_PATH_LIMIT = 107
"""Bytes of a socket's path: what the kernel takes, less the NUL at its end."""
_OPTIONS = {"ca", "cert", "key", "insecure"}


class Address(NamedTuple):
    """An address, read."""

    text: str
    """For people, without its options."""
    target: str
    """For grpc."""
    path: str | None = None
    """Of a socket of this machine."""
    credentials: grpc.ChannelCredentials | None = None


def read(text: str) -> Address:
    """Read an address, or raise `InvalidArgument`; its files are read, too."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "unix", text.removeprefix("unix:")
    if scheme == "unix":
        return _socket(rest, text)
    if scheme == "tcp":
        return _network(rest, text)
    raise _refusal(text)


def _socket(path: str, text: str) -> Address:
    if not os.path.isabs(path) or "\0" in path:  # noqa: PTH117 - stays a text
        raise _refusal(text)
    size = len(os.fsencode(path))
    if size > _PATH_LIMIT:
        raise InvalidArgument(f"{path}: {size} bytes, and a socket's path has {_PATH_LIMIT}")
    return Address(f"unix://{path}", f"unix:{quote(os.fsencode(path))}", path)


def _network(rest: str, text: str) -> Address:
    place, *parts = rest.split(",")
    options = dict(part.partition("=")[::2] for part in parts)
    host, colon, port = place.rpartition(":")
    if not (host and colon and port.isdecimal()) or options.keys() - _OPTIONS:
        raise _refusal(text)
    address = Address(f"tcp://{place}", f"dns:{place}")
    if "insecure" in options:
        if not _is_here(host):
            raise InvalidArgument(f"{address.text}: without TLS only to this machine")
        return address
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_bytes_of(options.get("ca")),
        private_key=_bytes_of(options.get("key")),
        certificate_chain=_bytes_of(options.get("cert")),
    )
    return address._replace(credentials=credentials)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _bytes_of(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PermissionDenied(path, error.strerror or str(error)) from error


def _refusal(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"{text!r} is no address: write unix:///path/of/a/socket or tcp://host:port"
    )
