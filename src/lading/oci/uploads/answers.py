"""What a registry answers while it takes a blob, and what of that can be believed.

By the distribution-spec 1.1 each answer has a `Location`, where the next bytes go, and a `Range`,
whose end is the last byte that is there. What registries say besides, or instead:

- for a session without a byte: no Range, or `0-0`, which says the same as one byte would;
- `bytes=0-41`; or the Range of the last chunk, instead of all that is there;
- a Location that is relative, or at another host; or by plain http at the same host, from a
  registry that does not know of the TLS before it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from lading.errors import Refused
from lading.model.digest import Digest
from lading.oci.transport.http import Response
from lading.oci.transport.redirects import target_of
from lading.oci.uploads.sessions import LIFE_NS, UploadSession

_RANGE = re.compile(r"(?:bytes[= ]*)?(\d{1,18})-(\d{1,18})(?:/.*)?")
_SIZE = re.compile(r"\d{1,18}")


def begun(answer: Response, now_ns: int) -> UploadSession:
    """The session that a registry has opened; `Refused` where it does not say where."""
    least = answer.headers.get("OCI-Chunk-Min-Length", "").strip()
    return UploadSession(
        url=_place(answer),
        began_ns=now_ns,
        deadline_ns=now_ns + LIFE_NS,
        least_chunk=int(least) if _SIZE.fullmatch(least) else 0,
    )


def moved_to(session: UploadSession, answer: Response) -> UploadSession:
    """The session at the place that an answer names; where it was if it names none."""
    try:
        return replace(session, url=_place(answer))
    except Refused:
        if answer.headers.get("Location"):
            raise
        return session


def after_chunk(session: UploadSession, answer: Response, count: int) -> UploadSession | None:
    """The session after a registry took a chunk of `count` bytes; None where it has to be asked."""
    end = session.offset + count
    said = _range(answer.headers)
    counts_chunks = session.counts_chunks
    if said is not None and said[1] != end:
        if said[1] - said[0] != count:
            return None
        counts_chunks = True
    return replace(session, offset=end, last_chunk=count, counts_chunks=counts_chunks)


def offset_of(session: UploadSession, headers: Mapping[str, str], size: int) -> int | None:
    """How many bytes are there, by a Range that was asked for; None where that cannot be told.

    A session that we know nothing of is begun anew at no cost, so that what could be no byte or
    one is neither.
    """
    said = _range(headers)
    if said is None:
        return 0 if session.offset == 0 else None
    start, end = said
    if session.counts_chunks:
        return session.offset if end - start == session.last_chunk else None
    if end == 1 and size != 1:
        return None
    return end if end <= size else None


def finished_at(url: str, digest: Digest) -> str:
    """Where the last request goes: the session's place, with the digest of the whole."""
    parts = urlsplit(url)
    pieces = [piece for piece in parts.query.split("&") if piece and not _is_digest(piece)]
    return parts._replace(query="&".join([*pieces, f"digest={digest}"])).geturl()


def _place(answer: Response) -> str:
    try:
        here = urlsplit(answer.url)
        there = urlsplit(urljoin(answer.url, answer.headers.get("Location", "").strip()))
        is_same = there.hostname == here.hostname and there.port in {None, 80, here.port}
    except ValueError:
        is_same = False
    if is_same and (here.scheme, there.scheme) == ("https", "http"):
        return there._replace(scheme="https", netloc=here.netloc).geturl()
    return target_of(answer)


def _is_digest(piece: str) -> bool:
    return piece.partition("=")[0] == "digest"


def _range(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Where a Range begins, and the byte after its end."""
    found = _RANGE.fullmatch(headers.get("Range", "").strip())
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2]) + 1
