"""Our errors as statuses, and statuses as our errors.

A status carries the code and the sentence, as containerd's do. What a caller of ours wants to know
besides goes with it as Google's `ErrorInfo`, so that the other end raises the same error, with its
facts; for whoever does not look, it is not there.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from lading import errors
from lading.model.digest import Digest
from lading.rpc.http2.sentences import percent_encoded

DOMAIN = "lading"
DETAILS = "grpc-status-details-bin"
TRAILERS_LIMIT = 7 << 10
"""Bytes of a sentence and its facts as they travel. A client of grpc that sets nothing turns away
headers of more than 8 KiB in all, with a code of its own in place of ours, and not each time."""
FACTS_LIMIT = 4 << 10
SENTENCE_LIMIT = 2 << 10

_CODES: Final = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
}

Facts = dict[str, Any]


class Context(Protocol):
    """A call that can be ended."""

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]], /) -> None:
        """Have this go with the status."""

    def abort(self, code: grpc.StatusCode, details: str, /) -> NoReturn:
        """End the call with a status."""


def code_of(error: errors.Error) -> grpc.StatusCode:
    """The status code of a condition: that of the second level of our errors."""
    for ancestor in type(error).__mro__:
        if ancestor in _CODES:
            return _CODES[ancestor]
    return grpc.StatusCode.UNKNOWN


def aborted(context: Context, error: errors.Error) -> NoReturn:
    """End a call with one of our errors."""
    code, facts = code_of(error), _facts(error)
    left = TRAILERS_LIMIT if facts is None else TRAILERS_LIMIT - _in_base64(facts.ByteSize())
    message = _cut(str(error), left, is_told_twice=facts is not None)
    if facts is not None:
        status = status_pb2.Status(code=code.value[0], message=message)
        status.details.add().Pack(facts)
        context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
    context.abort(code, message)


def error_of(status: grpc.RpcError) -> errors.Error:
    """The error of a call that failed: with its facts from ours, by its code from another."""
    assert isinstance(status, grpc.Call)
    code, message = status.code(), status.details() or ""
    found = _told(status)
    if found is not None:
        return found
    return _UNTOLD.get(code, _unknown)(message or f"the other end answered {code.name}")


def _unknown(message: str) -> errors.Error:
    return errors.Error(message)


_UNTOLD: Final[dict[grpc.StatusCode, Callable[[str], errors.Error]]] = {
    grpc.StatusCode.NOT_FOUND: lambda message: errors.NotFound(message.removesuffix(": not found")),
    grpc.StatusCode.ALREADY_EXISTS: lambda message: errors.AlreadyExists(
        message.removesuffix(": already exists")
    ),
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgument,
    grpc.StatusCode.DATA_LOSS: lambda message: errors.DataLoss("the other end", message),
    grpc.StatusCode.PERMISSION_DENIED: lambda message: errors.PermissionDenied(
        "the other end", message
    ),
    grpc.StatusCode.UNAUTHENTICATED: lambda message: errors.Unauthenticated(
        "the other end", message
    ),
    grpc.StatusCode.UNIMPLEMENTED: lambda message: errors.FailedPrecondition(
        f"the other end does not do this: {message}"
    ),
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    grpc.StatusCode.ABORTED: errors.Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Unavailable,
}
"""What a code says alone. `OutOfRange` and `ResourceExhausted` want facts that nobody told."""


def _facts(error: errors.Error) -> error_details_pb2.ErrorInfo | None:
    """What makes the error again at the other end; None where it would be too long to go along."""
    reason = type(error).__name__
    if reason not in _MAKERS:
        return None
    facts = {
        name: _written(value) for name, value in vars(error).items() if not name.startswith("_")
    }
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=facts)
    return info if info.ByteSize() <= FACTS_LIMIT else None


def _cut(sentence: str, left: int, *, is_told_twice: bool) -> str:
    """As much of a sentence as fits into so many bytes of headers.

    Beside facts it goes within them too, in base64: who reads those takes the sentence from there.
    """
    sentence = sentence[:SENTENCE_LIMIT].encode(errors="backslashreplace").decode()
    for place, letter in enumerate(sentence):
        left -= len(percent_encoded(letter))
        left -= _in_base64(len(letter.encode())) if is_told_twice else 0
        if left < 0:
            return sentence[:place]
    return sentence


def _in_base64(size: int) -> int:
    return -(-size * 4 // 3)


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return json.dumps({"time": value.isoformat()})
    if isinstance(value, Digest):
        return json.dumps({"digest": value})
    if isinstance(value, (str, int, float, bool)) or value is None:
        return json.dumps(value)
    return json.dumps(str(value))


def _read(text: str) -> Any:
    value = json.loads(text)
    if isinstance(value, dict):
        if "time" in value:
            return datetime.fromisoformat(value["time"])
        return Digest(value["digest"])
    return value


def _told(status: grpc.Call) -> errors.Error | None:
    """The error as the other end's lading had it; None from anybody else, or for what is broken."""
    for key, value in status.trailing_metadata() or ():
        if key != DETAILS or not isinstance(value, bytes):
            continue
        info = error_details_pb2.ErrorInfo()
        with contextlib.suppress(DecodeError, ValueError, KeyError, TypeError):
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info) and info.domain == DOMAIN:
                    facts = {name: _read(text) for name, text in info.metadata.items()}
                    return _MAKERS[info.reason](facts)
    return None


_MAKERS: Final[dict[str, Callable[[Facts], errors.Error]]] = {
    "InvalidDigest": lambda facts: errors.InvalidDigest(facts["text"]),
    "InvalidFilter": lambda facts: errors.InvalidFilter(
        facts["text"], facts["position"], facts["problem"]
    ),
    "NotFound": lambda facts: errors.NotFound(facts["what"], facts["kind"]),
    "AlreadyExists": lambda facts: errors.AlreadyExists(facts["what"]),
    "PermissionDenied": lambda facts: errors.PermissionDenied(facts["path"], facts["reason"]),
    "DigestMismatch": lambda facts: errors.DigestMismatch(facts["expected"], facts["actual"]),
    "SizeMismatch": lambda facts: errors.SizeMismatch(facts["expected"], facts["actual"]),
    "IngestMismatch": lambda facts: errors.IngestMismatch(
        facts["ref"], facts["field"], facts["stored"], facts["given"]
    ),
    "WriterClosed": lambda facts: errors.WriterClosed(facts["ref"]),
    "ForeignRoot": lambda facts: errors.ForeignRoot(facts["root"], live=facts["live"]),
    "OutOfRange": lambda facts: errors.OutOfRange(facts["offset"], facts["limit"]),
    "Aborted": lambda facts: errors.Aborted(facts["ref"]),
    "ResourceExhausted": lambda facts: errors.ResourceExhausted(
        facts["ref"], facts["offset"], facts["needed"]
    ),
    "DatabaseFull": lambda facts: errors.DatabaseFull(facts["database"]),
    "RefLocked": lambda facts: errors.RefLocked(
        facts["ref"], holder=facts["holder"], since=facts["since"]
    ),
    "DataLoss": lambda facts: errors.DataLoss(facts["what"], facts["reason"]),
}
"""How each error is made again. Their conditions alone need no facts."""
