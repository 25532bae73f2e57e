"""Lies that a registry can tell: each a fault, which changes one honest answer.

    Cut(1234)                        the first 1234 bytes of the body, then the end
    Status(429) + Header(…)          faults are added: the first one is done first
    Always(Stall(0))                 for each request from now on, and not for one

A fault is a value; it keeps nothing of the requests it was used for.
"""

import dataclasses
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.support.lying_answers import BEFORE, Answer, Asked

if TYPE_CHECKING:
    from tests.support.lying import Lying

OTHER_DIGEST = "sha256:" + "0123456789abcdef" * 4


@dataclass(frozen=True)
class Fault:
    """Changes answers. This one changes none: it stands for an honest answer between two lies."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        """What to say instead."""
        return answer

    @property
    def takes(self) -> int | None:
        """How many bytes of the request's body are taken, where that is not all."""
        return None

    def __add__(self, other: "Fault") -> "Fault":
        return Both(self, other)


HONEST = Fault()


@dataclass(frozen=True)
class Both(Fault):
    """One fault, and another one on what it said."""

    first: Fault
    second: Fault

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return self.second(self.first(answer, asked), asked)

    @property
    def takes(self) -> int | None:
        return self.second.takes if self.first.takes is None else self.first.takes


@dataclass(frozen=True)
class Always(Fault):
    """A fault for each request that there will be, and not for one."""

    fault: Fault

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return self.fault(answer, asked)

    @property
    def takes(self) -> int | None:
        return self.fault.takes


# How an answer ends.


@dataclass(frozen=True)
class Cut(Fault):
    """Ends after `at` bytes of the body, in good order or with a reset; `BEFORE` the head."""

    at: int
    reset: bool = False

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, stop=self.at, ending="reset" if self.reset else "close")


@dataclass(frozen=True)
class CutAt(Fault):
    """Ends where `at` bytes of the whole have been sent, whichever range was asked for."""

    at: int
    reset: bool = False

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return Cut(max(self.at - asked.start, 0), self.reset)(answer, asked)


@dataclass(frozen=True)
class Stall(Fault):
    """Sends `at` bytes of the body and then nothing, while the connection stays."""

    at: int

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, stop=self.at, ending="stall")


@dataclass(frozen=True)
class Trickle(Fault):
    """Sends byte by byte, with a pause before each."""

    pause_s: float = 0.02

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, pause_s=self.pause_s)


# What it says of its length.


@dataclass(frozen=True)
class Chunked(Fault):
    """Says no length, and sends in chunks. That is honest."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, framing="chunked")


@dataclass(frozen=True)
class Lengthless(Fault):
    """Says no length, and ends with the connection. That is honest, and old."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, framing="none")


@dataclass(frozen=True)
class Longer(Fault):
    """Sends more than there is, and says that it is right so."""

    by: int = 1

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, body=answer.body + bytes(self.by))


@dataclass(frozen=True)
class Shorter(Fault):
    """Sends less than there is, and says that it is right so."""

    by: int = 1

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, body=answer.body[: max(len(answer.body) - self.by, 0)])


@dataclass(frozen=True)
class SaysLength(Fault):
    """Sends what there is, under another length."""

    length: int

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, length=self.length)


# Which bytes they are.


@dataclass(frozen=True)
class Says(Fault):
    """Sends other bytes."""

    body: bytes

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, body=self.body)


@dataclass(frozen=True)
class WrongBytes(Fault):
    """Sends as many bytes as there are, of which the one at `at` of the whole is wrong."""

    at: int = 0

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        place = self.at - asked.start
        if not 0 <= place < len(answer.body):
            return answer
        body = bytearray(answer.body)
        body[place] ^= 0xFF
        return replace(answer, body=bytes(body))


@dataclass(frozen=True)
class Zipped(Fault):
    """Sends the body compressed, and says so; also where a part of it was asked for."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        packed = replace(answer, body=gzip.compress(answer.body, mtime=0))
        return packed.with_header("Content-Encoding", "gzip")


# What it makes of a range.


@dataclass(frozen=True)
class IgnoresRange(Fault):
    """Answers 200 with the whole, whatever was asked for."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        whole = replace(answer, status=200, body=asked.whole)
        asked.start = 0
        return whole.with_header("Content-Range", None)


