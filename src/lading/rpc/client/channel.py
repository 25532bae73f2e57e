"""Channel: one connection, and what every call through it has in common.

A call that changes nothing is made again when the other end could not be reached; one that
changes something is made once, and its error says whether it may be tried again. A connection
belongs to the process that opened it: grpc's threads do not survive a fork.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message

from lading.errors import (
    Error,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from lading.rpc.client.address import Address, read
from lading.rpc.codes import DETAILS, error_of

Headers = tuple[tuple[str, str], ...]
Answer = TypeVar("Answer", bound=Message)
MESSAGE_LIMIT = 16 << 20
HEADERS_LIMIT = 256 << 10
"""A ref may have 64 KiB, and a byte of it takes up to three in a sentence of containerd."""
ANSWERS_WITHIN = timedelta(minutes=1)
PAUSES = (0.02, 0.1, 0.3, 0.6)
"""Seconds between two attempts of a call that changes nothing."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_metadata_size", HEADERS_LIMIT),  # more than 8 KiB is turned away now and then
    ("grpc.absolute_max_metadata_size", 2 * HEADERS_LIMIT),
    ("grpc.use_local_subchannel_pool", 1),  # two stores are two connections
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class Method(NamedTuple):
    """A method of a service that answers with messages of one kind."""

    path: str
    answer: type[Message]
    repeats: bool = False
    """Whether it changes nothing, so that it may be made again."""
    patient: bool = False
    """Whether it takes as long as it takes."""


class Channel:
    """One connection. Any method may be called from any thread of the process that made it."""

    def __init__(self, address: str, *, answers_within: timedelta = ANSWERS_WITHIN) -> None:
        self.address: Address = read(address)
        self._seconds = answers_within.total_seconds()
        self._process = os.getpid()
        self._guard = threading.Lock()
        self._calls: dict[tuple[str, str], Callable[..., Any]] = {}
        self._is_closed = False
        self._has_answered = False
        target, credentials = self.address.target, self.address.credentials
        self._channel = (
            grpc.insecure_channel(target, _OPTIONS)
            if credentials is None
            else grpc.secure_channel(target, credentials, _OPTIONS)
        )

    # Calls

    def once(self, method: Method, request: Message, headers: Headers = ()) -> Any:
        """Make a call of one answer."""
        call = self._made("unary_unary", method)
        seconds = None if method.patient else self._seconds
        for pause in self._pauses(method):
            try:
                answer = call(_bytes(request), timeout=seconds, metadata=headers)
            except grpc.RpcError as status:
                self._pause(pause, method, status)
            else:
                self._has_answered = True
                return answer
        raise AssertionError

    def many(self, method: Method, request: Message, headers: Headers = ()) -> "Answers":
        """Make a call of many answers."""
        call = self._made("unary_stream", method)
        return Answers(self, method, call(_bytes(request), metadata=headers))

    def exchange(
        self, method: Method, requests: Iterable[bytes], headers: Headers = ()
    ) -> "Answers":
        """Make a call of many requests and answers."""
        call = self._made("stream_stream", method)
        return Answers(self, method, call(requests, metadata=headers))

    def listed(self, method: Method, request: Message, headers: Headers = ()) -> Iterator[Any]:
        """Make a call of many answers, again if the other end is away before the first of them."""
        for pause in self._pauses(method):
            answers = self.many(method, request, headers)
            try:
                first = answers.take()
            except Unavailable:
                if pause is None or not self._has_answered:
                    raise
                time.sleep(pause)
                continue
            return _chained(first, answers)
        raise AssertionError

    def close(self) -> None:
        """Let go of the connection; what is under way fails. Safe to call twice."""
        with self._guard:
            if self._is_closed or os.getpid() != self._process:
                return
            self._is_closed = True
        self._channel.close()

    # What goes wrong

    def error(self, method: Method, status: grpc.RpcError) -> Error:
        """The error of a call that failed."""
        assert isinstance(status, grpc.Call)
        code = status.code()
        has_come = any(key == DETAILS for key, _ in status.trailing_metadata() or ())
        if has_come or code not in _OURS_TO_EXPLAIN:
            self._has_answered = True
            return error_of(status)
        service, _, name = method.path.strip("/").rpartition("/")
        match code:
            case grpc.StatusCode.UNIMPLEMENTED:
                return FailedPrecondition(
                    f"{self.address.text} has no {name} of {service}: it is the address of "
                    "something else, or of a daemon that cannot do this"
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return Unavailable(
                    f"{self.address.text} has not answered {name} within {self._seconds:g} seconds"
                )
        return self._absence() or error_of(status)

    def _absence(self) -> Error | None:
        """Why nobody can be reached at the socket; None if somebody can."""
        path = self.address.path
        if path is None:
            return None
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(path)
            except PermissionError as error:
                return PermissionDenied(
                    path, f"{error.strerror}: this user may not speak to the daemon"
                )
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                return Unavailable(
                    f"no daemon listens on {path}; "
                    f"start one with: lading serve --root DIR --listen {self.address.text}"
                )
            except OSError as error:
                return Unavailable(f"{path}: {error.strerror or error}")
        return None

    # Inside

    def _made(self, kind: str, method: Method) -> Callable[..., Any]:
        if os.getpid() != self._process:
            raise FailedPrecondition(
                "this connection was opened before a fork; open one of its own in the new process"
            )
        if self._is_closed:
            raise FailedPrecondition(f"the connection to {self.address.text} is closed")
        key = kind, method.path
        call = self._calls.get(key)
        if call is None:
            reader = None if method.answer is Message else method.answer.FromString
            call = self._calls[key] = getattr(self._channel, kind)(method.path, None, reader)
        return call

    def _pauses(self, method: Method) -> Iterator[float | None]:
        if method.repeats:
            yield from PAUSES
        yield None

    def _pause(self, pause: float | None, method: Method, status: grpc.RpcError) -> None:
        """Wait before the next attempt, or raise the error where there is none."""
        error = self.error(method, status)
        is_away = isinstance(error, Unavailable) and self._has_answered
        if pause is None or not is_away:
            raise error from status
        time.sleep(pause)


class Answers:
    """The answers of one call. Belongs to one thread at a time."""

    def __init__(self, channel: Channel, method: Method, call: Any) -> None:
        self._channel, self._method, self._call = channel, method, call

    def take(self) -> Any | None:
        """The next answer; None after the last."""
        try:
            answer = next(self._call, None)
        except grpc.RpcError as status:
            raise self._channel.error(self._method, status) from status
        self._channel._has_answered = True  # noqa: SLF001 - the same module
        return answer

    def cancel(self) -> None:
        """Want no more. Safe to call twice."""
        self._call.cancel()


def _chained(first: Any | None, answers: Answers) -> Iterator[Any]:
    try:
        while first is not None:
            yield first
            first = answers.take()
    finally:
        answers.cancel()


def _bytes(request: Message) -> bytes:
    return request.SerializeToString()


def made(kind: type[Answer], **fields: Any) -> Answer:
    """A message; `InvalidArgument` for what none can hold, such as half a character."""
    try:
        return kind(**fields)
    except (UnicodeError, ValueError, TypeError) as error:
        raise InvalidArgument(f"this cannot be sent: {error}") from error


_OURS_TO_EXPLAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
