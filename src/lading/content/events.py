"""Events: what has happened, told in this process to whoever wants to know.

An event is emitted after its transaction has ended well, so what it says is so. Those of one thread
come in order; a subscriber that fails fails nobody else, and least of all the call.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from lading.model.closing import Closing
from lading.model.digest import Digest
from lading.model.value import Value

_LOG = logging.getLogger(__name__)


class Event(Value):
    """Something that happened in a namespace; the empty name is for what concerns all of them."""

    namespace: str
    at_ns: int

    topic: ClassVar[str] = ""
    """containerd's name for it, where it has one."""


class BlobCreated(Event):
    """A namespace has a blob that it had not."""

    digest: Digest
    size: int

    topic: ClassVar[str] = "/content/create"


class BlobDeleted(Event):
    """Somebody deleted a blob from a namespace."""

    digest: Digest

    topic: ClassVar[str] = "/content/delete"


class BlobsCollected(Event):
    """The collector deleted blobs from a namespace. A large collection says so piece by piece."""

    digests: tuple[Digest, ...]

    topic: ClassVar[str] = "/content/collect"


class BytesDeleted(Event):
    """The collector deleted the bytes of blobs that no namespace had any more."""

    digests: tuple[Digest, ...]
    size: int

    topic: ClassVar[str] = "/content/bytes/delete"


class ImageCreated(Event):
    """An image was named."""

    name: str

    topic: ClassVar[str] = "/images/create"


class ImageUpdated(Event):
    """An image was changed."""

    name: str

    topic: ClassVar[str] = "/images/update"


class ImageDeleted(Event):
    """An image was deleted."""

    name: str

    topic: ClassVar[str] = "/images/delete"


class NamespaceCreated(Event):
    """A namespace was made by name."""

    topic: ClassVar[str] = "/namespaces/create"


class NamespaceUpdated(Event):
    """A namespace's labels were set."""

    topic: ClassVar[str] = "/namespaces/update"


class NamespaceDeleted(Event):
    """A namespace was deleted."""

    topic: ClassVar[str] = "/namespaces/delete"


class LeaseCreated(Event):
    """A lease began."""

    id: str

    topic: ClassVar[str] = "/leases/create"


class LeaseDeleted(Event):
    """A lease was deleted. One that expires ends without a word."""

    id: str

    topic: ClassVar[str] = "/leases/delete"


class IngestProgress(Event):
    """An ingest has grown. Said now and then, not with every write."""

    ref: str
    offset: int
    total: int | None

    topic: ClassVar[str] = "/ingests/progress"


class Events:
    """Where events are emitted and subscribed to. Any method may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    @property
    def is_heard(self) -> bool:
        """Whether there is a subscriber; who has a large event to make may ask first."""
        return bool(self._subscriptions)

    def emit(self, event: Event) -> None:
        """Tell every subscriber, in this thread. Never raises for what a subscriber does."""
        self._emit_to(event, self._subscriptions)

    def _emit_to(self, event: Event, subscriptions: "Iterable[Subscription]") -> None:
        for subscription in subscriptions:
            try:
                subscription.tell(event)
            except Exception:  # noqa: BLE001 - whatever it is, it is the subscriber's
                _LOG.exception("a subscriber failed at %s", event.topic)

    def subscribe(self, callback: Callable[[Event], object]) -> "Subscription":
        """Call `callback` with each event from now on, in the thread that emits it.

        Ends when the subscription is closed.
        """
        return self._added(Subscription(self, callback))

    def stream(self, *, limit: int = 10_000) -> "EventStream":
        """Iterate over each event from now on. Ends when the stream is closed.

        A reader that is more than `limit` events behind loses the oldest; `lost` counts them.
        """
        stream = EventStream(self, limit)
        self._added(stream)
        return stream

    def _added(self, subscription: "Subscription") -> "Subscription":
        with self._guard:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def _removed(self, subscription: "Subscription") -> None:
        with self._guard:
            self._subscriptions = tuple(
                each for each in self._subscriptions if each is not subscription
            )


class Subscription(Closing):
    """One who wants to know. Made by `Events.subscribe`."""

    def __init__(self, events: Events, callback: Callable[[Event], object]) -> None:
        self._events, self._callback = events, callback

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        self._callback(event)

    def close(self) -> None:
        """Hear no more. Safe to call twice."""
        self._events._removed(self)  # noqa: SLF001 - the two are one thing


class EventStream(Subscription):
    """Events to iterate over. Made by `Events.stream`."""

    def __init__(self, events: Events, limit: int) -> None:
        super().__init__(events, lambda event: None)
        self.lost = 0
        self._limit, self._open = limit, True
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()

    def tell(self, event: Event) -> None:
        """Keep an event for the reader."""
        with self._changed:
            if len(self._waiting) == self._limit:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(event)
            self._changed.notify()

    def close(self) -> None:
        """Hear no more; the reader gets what waits, and then the end."""
        super().close()
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Event]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._waiting:
                    return
                event = self._waiting.popleft()
            yield event
