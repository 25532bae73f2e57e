"""Where an answer sends us, and what may be said there.

A registry sends a reader to its storage, which is somebody else: tokens, headers of `hosts.toml`
and client certificates are for the registry alone, and once we have left it, nothing brings them
back. An address of storage is good for minutes, so it is never kept: whoever goes on asks the
registry again.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from lading.errors import Refused
from lading.oci.transport.addresses import PORTS, cut, is_loopback, same_origin, shown
from lading.oci.transport.http import Response

REDIRECTS_LIMIT = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAID_ABROAD = frozenset({"accept", "range", "if-range"})

Ask = Callable[[str, bool], Response]
"""Asks a URL once; the other argument is whether it is still at the host that was asked first."""


def follow(ask: Ask, url: str, *, home: str | None = None) -> tuple[Response, bool]:
    """Ask a URL, and go where it sends us; give the last answer, and whether it is from home.

    Home is the server of `home`, or of `url`. For GET and HEAD alone: what changes something is not
    repeated elsewhere. Raises `Refused` for a redirect that must not be followed, for a circle, and
    after `REDIRECTS_LIMIT`; and what `ask` raises.
    """
    home = home or url
    at_home, seen = same_origin(home, url), {url}
    while True:
        answer = ask(url, at_home)
        if answer.status not in _REDIRECTS:
            return answer, at_home
        with answer:
            url = target_of(answer)
            at_home = at_home and same_origin(home, url)
            if url in seen:
                raise _refused(answer, "it redirects in a circle")
            if len(seen) > REDIRECTS_LIMIT:
                raise _refused(answer, f"it redirects more than {REDIRECTS_LIMIT} times")
            seen.add(url)
            answer.drain()


def target_of(answer: Response) -> str:
    """The absolute URL that an answer's Location names.

    Raises `Refused` where there is none, or one that nobody should go to: another scheme than http
    and https, or http where the answer came by https.
    """
    location = answer.headers.get("Location", "").strip()
    if not location:
        raise _refused(answer, "it redirects to nowhere")
    try:
        url = urljoin(answer.url, location)
        before, after = urlsplit(answer.url), urlsplit(url)
        _ = after.port
    except ValueError:
        raise _refused(answer, f"it redirects to {cut(location)!r}, which is no URL") from None
    if after.scheme not in PORTS or not after.hostname:
        raise _refused(answer, f"it redirects to {cut(location)!r}, which is no http or https URL")
    is_downgrade = before.scheme == "https" and after.scheme == "http"
    if is_downgrade and not (is_loopback(before.hostname) and is_loopback(after.hostname)):
        raise _refused(answer, f"it redirects from https to plain http, to {shown(url)}")
    return after._replace(fragment="").geturl()


def abroad(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of our headers that another host may see."""
    return {name: value for name, value in headers.items() if name.lower() in _SAID_ABROAD}


def _refused(answer: Response, problem: str) -> Refused:
    return Refused(shown(answer.url), answer.status, "", problem)
