"""What a registry says when it does not do what it was asked, in our words.

    {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}

That is the rule; a proxy before a registry answers with a page of HTML, or with nothing. Source:
OCI distribution-spec 1.1, "Error codes".
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lading.errors import (
    ConnectionFailed,
    Error,
    NotFound,
    PermissionDenied,
    Refused,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from lading.oci.transport.addresses import shown
from lading.oci.transport.http import Response
from lading.oci.transport.patience import retry_after_s

ANSWER_LIMIT = 64 << 10
"""Bytes of an error that are read."""
MESSAGE_LIMIT = 300
_TEXT_LIMIT = 4 << 10
"""Characters of what is no JSON that are looked at: the expressions below take their square."""
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_EARLY, _TOO_MANY = (
    401,
    403,
    404,
    408,
    425,
    429,
)
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)
_NEVER = frozenset({501, 505, 511})
"""Server errors that the same request meets again."""


class BodyNeeded(ConnectionFailed):
    """There are credentials now, but the body is spent: open it again, and ask again."""


class RedirectExpired(ConnectionFailed):
    """Where a registry sent us, we are not let in any more; the registry knows another way."""


class Subject(NamedTuple):
    """What was asked for, as its error names it."""

    kind: str
    what: str


class Told(NamedTuple):
    """What an answer says of itself: the registry's own word, and a sentence. Both may be empty."""

    code: str
    message: str

    @property
    def sentence(self) -> str:
        """Both in one."""
        return ": ".join(filter(None, self))


def refusal(
    answer: Response,
    subject: Subject,
    *,
    method: str,
    at_home: bool = True,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Error:
    """Make the error of an answer, which is read and closed. Never fails.

    `at_home` is false for an answer of somebody to whom the registry has sent us: there, that we
    are not let in means that the address has expired.
    """
    told = _told(answer)
    status, host = answer.status, answer.host
    if (temporary := _temporary(answer, told, now)) is not None:
        return temporary
    if status == _NOT_FOUND:
        return _not_found(told, subject)
    if not at_home and status in _CLIENT_ERRORS:
        said = f": {told.sentence}" if told.sentence else ""
        return RedirectExpired(host, f"it answered {status} to a redirect{said}")
    if status == _UNAUTHORIZED:
        return Unauthenticated(host, told.sentence or "it does not know who asks")
    if status == _FORBIDDEN:
        return PermissionDenied(subject.what, f"not allowed: {told.sentence or host}")
    return Refused(f"{method} {shown(answer.url)}", status, *told)


def _temporary(answer: Response, told: Told, now: Callable[[], datetime]) -> Error | None:
    """The error of an answer that another time may be another one."""
    status = answer.status
    is_busy = status in _SERVER_ERRORS and status not in _NEVER
    pause = retry_after_s(answer.headers, now) if is_busy or status == _TOO_MANY else None
    if status == _TOO_MANY or pause is not None:
        return TooManyRequests(answer.host, pause)
    if is_busy or status in {_TIMEOUT, _TOO_EARLY}:
        return Unavailable(f"{answer.host}: it answered {_with(status, told)}")
    return None


def _not_found(told: Told, subject: Subject) -> NotFound:
    if told.code == "NAME_UNKNOWN" and subject.kind != "repository":
        return NotFound(_repository_of(subject.what), "repository")
    return NotFound(subject.what, subject.kind)


def _repository_of(what: str) -> str:
    name = what.partition("@")[0]
    start = name.rfind("/") + 1
    return name[:start] + name[start:].partition(":")[0]


def _with(status: int, told: Told) -> str:
    return f"{status}, {told.sentence}" if told.sentence else str(status)


def _told(answer: Response) -> Told:
    data = b""
    # Some say that there is more than they send, and what came is an answer all the same.
    with answer, suppress(ConnectionFailed):
        while len(data) < ANSWER_LIMIT and (piece := answer.read1(ANSWER_LIMIT - len(data))):
            data += piece
    if not data:
        return Told("", "")
    try:
        return _of_json(json.loads(data))
    except (ValueError, RecursionError):
        return Told("", _of_text(data.decode(errors="replace")[:_TEXT_LIMIT]))


def _of_json(value: Any) -> Told:
    """The first error that says anything; token servers have other names for the same."""
    found = value.get("errors") if isinstance(value, dict) else None
    for error in [*(found if isinstance(found, list) else []), value]:
        if not isinstance(error, dict):
            continue
        code = _clean(error.get("code") or error.get("error"))
        texts = (error.get(name) for name in ("message", "error_description", "details", "detail"))
        message = next(filter(None, map(_clean, texts)), "")
        if code or message:
            return Told(code, "" if message == code else message)
    return Told("", "")


def _of_text(text: str) -> str:
    """The first words of what is no JSON, the title of a page before its body."""
    if title := _TITLE.search(text):
        return _clean(title[1])
    return _clean(_TAGS.sub(" ", text))


def _clean(value: object) -> str:
    """One short line that a terminal can take; nothing of what is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    return line if len(line) <= MESSAGE_LIMIT else line[:MESSAGE_LIMIT] + "…"
