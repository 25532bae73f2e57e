"""Hosts as URLs have them: whose they are, and how a sentence may show them."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

PORTS = {"http": 80, "https": 443}
"""The schemes we speak, and the port that goes without saying."""
_SHOWN = 200


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs are of one server: scheme, host and port."""
    return _origin(urlsplit(one)) == _origin(urlsplit(other))


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine by its name alone. No name is looked up."""
    name = (host or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """A URL for a sentence: without what can be a secret, its query and its credentials."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return cut(url.partition("?")[0].rpartition("@")[2])
    netloc = parts.netloc.rpartition("@")[2]
    return cut(parts._replace(netloc=netloc, query="", fragment="").geturl())


def cut(text: str) -> str:
    """A text from outside for a sentence: no longer than a line or two."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
