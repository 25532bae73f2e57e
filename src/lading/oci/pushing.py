"""Pushing: a target and everything it points to goes from a store to a registry.

blobs        several at once, each as `uploading` does it
manifests    children first, since a registry takes none whose children it has not got
the target   last, under its tag: who can see the tag can pull all of it
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from datetime import timedelta
from functools import partial

from lading.content import transfer
from lading.content.catalog import Scope
from lading.content.store import ContentStore
from lading.errors import Error, InvalidArgument, NotFound, SizeMismatch
from lading.model.descriptor import Descriptor
from lading.model.manifest import is_index, is_manifest, read_manifest
from lading.model.reference import Reference
from lading.oci.choosing import Platforms, chosen
from lading.oci.crew import Crew
from lading.oci.graph import (
    Graph,
    Read,
    distribution_label,
    read_graph,
    repositories_of,
    stored_manifest,
)
from lading.oci.progress import Planned, Progress, Resolved
from lading.oci.publishing import publish
from lading.oci.registry.remote import Remote
from lading.oci.uploads.bodies import GRACE_S, Bytes, GivenBytes, StoredBytes
from lading.oci.uploads.sessions import UploadSessions
from lading.oci.uploads.uploading import upload

ENDING = timedelta(seconds=GRACE_S + 1)
"""How long a push that was stopped is waited for: chunks that are nearly there may end."""
_SHOWN_LIMIT = 3
_FOREIGN = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)


def push_image(
    remote: Remote,
    reference: Reference,
    target: Descriptor,
    *,
    source: ContentStore,
    platform: Platforms,
    sessions: UploadSessions,
    blobs_at_once: int,
    progress: Progress,
) -> Descriptor:
    """Send a target and everything it points to, name it, and return what was named.

    Of an index that `platform` narrows, that is the one manifest that is for it. Raises `NotFound`
    for what is not in `source`, before anything is sent; `DataLoss` for what is damaged there;
    `InvalidArgument` where the reference has the digest of something else. After a failure the same
    call goes on where the registry is, in another process, too.
    """
    read = partial(_stored, source)
    target = narrowed(target, platform, read)
    check_named(reference, target)
    graph = read_graph(target, read, read_all=partial(_all_stored, source))
    blobs = _sendable(source, graph, target)
    with Push(remote, sessions, progress, blobs_at_once) as push:
        push.tell(Resolved(str(reference), target))
        push.send(graph, blobs, partial(_bytes_of, source), partial(_elsewhere, source, reference))
        push.publish(reference, graph)
    if isinstance(source, Scope):
        _label(source, reference, [*blobs, *(node.descriptor for node in graph.manifests)])
    return target


class Push(Crew):
    """Those who send the parts of one target to a repository."""

    def __init__(
        self, remote: Remote, sessions: UploadSessions, progress: Progress, blobs_at_once: int
    ) -> None:
        super().__init__(progress, remote.patience, ending=ENDING)
        self._remote = self.patient(remote)
        self._sessions, self._at_once = sessions, blobs_at_once

    def patient(self, remote: Remote) -> Remote:
        """The same remote, whose pauses end when this is stopped."""
        remote = copy(remote)
        remote.patience, remote.progress = self.patience, self.tell
        return remote

    def send(
        self,
        graph: Graph,
        blobs: Sequence[Descriptor],
        content: Callable[[Descriptor], Bytes],
        elsewhere: Callable[[Descriptor], Sequence[str]],
    ) -> None:
        """Send blobs: their bytes as `content` has them, unless a repository that is `elsewhere`
        at the registry has them.
        """
        for descriptor in (*blobs, *(node.descriptor for node in graph.manifests)):
            self.tell(Planned(descriptor))

        def send(blob: Descriptor) -> None:
            upload(
                self._remote,
                blob,
                content(blob),
                sessions=self._sessions,
                crew=self,
                mounts=elsewhere(blob),
            )

        # The largest first: the last one to end should not begin last.
        largest_first = sorted(blobs, key=lambda blob: blob.size, reverse=True)
        self.work(send, largest_first, at_once=self._at_once)

    def publish(self, reference: Reference, graph: Graph) -> None:
        """Send the manifests, and name the target."""
        publish(self._remote, reference, graph.manifests, progress=self.tell)


def narrowed(target: Descriptor, platform: Platforms, read: Read) -> Descriptor:
    """The one manifest of a target that is for `platform`; the target where nothing is chosen.

    Its digest is another one than that of an index, which names what is for others, too.
    """
    if platform == "all" or not is_index(target.media_type):
        return target
    found = chosen(read_manifest(read(target), target.media_type), platform)
    if len(found) != 1:
        raise InvalidArgument(
            f"{target.digest} is no image for platforms: it is pushed as a whole, or each of its"
            f" {len(found)} manifests by its digest"
        )
    return narrowed(found[0], platform, read)


def check_named(reference: Reference, target: Descriptor) -> None:
    """Raise `InvalidArgument` where a reference cannot name a target."""
    if not is_manifest(target.media_type):
        raise InvalidArgument(
            f"{target.digest} is {target.media_type}, and a registry names manifests alone"
        )
    if reference.digest is not None and reference.digest != target.digest:
        raise InvalidArgument(f"{reference} is not {target.digest}; name it by a tag")


def is_foreign(blob: Descriptor) -> bool:
    """Whether a layer is for everybody to have from its own URLs, and not from a registry."""
    return bool(blob.urls) and blob.media_type.startswith(_FOREIGN)


def _stored(source: ContentStore, descriptor: Descriptor) -> bytes:
    """The bytes of a manifest, which are right."""
    if descriptor.data is not None:
        return descriptor.data
    return stored_manifest(source, descriptor.digest)


def _all_stored(
    source: ContentStore, read: Read, manifests: Sequence[Descriptor]
) -> Iterable[bytes]:
    _check_there(source, manifests)
    return map(read, manifests)


def _sendable(source: ContentStore, graph: Graph, target: Descriptor) -> Sequence[Descriptor]:
    """The blobs to send, which are there. What everybody has from elsewhere may be missing."""
    blobs = [blob for blob in graph.blobs if not is_foreign(blob) or blob.digest in source]
    _check_there(source, blobs)
    return blobs


def _check_there(source: ContentStore, descriptors: Iterable[Descriptor]) -> None:
    missing = []
    for each in descriptors:
        try:
            size = source.blob(each.digest).size
        except NotFound:
            if each.data is None:
                missing.append(each)
            continue
        if size != each.size:
            transfer.verify(source, each.digest)  # which raises where it is the blob that is wrong
            raise SizeMismatch(each.size, size)
    if missing:
        shown = [
            f"{each.digest} ({each.platform})" if each.platform else str(each.digest)
            for each in missing[:_SHOWN_LIMIT]
        ]
        more = [f"{len(missing) - len(shown)} more"] if len(missing) > len(shown) else []
        raise NotFound(", ".join([*shown, *more]))


def _bytes_of(source: ContentStore, blob: Descriptor) -> Bytes:
    if blob.data is not None and blob.digest not in source:
        return GivenBytes(blob.data)
    return StoredBytes(source, blob.digest)


def _label(source: Scope, reference: Reference, blobs: Iterable[Descriptor]) -> None:
    """Note where blobs are now, so that another repository there can mount them."""
    for blob in blobs:
        # Nobody needs that, and a store that only lends its blobs takes no labels.
        with suppress(Error):
            if labels := distribution_label(reference, source.blob(blob.digest).labels):
                source.label(blob.digest, labels)


def _elsewhere(source: ContentStore, reference: Reference, blob: Descriptor) -> Sequence[str]:
    """Repositories of the same registry that are known to have a blob."""
    try:
        labels = source.blob(blob.digest).labels
    except NotFound:
        return ()
    return repositories_of(labels, reference)
