"""A blob at lying registries, as the engine of fetches sees it."""

from datetime import timedelta

from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.fetching.ranges import range_of
from lading.oci.transport.http import Http, Response
from lading.oci.transport.patience import Patience
from lading.oci.transport.redirects import follow
from lading.oci.transport.refusals import Subject, refusal

MEDIA_TYPE = "application/octet-stream"


class Pauses:
    """A time that only pauses move, and what it was asked to wait."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.told.append(pause_s)


def patience_for(pauses: Pauses, **changes) -> Patience:
    """Waits for nothing, but for a connection, and for that not long."""
    settings = {"sleep": pauses.sleep, "random": lambda: 1.0, "idle": timedelta(seconds=20)}
    return Patience(**{**settings, **changes})


class At:
    """An origin at a registry of the tests, like those of `oci.registry.origins`, and plainer."""

    def __init__(self, http: Http, url: str, size: int | None, name: str = "there") -> None:
        self.name, self._http, self._url, self._size = name, http, url, size
        self.opened: list[tuple[int, int | None]] = []

    def open(self, start: int, end: int | None) -> Response:
        self.opened.append((start, end))
        is_whole = start == 0 and end == self._size
        headers = {} if is_whole else {"Range": range_of(start, end)}
        answer, at_home = follow(
            lambda url, _: self._http.request("GET", url, headers=headers), self._url
        )
        if answer.status < 300 or answer.status == 416:
            return answer
        raise refusal(answer, Subject("blob", self._url), method="GET", at_home=at_home)


def descriptor_of(data: bytes, algorithm: str = "sha256") -> Descriptor:
    """What a manifest would say of some bytes."""
    return Descriptor(MEDIA_TYPE, Digest.of(data, algorithm), len(data))