@dataclass(frozen=True)
class FromStart(Fault):
    """Answers 206 with bytes from the start of the whole; `says` that, or what was asked for."""

    says: bool = False

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        if answer.status != 206:
            return answer
        size = len(answer.body)
        moved = replace(answer, body=asked.whole[:size])
        asked.start = 0
        if self.says:
            told = f"bytes 0-{size - 1}/{len(asked.whole)}"
            return moved.with_header("Content-Range", told)
        return moved


@dataclass(frozen=True)
class Multipart(Fault):
    """Answers a range with parts of a message, each with a head of its own."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        if answer.status != 206:
            return answer
        told = answer.headers.get("Content-Range", "")
        head = f"--part\r\nContent-Type: application/octet-stream\r\nContent-Range: {told}\r\n\r\n"
        parts = replace(answer, body=head.encode() + answer.body + b"\r\n--part--\r\n")
        parts = parts.with_header("Content-Range", None)
        return parts.with_header("Content-Type", "multipart/byteranges; boundary=part")


# What it says at all.


@dataclass(frozen=True)
class Header(Fault):
    """Sends another header, or does without it."""

    name: str
    value: str | None = None

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return answer.with_header(self.name, self.value)


@dataclass(frozen=True)
class Status(Fault):
    """Answers with a status and an error in the registry's way, or with any `body`."""

    status: int
    code: str = "UNKNOWN"
    message: str = "so it is"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        body = self.body
        headers = {"Content-Type": "application/json", **self.headers}
        if body is None:
            body = errors(self.code, self.message)
        return Answer(self.status, headers, body)


@dataclass(frozen=True)
class Redirect(Fault):
    """Sends elsewhere: to a URL, or to the one that is made for a request."""

    to: str | Callable[[Asked], str]
    status: int = 307

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        target = self.to if isinstance(self.to, str) else self.to(asked)
        return Answer(self.status, {"Location": target})


@dataclass(frozen=True)
class Revokes(Fault):
    """Answers rightly, and knows the tokens it gave out no more."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        asked.server.revoke()
        return answer


@dataclass(frozen=True)
class Raw(Fault):
    """Sends these bytes as they are, which need not be HTTP, and hangs up."""

    data: bytes

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, raw=self.data)


# What it does to what is sent to it.


@dataclass(frozen=True)
class Takes(Fault):
    """Takes so many bytes of the request's body, and hangs up without a word."""

    count: int
    reset: bool = True

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, stop=BEFORE, ending="reset" if self.reset else "close")

    @property
    def takes(self) -> int | None:
        return self.count


@dataclass(frozen=True)
class Forgets(Fault):
    """Knows its upload sessions no more, this one among them, and answers as it then has to."""

    def __call__(self, answer: Answer, asked: Asked) -> Answer:
        asked.server.forget_uploads()
        return Answer(
            404,
            {"Content-Type": "application/json"},
            errors("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
        )


def errors(code: str, message: str, **detail: Any) -> bytes:
    """A body as the distribution-spec has it for errors."""
    told: dict[str, Any] = {"code": code, "message": message}
    return json.dumps({"errors": [told | ({"detail": detail} if detail else {})]}).encode()


def elsewhere(server: "Lying", **limits: int) -> Fault:
    """Redirects each request to an address at `server`, made for it: see `Lying.sign`."""

    def made(asked: Asked) -> str:
        return server.sign(asked.whole, **limits)

    return Redirect(made)


def name_of(fault: Fault) -> str:
    """A fault as a test's id."""
    if isinstance(fault, Both):
        return f"{name_of(fault.first)}-{name_of(fault.second)}"
    values = [getattr(fault, each.name) for each in dataclasses.fields(fault)]
    told = [str(value) for value in values if isinstance(value, (int, str)) and value is not False]
    return "-".join([type(fault).__name__, *told])
