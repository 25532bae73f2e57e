"""What every call has in common: who asks, how a request is read, how a failure is told.

A service only says what its calls do. Whatever its kind, a method is given the client's messages
one by one, and gives its own: on the wire all kinds are the same.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

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
        return self.pinned or self._header(NAMESPACE)

    def scope(self) -> Scope:
        """What the call works on: a namespace, under the caller's lease if there is one.

        Raises `FailedPrecondition` without a namespace, `NotFound` for a lease that is not there.
        """
        name = self.namespace
        if not name:
            raise FailedPrecondition("namespace is required")
        scope = self.catalog.namespace(name)
        lease = self._header(LEASE)
        return scope.leased(lease) if lease else scope

    def _header(self, name: str) -> str | None:
        for key, value in self.context.invocation_metadata():
            if key == name:
                return value if isinstance(value, str) else value.decode(errors="replace")
        return None


class Method(NamedTuple):
    """One method of a service: whether it answers once, and how."""

    answers_once: bool
    run: Callable[[Call, Iterator[bytes], Watch], Any]
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
        return function(call, read(kind, first(messages))).SerializeToString()

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
    raise InvalidArgument("the call ended before its request")


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
            )
            for name, method in service.methods().items()
        }

    def _one(self, name: str, service: Service, method: Method) -> Any:
        path = f"{service.name}/{name}"

        def answer(messages: Iterator[bytes], context: Stream) -> bytes:
            with self._answering(path, method, context) as (call, watch):
                answered: bytes = method.run(call, watch.heard(messages), watch)
            return answered

        return answer

    def _many(self, name: str, service: Service, method: Method) -> Any:
        path = f"{service.name}/{name}"

        def answer(messages: Iterator[bytes], context: Stream) -> Iterator[bytes]:
            with self._answering(path, method, context) as (call, watch):
                yield from watch.said(method.run(call, watch.heard(messages), watch))

        return answer

    @contextmanager
    def _answering(
        self, path: str, method: Method, context: Stream
    ) -> Iterator[tuple[Call, Watch]]:
        """Watch a call while the block answers it, and tell how it ended."""
        call = Call(self._catalog, context, self._pinned)
        began = time.perf_counter()
        with self._calls.entered(context) as watch:
            try:
                yield call, watch
            except Error as error:
                _tell(path, call, began, method, error)
                aborted(context, error)
            except Exception:  # noqa: BLE001 - whatever it is, it is told and ends the call
                _unexpected(path, call)
            _tell(path, call, began, method)


def _tell(path: str, call: Call, began: float, method: Method, error: Error | None = None) -> None:
    level = logging.INFO if method.changes else logging.DEBUG
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


def _unexpected(path: str, call: Call) -> None:
    """Tell of a failure that is ours; or of a client that went away, which is none."""
    if not call.context.is_active():
        _LOG.debug("gone", extra={"facts": {"method": path, "namespace": call.namespace or ""}})
        raise  # noqa: PLE0704 - called where an exception is being handled
    _LOG.exception("a call failed in a way that it should not", extra={"facts": {"method": path}})
    call.context.abort(grpc.StatusCode.INTERNAL, "the daemon failed; its log has the details")
