"""Which answers to a request for bytes count, and for which bytes they do.

    asked         answered                               it is
    no range      200                                    the whole
    bytes=N-M     206, Content-Range: bytes N-X/T        N to X, where X <= M and T is the total
    bytes=N-M     200                                    the whole: no ranges here
    bytes=N-M     416                                    nothing: the end, or no such bytes here
    any           anything else                          nothing

A 206 is believed for what its Content-Range says and not for what was asked, and one that begins
elsewhere, or that is compressed, or that has several parts, is no answer. Source: RFC 9110, 14.
"""

import re
from typing import NamedTuple

from lading.errors import ConnectionFailed
from lading.oci.transport.http import Response

OK, PARTIAL, NOT_SATISFIABLE = 200, 206, 416
_DIGITS = 19
"""More make no size. It is a limit as well: a longer text is not made a number."""
_CONTENT_RANGE = re.compile(
    rf"bytes\s+(\d{{1,{_DIGITS}}})-(\d{{1,{_DIGITS}}})/(\d{{1,{_DIGITS}}}|\*)", re.ASCII
)
_NO_RANGE = re.compile(rf"bytes\s+\*/(\d{{1,{_DIGITS}}})", re.ASCII)
_LENGTH = re.compile(rf"\d{{1,{_DIGITS}}}", re.ASCII)
_SHOWN = 80


class Part(NamedTuple):
    """The bytes that an answer has in its body."""

    start: int
    end: int | None
    """None where nobody knows before the body ends."""
    total: int | None
    """What the answer says of the whole; None where it does not."""
    encoding: str = ""
    """How the body is compressed; then `end` is that of the blob, and the body may be shorter."""
    is_surely_encoded: bool = False
    """Whether the body as it comes has another size than the blob."""


def part_of(response: Response, start: int, end: int | None, total: int | None) -> Part:
    """Say what an answer has, where `start` to `end` of `total` bytes were asked for.

    Raises `ConnectionFailed`, which says what is wrong with it, for an answer that does not count.
    `end` and `total` are None where they are not known.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding == "identity":
        encoding = ""
    if response.status == OK:
        return _whole(response, total, encoding)
    if response.status == PARTIAL:
        return _partial(response, start, end, total, encoding)
    raise _unusable(response, f"it answered {response.status} when asked for bytes")


def total_of(response: Response) -> int | None:
    """How many bytes there are, as an answer 416 says it; None where it does not."""
    found = _NO_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def range_of(start: int, end: int | None) -> str:
    """The value of `Range` for the bytes from `start` to before `end`.

    Closed wherever the end is known: some registries take no other. Source: go-containerregistry.
    """
    return f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"


def _whole(response: Response, total: int | None, encoding: str) -> Part:
    length = _length(response)
    if encoding:
        # Whether that length is the one of the blob or of its compressed form, nobody can tell.
        return Part(0, total, total, encoding, is_surely_encoded=_differ(length, total))
    if _differ(length, total):
        raise _unusable(response, f"it has {length} bytes where there should be {total}")
    known = length if total is None else total
    return Part(0, known, known)


def _partial(
    response: Response, start: int, end: int | None, total: int | None, encoding: str
) -> Part:
    if encoding:
        raise _unusable(response, f"it answered with a range of what {encoding[:_SHOWN]!r} gives")
    text = response.headers.get("Content-Range", "").strip()
    found = _CONTENT_RANGE.fullmatch(text)
    if found is None:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        named = text or f"no Content-Range, of type {kind}"
        raise _unusable(response, f"it answered with {named[:_SHOWN]!r}, which is not one range")
    first, last = int(found[1]), int(found[2])
    whole = None if found[3] == "*" else int(found[3])
    asked = range_of(start, end)
    if first != start or last < first or (end is not None and last >= end):
        raise _unusable(response, f"it answered with {text[:_SHOWN]!r} when asked for {asked}")
    if whole is not None and (last >= whole or total not in (None, whole)):
        raise _unusable(response, f"it answered with {text[:_SHOWN]!r} of {total} bytes")
    length = _length(response)
    if length not in (None, last + 1 - first):
        raise _unusable(response, f"it answered with {text[:_SHOWN]!r} in {length} bytes")
    return Part(first, last + 1, total if whole is None else whole)


def _differ(length: int | None, total: int | None) -> bool:
    return None not in (length, total) and length != total


def _length(response: Response) -> int | None:
    """The bytes of the body, as its head says it. Several equal ones are one (RFC 9110, 8.6)."""
    if response.headers.get("Transfer-Encoding"):
        return None  # which counts more. RFC 9112, 6.3
    texts = {text.strip() for text in response.headers.get("Content-Length", "").split(",")}
    texts.discard("")
    if not texts:
        return None
    text = texts.pop()
    if texts or not _LENGTH.fullmatch(text):
        raise _unusable(response, "its Content-Length is no length")
    return int(text)


def _unusable(response: Response, problem: str) -> ConnectionFailed:
    return ConnectionFailed(response.host, problem)
