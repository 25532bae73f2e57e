"""Pages: a list that a registry gives in parts, each saying where the next is.

    Link: </v2/me/model/tags/list?last=v9&n=100>; rel="next"

Source: OCI distribution-spec 1.1, "Listing Tags". Where there is no Link and the part is as long as
was asked for, `last` asks whether there is more: some registries expect that.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from lading.errors import InvalidManifest
from lading.oci.access.hosts import Host
from lading.oci.registry.remote import Remote
from lading.oci.transport.addresses import cut, shown
from lading.oci.transport.http import Response

PAGES_LIMIT = 10_000
PAGE_LIMIT = 16 << 20
"""Bytes of one part."""
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r""";\s*rel\s*=\s*"?\s*(?:[^";,]*\s)?next\b""", re.IGNORECASE)


class Page(NamedTuple):
    """A part of a list."""

    items: list[Any]
    filters: frozenset[str]
    """What the registry has filtered by: the others are for us to do."""


def pages(
    remote: Remote,
    path: str,
    key: str,
    *,
    headers: Mapping[str, str] | None = None,
    per_page: int | None = None,
) -> Iterator[Page]:
    """Every part of the list that is under `key` at `path`, as it is asked for.

    All of them come from the host that gave the first. Raises `InvalidManifest` for an answer that
    is no such list, and for a list without an end.
    """
    sent = headers or {}
    host, part = remote.attempt(
        "resolve", lambda host: (host, _part(remote, host, path, key, headers=sent))
    )
    seen = {part.url}
    while True:
        yield part.page
        url = part.next_url or _after(part, per_page)
        if url is None:
            return
        if url in seen or len(seen) >= PAGES_LIMIT:
            raise InvalidManifest(f"{host.name}: its list of {key} has no end")
        seen.add(url)
        before = part.page.items

        def ask(host: Host, url: str = url) -> _Part:
            return _part(remote, host, path, key, headers=sent, url=url)

        guessed = part.next_url is None
        part = remote.attempt("resolve", ask, only=host)
        if guessed and part.page.items[:1] and part.page.items[0] in before:
            return  # it does not know `last`, and has given us everything


class _Part(NamedTuple):
    """A page, and where it came from and goes on."""

    page: Page
    url: str
    next_url: str | None


def _part(
    remote: Remote,
    host: Host,
    path: str,
    key: str,
    *,
    headers: Mapping[str, str],
    url: str | None = None,
) -> _Part:
    with remote.ask(host, "GET", path, headers=headers, url=url) as answer:
        try:
            value = json.loads(answer.read(PAGE_LIMIT))
        except (ValueError, RecursionError):
            value = None
        items = value.get(key) if isinstance(value, dict) else False
        # A repository without tags has none of them, not an empty list.
        items = [] if items is None else items
        if not isinstance(items, list):
            raise InvalidManifest(f"{host.name}: its answer is no list of {key}")
        filters = frozenset(
            text.strip() for text in answer.headers.get("OCI-Filters-Applied", "").split(",")
        )
        return _Part(Page(items, filters), answer.url, _next_url(host, answer))


def _next_url(host: Host, answer: Response) -> str | None:
    for target, parameters in _LINK.findall(answer.headers.get("Link", "")):
        if _NEXT.search(parameters):
            return _at(host, answer.url, target)
    return None


def _at(host: Host, base: str, target: str) -> str:
    """The URL of the next part, at the same host: one behind a proxy may not know its own scheme.

    Our token goes there, so it cannot be at another host.
    """
    try:
        there = urlsplit(urljoin(base, target))
        name = there.hostname
    except ValueError:
        raise InvalidManifest(f"{host.name}: its list goes on at {cut(target)!r}") from None
    if name != urlsplit(host.url).hostname:
        raise InvalidManifest(f"{host.name}: its list goes on at another host, {shown(target)}")
    own, query = urlsplit(host.url), there.query
    if host.is_mirror and "ns" not in dict(parse_qsl(query)):
        query = "&".join(filter(None, (query, urlencode({"ns": host.registry}))))
    return there._replace(scheme=own.scheme, netloc=own.netloc, query=query, fragment="").geturl()


def _after(part: _Part, per_page: int | None) -> str | None:
    """Where more would be, of a list that does not say whether there is any."""
    items = part.page.items
    if per_page is None or len(items) != per_page or not isinstance(items[-1], str):
        return None
    parts = urlsplit(part.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"last": items[-1]}
    return parts._replace(query=urlencode(query)).geturl()
