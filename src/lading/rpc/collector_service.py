"""lading.services.collector.v1.Collector: collections and what is known about them, over a catalog.

All of it concerns every namespace. So a listener that is pinned to one does not answer it.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from lading.content.catalog import Catalog
from lading.errors import PermissionDenied, Unavailable
from lading.rpc.methods import Call, Method, answers, unary
from lading.rpc.protos import collector_pb2 as messages

WAIT = timedelta(minutes=10)
"""How long a call waits for a collection that somebody else runs."""
_PAUSE_SECONDS = 0.05


class SharedCollections:
    """Collections that calls wait for: any number of calls share the next one.

    A collection that runs already may have passed what a call has just let go of; so what a call
    waits for is one that begins after it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._changed = threading.Condition()
        self._runs = False
        self._begun = self._done = 0
        """How many collections have begun, and which was the last to end well."""

    def collect(self, call: Call | None = None, *, wait: timedelta = WAIT) -> None:
        """Return when a collection that began after this call has ended well.

        Raises what a collection raises that fails; `Unavailable` where one of somebody else does
        not end in time, or the caller has gone.
        """
        deadline = time.monotonic() + wait.total_seconds()
        with self._changed:
            wanted = self._begun + 1
        while (number := self._turn(wanted, deadline)) is not None:
            done = 0
            try:
                self._catalog.collect()
                done = number
            except Unavailable:  # somebody else collects: the timer, or another process
                if time.monotonic() > deadline or (call and not call.context.is_active()):
                    raise
            finally:
                self._end(done)
            if done:
                return
            threading.Event().wait(_PAUSE_SECONDS)

    def _turn(self, wanted: int, deadline: float) -> int | None:
        """Wait for the turn to collect; None where a collection that will do has ended."""
        with self._changed:
            while self._runs and self._done < wanted:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise Unavailable("the collection that runs does not end; try again later")
            if self._done >= wanted:
                return None
            self._runs = True
            self._begun += 1
            return self._begun

    def _end(self, done: int) -> None:
        with self._changed:
            self._runs = False
            self._done = max(self._done, done)
            self._changed.notify_all()


class CollectorService:
    """The collector's service."""

    name = "lading.services.collector.v1.Collector"

    def methods(self) -> Mapping[str, Method]:
        """The six calls."""
        return {
            "Collect": unary(messages.CollectRequest, _collect, changes=True),
            "Ledger": answers(messages.LedgerRequest, _ledger),
            "IdleIngests": answers(messages.IdleIngestsRequest, _idle_ingests),
            "UnknownIngests": answers(messages.UnknownIngestsRequest, _unknown_ingests),
            "Orphans": answers(messages.OrphansRequest, _orphans),
            "Rebuild": answers(messages.RebuildRequest, _rebuild, changes=True),
        }


def _catalog(call: Call) -> Catalog:
    if call.pinned:
        raise PermissionDenied(
            "the collector", f"this listener is pinned to the namespace {call.pinned!r}"
        )
    return call.catalog


def _collect(call: Call, request: messages.CollectRequest) -> messages.CollectResponse:
    done = _catalog(call).collect()
    call.facts |= {"blobs": done.blobs, "bytes": done.bytes}
    took = Duration()
    took.FromTimedelta(done.took)
    return messages.CollectResponse(
        blobs=done.blobs,
        bytes=done.bytes,
        rows=done.rows,
        ingests=done.ingests,
        took=took,
        failed=done.failed,
    )


def _ledger(call: Call, request: messages.LedgerRequest) -> Iterator[messages.LedgerLine]:
    for line in _catalog(call).ledger():
        yield messages.LedgerLine(
            namespace=line.namespace, digest=line.digest, size=line.size, reason=line.reason
        )


def _idle_ingests(
    call: Call, request: messages.IdleIngestsRequest
) -> Iterator[messages.IdleIngest]:
    for idle in _catalog(call).idle_ingests():
        yield messages.IdleIngest(namespace=idle.namespace, ref=idle.ref, offset=idle.offset)


def _unknown_ingests(
    call: Call, request: messages.UnknownIngestsRequest
) -> Iterator[messages.UnknownIngest]:
    for ingest in _catalog(call).unknown_ingests():
        yield messages.UnknownIngest(
            ref=ingest.ref,
            offset=ingest.offset,
            total=ingest.total or 0,
            expected=ingest.expected or "",
            started_ns=ingest.started_ns,
            updated_ns=ingest.updated_ns,
        )


def _orphans(call: Call, request: messages.OrphansRequest) -> Iterator[messages.Orphan]:
    for blob in _catalog(call).orphans():
        yield messages.Orphan(
            digest=blob.digest,
            size=blob.size,
            created_ns=blob.created_ns,
            updated_ns=blob.updated_ns,
        )


def _rebuild(call: Call, request: messages.RebuildRequest) -> Iterator[messages.Found]:
    for found in _catalog(call).rebuild(request.namespace):
        yield messages.Found(
            kind=found.kind, namespace=found.namespace, name=found.name, size=found.size
        )
