"""The contract of metadata: what a catalog of namespaces promises, here or at the other end.

    Catalog    the namespaces over one content store, and their collection
    Scope      a namespace, as a content store that has leases and images beside its blobs
    Lease      the same on behalf of a lease, which holds whatever comes in through it
    Images     the images of a namespace

`metadata` keeps it in a database; `rpc` reaches one in another process, ours or containerd's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Literal, NamedTuple, Self

from lading.content.collection import Collection, IdleIngest, LedgerLine
from lading.content.store import NO_LABELS, Blob, ContentStore, Ingest, Labels
from lading.model.closing import Closing
from lading.model.descriptor import Descriptor

DAY = timedelta(days=1)
ADOPTED = "adopted"
"""The lease that holds what a namespace has adopted."""
OWNER = "lading/owner"
"""The label of a namespace that somebody else collects: no collection of ours takes from it."""


class NamespaceRecord(NamedTuple):
    """A namespace as it is listed."""

    name: str
    created_ns: int
    """0 where the other end does not say."""
    labels: Labels


class LeaseRecord(NamedTuple):
    """A lease as it is listed."""

    id: str
    created_ns: int
    expires_ns: int | None
    """None for a lease that ends when it is deleted."""
    labels: Labels


class Resource(NamedTuple):
    """What a lease holds: `content` by its digest, `ingests` by their ref, `images` by name.

    `snapshots/<snapshotter>` are put down for clients who have such, and keep nothing here.
    """

    kind: str
    id: str


class Image(NamedTuple):
    """A name and its target."""

    name: str
    target: Descriptor
    created_ns: int
    updated_ns: int
    labels: Labels = NO_LABELS


class Found(NamedTuple):
    """Something that the content store and the database do not agree on, and what became of it."""

    kind: Literal["adopted", "resumable", "orphan", "missing"]
    """`adopted`: a blob that has a row now; `resumable`: an ingest that has one; `orphan`: an
    ingest whose ref is too long to have one; `missing`: a blob with a row and without bytes."""
    namespace: str | None
    name: str
    """A digest, or a ref."""
    size: int


class Images(ABC):
    """The images of one namespace."""

    @abstractmethod
    def get(self, name: str) -> Image:
        """Describe an image, or raise `NotFound`."""

    @abstractmethod
    def list(self, *filters: str) -> Iterator[Image]:
        """Every image that any of the filters accepts, in the order of their names.

        Filters see `name`, `target.digest`, `target.mediatype`, `labels.<key>` and
        `annotations.<key>`, as containerd's do.
        """

    @abstractmethod
    def create(
        self, name: str, target: Descriptor, *, labels: Mapping[str, str] | None = None
    ) -> Image:
        """Name a target; `AlreadyExists` if the name is taken. Its blobs may come later."""

    @abstractmethod
    def update(
        self,
        name: str,
        *,
        target: Descriptor | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Sequence[str] = (),
    ) -> Image:
        """Change an image, or raise `NotFound`.

        Without `fields`, target and labels are replaced by what is given. With them, only those:
        `target`, `labels`, `labels.<key>` (deleted where `labels` lacks it), `annotations`.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Take a name away, or raise `NotFound`. What it alone named goes with a collection."""


class Scope(ContentStore):
    """One namespace. It exists from its first blob or ingest on."""

    name: str

    @abstractmethod
    def lease(
        self,
        id: str | None = None,  # noqa: A002 - the word that users type
        *,
        expires_in: timedelta | None = DAY,
        labels: Mapping[str, str] | None = None,
    ) -> "Lease":
        """This namespace again, what comes in through it kept from the collector.

        Makes a lease, which ends after `expires_in`; None for one that has to be ended. Raises
        `AlreadyExists` for an id that is taken.
        """

    @abstractmethod
    def leased(self, id: str) -> "Lease":  # noqa: A002 - the word that users type
        """The same by a lease that is there, or `NotFound`."""

    @abstractmethod
    def leases(self) -> Iterator[LeaseRecord]:
        """Every lease, in the order of their ids."""

    @property
    @abstractmethod
    def images(self) -> Images:
        """The images of the namespace."""


class Lease(Scope):
    """A namespace, on behalf of a lease. As a content store it holds whatever comes in through it.

    Leaving its `with` block normally ends the lease; leaving it by an error keeps it until it
    expires, so that what was fetched is there for the next attempt.
    """

    id: str

    @abstractmethod
    def record(self) -> LeaseRecord:
        """Describe the lease, or raise `NotFound`."""

    @abstractmethod
    def renew(self, expires_in: timedelta = DAY) -> LeaseRecord:
        """Have the lease end at another time, counted from now; `NotFound` if it has ended.

        One that has expired and was not collected yet still holds everything, and may be renewed.
        """

    @abstractmethod
    def resources(self) -> list[Resource]:
        """What the lease holds, in order."""

    @abstractmethod
    def hold(self, resource: Resource) -> None:
        """Have the lease hold something more; `NotFound` if it has ended.

        What it names may come later.
        """

    @abstractmethod
    def release(self, resource: Resource) -> None:
        """Have the lease let go of something; `NotFound` if it does not hold it."""

    @abstractmethod
    def end(self) -> None:
        """Delete the lease, or raise `NotFound`. What it alone held goes with a collection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()


class Catalog(Closing):
    """The namespaces over one content store. Any method may be called from any thread."""

    is_near = False
    """Whether a look-up asks nobody outside of this process, and so takes microseconds."""

    @abstractmethod
    def namespace(self, name: str) -> Scope:
        """The content store of one name; `InvalidArgument` for what can be none."""

    @abstractmethod
    def namespaces(self) -> Iterator[NamespaceRecord]:
        """Every namespace that was used and not deleted, in the order of their names."""

    @abstractmethod
    def label_namespace(
        self, name: str, labels: Labels, *, replace: bool = False
    ) -> NamespaceRecord:
        """Set labels of a namespace, which this makes if it is new."""

    @abstractmethod
    def delete_namespace(self, name: str) -> None:
        """Delete a namespace that is empty; `FailedPrecondition` says what it has."""

    @abstractmethod
    def collect(self) -> Collection:
        """Delete what nothing reaches; `Unavailable` while another collection runs."""

    @abstractmethod
    def ledger(self) -> Iterator[LedgerLine]:
        """What a collection would delete and what it would keep, and why."""

    @abstractmethod
    def idle_ingests(self) -> Iterator[IdleIngest]:
        """Ingests that a collection would end, since nobody has written to them for a day."""

    @abstractmethod
    def unknown_ingests(self) -> Iterator[Ingest]:
        """Ingests of the content store that no namespace knows. No collection ends them."""

    @abstractmethod
    def orphans(self) -> Iterator[Blob]:
        """Every blob of the content store that no namespace has. Changes nothing; in no order."""

    @abstractmethod
    def rebuild(self, namespace: str) -> Iterator[Found]:
        """Have `namespace` adopt every orphan, and tell what is found, as it is found.

        Ingests go back to the namespace that their key in the content store names. May be stopped
        at any point and run again; waits for a collection, then raises `Unavailable`. Reads no
        bytes: that is `verify`'s.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the other end. Safe to call twice."""
