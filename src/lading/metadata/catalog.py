"""Metadata: the namespaces over one content store, remembered in one database."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Literal, Self

from lading.content.store import ContentStore, Ingest, Labels
from lading.database.engine import Database, connect
from lading.database.migrate import bring_up_to_date
from lading.metadata.collection import IdleIngest
from lading.metadata.collector import Collection, Collector, LedgerLine
from lading.metadata.events import (
    Events,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
)
from lading.metadata.names import check_name
from lading.metadata.namespace import Namespace
from lading.metadata.namespaces import (
    NamespaceRecord,
    delete_namespace,
    label_namespace,
    list_namespaces,
)
from lading.metadata.schedule import Thresholds
from lading.metadata.timer import CollectionTimer


class Metadata:
    """Any number of processes may share one database and its content store.

    Opening brings the database up to date. `shared` lets who names a digest have the blob of
    another namespace without sending it; `isolated` wants the bytes, and stores them once as well.
    """

    def __init__(
        self,
        url: str,
        *,
        content: ContentStore,
        sharing: Literal["shared", "isolated"] = "shared",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.content = content
        self.events = Events()
        self._clock, self._shared = clock, sharing == "shared"
        self.database: Database = connect(url)
        try:
            bring_up_to_date(self.database)
        except BaseException:
            self.database.close()
            raise

    def namespace(self, name: str) -> Namespace:
        """The content store of one name; `InvalidArgument` for what can be none."""
        return Namespace(
            check_name(name, "namespace"),
            database=self.database,
            content=self.content,
            shared=self._shared,
            clock=self._clock,
            events=self.events,
        )

    def namespaces(self) -> Iterator[NamespaceRecord]:
        """Every namespace that was used and not deleted, in the order of their names."""
        return list_namespaces(self.database)

    def label_namespace(
        self, name: str, labels: Labels, *, replace: bool = False
    ) -> NamespaceRecord:
        """Set labels of a namespace, which this makes if it is new."""
        now_ns = self._clock()
        record, is_new = label_namespace(
            self.database, name, labels, replace=replace, now_ns=now_ns
        )
        event = NamespaceCreated if is_new else NamespaceUpdated
        self.events.emit(event(name, now_ns))
        return record

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace that is empty; `FailedPrecondition` says what it has."""
        delete_namespace(self.database, name)
        self.events.emit(NamespaceDeleted(name, self._clock()))

    def collect(self) -> Collection:
        """Delete what nothing reaches; `Unavailable` while another collection runs."""
        return self._collector().collect()

    def collecting(self, thresholds: Thresholds | None = None) -> CollectionTimer:
        """Collect in a thread of its own, while the timer's `with` block runs."""
        return CollectionTimer(self._collector(), self.events, thresholds, clock=self._clock)

    def ledger(self) -> Iterator[LedgerLine]:
        """What a collection would delete and what it would keep, and why."""
        return self._collector().ledger()

    def idle_ingests(self) -> Iterator[IdleIngest]:
        """Ingests that a collection would end, since nobody has written to them for a day."""
        return self._collector().idle_ingests()

    def unknown_ingests(self) -> Iterator[Ingest]:
        """Ingests of the content store that no namespace knows. No collection ends them."""
        return self._collector().unknown_ingests()

    def _collector(self) -> Collector:
        return Collector(self.database, self.content, self._clock, self.events)

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
