"""Pulling: everything that a reference stands for comes into a store.

    what it stands for     → the manifests   → the blobs, several at once → the manifests → its name
    at the registry, now     into memory        each resumed                children first

So a manifest in the store means that all it points to was there. A lease holds everything on its
way; a pull that fails leaves it for the next one.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import partial
from threading import BoundedSemaphore

from lading.content.catalog import Images, Scope
from lading.content.store import NO_LABELS, ContentStore, Labels
from lading.errors import AlreadyExists, DataLoss, InvalidArgument, NotFound, Unavailable
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.reference import Reference
from lading.oci.choosing import Platforms
from lading.oci.crew import Crew
from lading.oci.fetching.download import fetch
from lading.oci.graph import (
    Graph,
    Node,
    Read,
    distribution_label,
    gc_labels,
    read_graph,
    ref_for,
    stored_manifest,
)
from lading.oci.leasing import RENEWAL, PullLease, lease_of
from lading.oci.progress import Done, Found, Planned, Progress, Resolved, nobody
from lading.oci.registry.origins import origins_of
from lading.oci.registry.remote import Remote
from lading.oci.registry.resolving import manifest, resolve

LARGE = 4 << 20
"""Bytes from which on a blob keeps cores and disk busy; a smaller one mostly waits for them."""
LARGE_AT_ONCE, SMALL_AT_ONCE = 3, 6
_PASSES = 8
"""How often a pull begins to store anew, since another one of the same has ended its lease."""


def pull_image(
    remote: Remote,
    reference: Reference,
    *,
    into: ContentStore,
    platform: Platforms,
    name: str | None = None,
    blobs_at_once: int | None,
    streams: int,
    progress: Progress = nobody,
) -> Descriptor:
    """Bring an image, or an artifact, and all it points to, into a store; say what it is.

    In a namespace it is named as well, and what it is made of is labelled, for the collector and
    for whoever pushes it. What the store has already is not fetched. A failure keeps all that was
    moved, and a signal, or a function that raises instead of taking its step, is one.
    """
    remote = copy(remote)
    remote.progress = progress
    target = resolve(remote, reference)
    progress(Resolved(str(reference), target))
    crew_of = partial(_Pull, remote, progress, blobs_at_once, streams)
    with crew_of() as pull:
        graph = pull.read(target, platform, into)
    if not isinstance(into, Scope):
        with crew_of() as pull:
            pull.bring(graph, into)
        return target
    for _ in range(_PASSES):
        lease = lease_of(into, reference)
        try:
            with crew_of() as pull:
                pull.bring(graph, lease.store, lease)
            _name(lease.store.images, name or str(reference), target)
        except NotFound:
            if lease.has_lasted:
                raise
        if lease.has_lasted:
            lease.end()
            return target
    raise Unavailable(f"{reference}: others pull it all the time, and end its lease")


def pull_blob(
    remote: Remote,
    reference: Reference,
    *,
    into: ContentStore,
    streams: int,
    labels: Labels | None = None,
    progress: Progress = nobody,
) -> Descriptor:
    """Bring one blob that the reference names by its digest, and nothing that it points to."""
    if reference.digest is None:
        raise InvalidArgument(f"{reference} names no blob; write {reference.name}@sha256:…")
    remote = copy(remote)
    remote.progress = progress
    blob = resolve(remote, reference)
    progress(Resolved(str(reference), blob))
    progress(Planned(blob))
    with _Pull(remote, progress, blobs_at_once=1, streams=streams) as pull:
        pull.fetch_one(blob, into, labels)
    return blob


class _Pull(Crew):
    """Those who pull from a repository."""

    def __init__(
        self, remote: Remote, progress: Progress, blobs_at_once: int | None, streams: int
    ) -> None:
        super().__init__(progress, remote.patience)
        self._remote = copy(remote)
        self._remote.patience, self._remote.progress = self.patience, self.tell
        self._at_once, self._streams = blobs_at_once or SMALL_AT_ONCE, streams
        self._large = BoundedSemaphore(blobs_at_once or LARGE_AT_ONCE)

    def read(self, target: Descriptor, platform: Platforms, store: ContentStore) -> Graph:
        """Read all manifests, those that are there from the store."""
        return read_graph(
            target,
            partial(self._manifest, store),
            platform=platform,
            read_all=self._read_all,
            found=lambda descriptor: self.tell(Planned(descriptor)),
        )

    def bring(self, graph: Graph, store: ContentStore, lease: PullLease | None = None) -> None:
        """Bring the blobs, and then the manifests."""
        self.work(
            partial(self._fetch_in_turn, store),
            # The largest first: begun last, it would be waited for while nothing else moves.
            sorted(graph.blobs, key=lambda blob: blob.size, reverse=True),
            at_once=self._at_once,
            meanwhile=lease.renew if lease else None,
            every=RENEWAL if lease else None,
        )
        for node in graph.manifests:
            self.check()
            self._add(node, store)

    def fetch_one(self, blob: Descriptor, store: ContentStore, labels: Labels | None) -> None:
        """Bring one blob as it is."""
        self.work(lambda blob: self._fetch(blob, store, labels), [blob], at_once=1)

    def _fetch_in_turn(self, store: ContentStore, blob: Descriptor) -> None:
        # Whoever waits here waits for others of the crew, who end when it is stopped.
        turn: AbstractContextManager[object] = self._large if blob.size >= LARGE else nullcontext()
        with turn:
            self.check()
            self._fetch(blob, store, self._labels(store, blob))

    def _fetch(self, blob: Descriptor, store: ContentStore, labels: Labels | None) -> None:
        fetch(
            store,
            ref_for(blob),
            blob,
            origins_of(self._remote, blob, self),
            patience=self.patience,
            streams=self._streams,
            labels=labels or None,
            progress=self.tell,
        )

    def _add(self, node: Node, store: ContentStore) -> None:
        blob, labels = node.descriptor, self._labels(store, node.descriptor)
        if labels is not None:
            labels |= gc_labels(node.manifest)
        if blob.digest.algorithm != "sha256":
            self._fetch(blob._replace(data=node.data), store, labels)
            return
        was_there = blob.digest in store
        store.add(node.data, labels=labels)
        self.tell(Found(blob) if was_there else Done(blob, len(node.data)))

    def _labels(self, store: ContentStore, blob: Descriptor) -> dict[str, str] | None:
        """The labels that say where a blob can be had; None where a store keeps none."""
        if not isinstance(store, Scope):
            return None
        try:
            before = store.blob(blob.digest).labels
        except NotFound:
            before = NO_LABELS
        return distribution_label(self._remote.reference, before)

    def _read_all(self, read: Read, manifests: Sequence[Descriptor]) -> Iterable[bytes]:
        return self.work(read, manifests, at_once=self._at_once)

    def _manifest(self, store: ContentStore, descriptor: Descriptor) -> bytes:
        data = descriptor.data or _stored(store, descriptor.digest)
        if data is None:
            reference = self._remote.reference.at(descriptor.digest)
            _, data = manifest(self._remote, reference)
        return data


def _stored(store: ContentStore, digest: Digest) -> bytes | None:
    """The bytes of a manifest, if the store has them, and they are right."""
    try:
        return stored_manifest(store, digest)
    except (NotFound, DataLoss):
        return None


def _name(images: Images, name: str, target: Descriptor) -> None:
    """Have a name stand for the target, whatever it stood for. Its labels stay."""
    bare = Descriptor(target.media_type, target.digest, target.size)
    while True:
        try:
            images.create(name, bare)
        except AlreadyExists:
            try:
                images.update(name, target=bare, fields=["target"])
            except NotFound:
                continue  # deleted just now
        return
