"""Where the bytes of a blob can be had: each host of its repository, then its own URLs."""

from collections.abc import Sequence

from lading.model.descriptor import Descriptor
from lading.model.manifest import is_manifest
from lading.oci.access.hosts import Host
from lading.oci.crew import Crew
from lading.oci.fetching.ranges import NOT_SATISFIABLE, range_of
from lading.oci.fetching.turns import Origin
from lading.oci.registry.remote import Remote
from lading.oci.transport.addresses import shown
from lading.oci.transport.http import Response
from lading.oci.transport.redirects import follow
from lading.oci.transport.refusals import Subject, refusal

URLS_LIMIT = 8
"""URLs of one blob that are asked."""
_GOOD = range(200, 300)


class HostOrigin:
    """A blob at one host of a repository."""

    def __init__(self, remote: Remote, host: Host, blob: Descriptor, crew: Crew) -> None:
        self.name = host.name
        self._remote, self._host, self._blob, self._crew = remote, host, blob, crew

    def open(self, start: int, end: int | None) -> Response:
        """Ask the registry itself, each time: where it sends us does not stay good for long."""
        self._crew.check()
        kind, headers = "blobs", _headers(self._blob, start, end)
        if is_manifest(self._blob.media_type):
            kind, headers["Accept"] = "manifests", self._blob.media_type
        with self._crew.waiting():
            response = self._remote.ask(
                self._host,
                "GET",
                f"{kind}/{self._blob.digest}",
                headers=headers,
                accepts=(NOT_SATISFIABLE,),
            )
        return self._crew.watch(response)


class UrlOrigin:
    """A blob at a URL that its descriptor names: who wrote that may be anybody.

    So it is asked by https alone, without credentials, and told nothing.
    """

    def __init__(self, remote: Remote, url: str, blob: Descriptor, crew: Crew) -> None:
        self.name = shown(url)
        self._remote, self._url, self._blob, self._crew = remote, url, blob, crew

    def open(self, start: int, end: int | None) -> Response:
        """Ask the URL, and whomever it names."""
        self._crew.check()
        headers = _headers(self._blob, start, end)
        with self._crew.waiting():
            response, _ = follow(
                lambda url, _: self._remote.http.request("GET", url, headers=headers), self._url
            )
        if response.status in _GOOD or response.status == NOT_SATISFIABLE:
            return self._crew.watch(response)
        raise refusal(response, Subject("blob", self.name), method="GET")


def origins_of(remote: Remote, blob: Descriptor, crew: Crew) -> Sequence[Origin]:
    """Everywhere to ask for a blob, in this order."""
    hosts = [HostOrigin(remote, host, blob, crew) for host in remote.hosts("pull")]
    urls = [url for url in blob.urls if url.startswith("https://")][:URLS_LIMIT]
    return [*hosts, *(UrlOrigin(remote, url, blob, crew) for url in urls)]


def _headers(blob: Descriptor, start: int, end: int | None) -> dict[str, str]:
    if start == 0 and end in {None, blob.size}:
        return {}
    return {"Range": range_of(start, end)}
