"""What every call has in common: who asks, how a request is read, how a failure is told.

A service only says what its calls do. Whatever its kind, a method is given the client's messages
one by one, and gives its own: on the wire all kinds are the same.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from lading.content.catalog import Catalog, Scope
from lading.errors import Error, FailedPrecondition, InvalidArgument
from lading.rpc.calls import Calls, Watch
from lading.rpc.codes import aborted, code_of
from lading.rpc.http2.stream import Handler, Stream
from lading.rpc.wire import LEASE, NAMESPACE

_LOG = logging.getLogger("lading.rpc")
Request = TypeVar("Request", bound=Message)


class Call:
    """One call: whose it is, and where it works."""

    __slots__ = ("catalog", "context", "facts", "lease", "pinned")

    def __init__(self, catalog: Catalog, context: Stream, pinned: str | None) -> None:
        self.catalog, self.context, self.pinned = catalog, context, pinned
        self.facts: dict[str, object] = {}
        """What the log says of the call besides."""

    @property
    def namespace(self) -> str | None:
        """The namespace of the call: the listener's, else the caller's; None where none is said."""
        return self.pinned or _text(self.context.headers.get(NAMESPACE))

    def scope(self) -> Scope:
        """What the call works on: a namespace, under the caller's lease if there is one.

        Raises `FailedPrecondition` without a namespace, `NotFound` for a lease that is not there.
        """
        name = self.namespace
        if not name:
            raise FailedPrecondition("namespace is required")
        scope = self.catalog.namespace(name)
        lease = _text(self.context.headers.get(LEASE))
        return scope.leased(lease) if lease else scope


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Method(NamedTuple):
    """One method of a service: whether it answers once, and how."""

    answers_once: bool
    run: Callable[[Call, Iterator[bytes], Watch], Any]
    """Who answers once asks the watch for the one message; who answers more has the client's, as
    the watch passes them on."""
    changes: bool
    """Whether it changes something, which the log then tells."""


class Service(Protocol):
    """A gRPC service."""

    name: str

    def methods(self) -> Mapping[str, Method]:
        """Each method, by its name."""


def unary(
    kind: type[Request], function: Callable[[Call, Request], Message], *, changes: bool = False
) -> Method:
    """Make a method of one request and one answer."""

    def run(call: Call, messages: Iterator[bytes], watch: Watch) -> bytes:
        request = watch.first(messages)
        if request is None:
            raise _said_nothing()
        return function(call, read(kind, request)).SerializeToString()

    return Method(answers_once=True, run=run, changes=changes)


def answers(
    kind: type[Request],
    function: Callable[[Call, Request], Iterable[Message | bytes]],
    *,
    changes: bool = False,
) -> Method:
    """Make a method of one request and many answers."""

    def run(call: Call, messages: Iterator[bytes], watch: Watch) -> Iterator[bytes]:
        for answer in function(call, read(kind, first(messages))):
            yield answer if isinstance(answer, bytes) else answer.SerializeToString()

    return Method(answers_once=False, run=run, changes=changes)


def exchange(
    function: Callable[[Call, Iterator[bytes]], Iterator[bytes]], *, changes: bool = False
) -> Method:
    """Make a method of many requests and answers, which reads and writes its messages itself."""
    return Method(
        answers_once=False,
        run=lambda call, messages, watch: function(call, messages),
        changes=changes,
    )


def read(kind: type[Request], data: bytes) -> Request:
    """Read a message, or raise `InvalidArgument`."""
    try:
        return kind.FromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError):
        raise InvalidArgument(f"the request is no {kind.DESCRIPTOR.full_name}") from None


def first(messages: Iterator[bytes]) -> bytes:
    """The one request of a call; `InvalidArgument` where the client sends none."""
    for message in messages:
        return message
    raise _said_nothing()


def _said_nothing() -> InvalidArgument:
    return InvalidArgument("the call ended before its request")


class Dispatch:
    """Handlers for the server: one service's methods, for one listener."""

    def __init__(self, catalog: Catalog, calls: Calls, pinned: str | None) -> None:
        self._catalog, self._calls, self._pinned = catalog, calls, pinned

    def handlers(self, service: Service) -> dict[str, Handler]:
        """What answers each method, by its name."""
        return {
            name: Handler(
                method.answers_once,
                self._one(name, service, method)
                if method.answers_once
                else self._many(name, service, method),
                is_quick=self._catalog.is_near and method.answers_once and not method.changes,
            )
            for name, method in service.methods().items()
        }

    # Both are written out, with neither a block nor a generator around a call: that takes a tenth
    # of the processor's time for a small one.

    def _one(self, name: str, service: Service, method: Method) -> Any:
        path = f"{service.name}/{name}"
        catalog, calls, pinned, run = self._catalog, self._calls, self._pinned, method.run
        level = _level(method)

        def answer(messages: Iterator[bytes], context: Stream) -> bytes:
            call = Call(catalog, context, pinned)
            began = time.perf_counter()
            watch = calls.enter(context)
            try:
                answered: bytes = run(call, messages, watch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and ends the call
                _failed(path, call, began, method, error)
            finally:
                calls.leave(watch)
            if _LOG.isEnabledFor(level):
                _tell(path, call, began, method)
            return answered

        return answer

    def _many(self, name: str, service: Service, method: Method) -> Any:
        path = f"{service.name}/{name}"

        def answer(messages: Iterator[bytes], context: Stream) -> Iterator[bytes]:
            call = Call(self._catalog, context, self._pinned)
            began = time.perf_counter()
            watch = self._calls.enter(context)
            try:
                yield from watch.said(method.run(call, watch.heard(messages), watch))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and ends the call
                _failed(path, call, began, method, error)
            finally:
                self._calls.leave(watch)
            _tell(path, call, began, method)

        return answer


def _level(method: Method) -> int:
    return logging.INFO if method.changes else logging.DEBUG


def _failed(path: str, call: Call, began: float, method: Method, error: Exception) -> NoReturn:
    """Tell how a call failed, and end it with that. For where the error is being handled."""
    if isinstance(error, Error):
        _tell(path, call, began, method, error)
        aborted(call.context, error)
    _unexpected(path, call)


def _tell(path: str, call: Call, began: float, method: Method, error: Error | None = None) -> None:
    level = _level(method)
    if not _LOG.isEnabledFor(level):
        return
    facts: dict[str, object] = {
        "method": path,
        "namespace": call.namespace or "",
        "code": "OK" if error is None else code_of(error).name,
        "ms": round((time.perf_counter() - began) * 1000, 1),
        **call.facts,
    }
    if error is not None:
        facts["error"] = str(error)
    _LOG.log(level, "call", extra={"facts": facts})


def _unexpected(path: str, call: Call) -> NoReturn:
    """Tell of a failure that is ours; or of a client that went away, which is none."""
    if not call.context.is_active():
        _LOG.debug("gone", extra={"facts": {"method": path, "namespace": call.namespace or ""}})
        raise  # noqa: PLE0704 - called where an exception is being handled
    _LOG.exception("a call failed in a way that it should not", extra={"facts": {"method": path}})
    call.context.abort(grpc.StatusCode.INTERNAL, "the daemon failed; its log has the details")
