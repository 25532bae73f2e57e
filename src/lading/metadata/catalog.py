"""Metadata: the namespaces over one content store, remembered in one database."""

import time
from collections.abc import Callable, Iterator
from typing import Literal

from lading.content.catalog import Catalog, Found, NamespaceRecord
from lading.content.collection import Collection, IdleIngest, LedgerLine
from lading.content.events import (
    Events,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
)
from lading.content.store import Blob, ContentStore, Ingest, Labels
from lading.database.engine import Database, connect
from lading.database.migrate import bring_up_to_date
from lading.metadata.collector import Collector
from lading.metadata.names import check_name
from lading.metadata.namespace import Namespace
from lading.metadata.namespaces import (
    delete_namespace,
    label_namespace,
    list_namespaces,
)
from lading.metadata.schedule import Thresholds
from lading.metadata.timer import CollectionTimer

_REMEMBERED = 64
"""How many namespaces need not be made again when somebody asks for them."""


class Metadata(Catalog):
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
        events: Events | None = None,
    ) -> None:
        self.content = content
        self.events = events or Events()
        self._clock, self._shared = clock, sharing == "shared"
        self._namespaces: dict[str, Namespace] = {}
        self.database: Database = connect(url)
        self.is_near = self.database.name == "sqlite"
        try:
            bring_up_to_date(self.database)
        except BaseException:
            self.database.close()
            raise

    def namespace(self, name: str) -> Namespace:
        known = self._namespaces.get(name)
        if known is None:
            known = Namespace(
                check_name(name, "namespace"),
                database=self.database,
                content=self.content,
                shared=self._shared,
                clock=self._clock,
                events=self.events,
            )
            if len(self._namespaces) < _REMEMBERED:
                self._namespaces[name] = known
        return known

    def namespaces(self) -> Iterator[NamespaceRecord]:
        return list_namespaces(self.database)

    def label_namespace(
        self, name: str, labels: Labels, *, replace: bool = False
    ) -> NamespaceRecord:
        now_ns = self._clock()
        record, is_new = label_namespace(
            self.database, name, labels, replace=replace, now_ns=now_ns
        )
        event = NamespaceCreated if is_new else NamespaceUpdated
        self.events.emit(event(name, now_ns))
        return record

    def delete_namespace(self, name: str) -> None:
        delete_namespace(self.database, name)
        self.events.emit(NamespaceDeleted(name, self._clock()))

    def collect(self) -> Collection:
        return self._collector().collect()

    def collecting(self, thresholds: Thresholds | None = None) -> CollectionTimer:
        """Collect in a thread of its own, while the timer's `with` block runs."""
        return CollectionTimer(self._collector(), self.events, thresholds, clock=self._clock)

    def ledger(self) -> Iterator[LedgerLine]:
        return self._collector().ledger()

    def idle_ingests(self) -> Iterator[IdleIngest]:
        return self._collector().idle_ingests()

    def unknown_ingests(self) -> Iterator[Ingest]:
        return self._collector().unknown_ingests()

    def orphans(self) -> Iterator[Blob]:
        from lading.metadata.rebuild import orphans  # noqa: PLC0415 - seldom asked for

        return orphans(self)

    def rebuild(self, namespace: str) -> Iterator[Found]:
        from lading.metadata.rebuild import rebuild  # noqa: PLC0415 - ditto

        return rebuild(self, namespace, now_ns=self._clock())

    def _collector(self) -> Collector:
        return Collector(self.database, self.content, self._clock, self.events)

    def close(self) -> None:
        self.database.close()
