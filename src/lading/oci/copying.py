"""Copying: a target and everything it points to goes from a registry to a registry.

Within one registry, blobs are mounted from repository to repository. Between two, each blob passes
through: read from where the other side has it up to, hashed, and kept nowhere.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lading.errors import InvalidManifest
from lading.model.descriptor import Descriptor
from lading.model.manifest import is_manifest
from lading.model.reference import Reference
from lading.oci.choosing import Platforms
from lading.oci.graph import Graph, Read, read_graph
from lading.oci.passing import RemoteBytes
from lading.oci.progress import Progress, Resolved
from lading.oci.pushing import Push, check_named, is_foreign, narrowed
from lading.oci.registry import listing
from lading.oci.registry.remote import Remote
from lading.oci.uploads.sessions import UploadSessions

ATTACHED_LIMIT = 1_000
"""Manifests that are attached to one target, and to those."""


def copy_image(
    source_remote: Remote,
    source: Reference,
    target_remote: Remote,
    target: Reference,
    *,
    platform: Platforms,
    sessions: UploadSessions,
    blobs_at_once: int,
    referrers: bool = False,
    progress: Progress,
) -> Descriptor:
    """Copy what a reference stands for, and all it points to, and return what was named.

    With `referrers`, what is attached to any manifest of it comes afterwards, by its digest.

    Of an index that `platform` narrows, that is the one manifest that is for it. Raises `NotFound`
    for a source that is not there; `InvalidArgument` where the target has the digest of something
    else. After a failure the same call goes on where the target's registry is.
    """
    with Push(target_remote, sessions, progress, blobs_at_once) as push:
        origin = push.patient(source_remote)
        read = partial(_manifest, origin)
        found, _ = listing.manifest(origin, source)
        found = narrowed(found, platform, read)
        check_named(target, found)
        push.tell(Resolved(str(source), found))
        is_one_registry = source.host == target.host and source.repository != target.repository
        mounts = (source.repository,) if is_one_registry else ()

        def send(target: Reference, root: Descriptor) -> Graph:
            graph = read_graph(root, read, read_all=partial(_all, push, blobs_at_once))
            push.send(
                graph,
                [blob for blob in graph.blobs if not is_foreign(blob)],
                lambda blob: RemoteBytes(origin, blob, push),
                lambda _: mounts,
            )
            push.publish(target, graph)
            return graph

        graph = send(target, found)
        if referrers:
            _send_attached(origin, source, graph, lambda each: send(target.at(each.digest), each))
    return found


def _send_attached(
    origin: Remote, source: Reference, graph: Graph, send: Callable[[Descriptor], Graph]
) -> None:
    """Send what is attached to the manifests of a graph, and what is attached to that."""
    waiting = [node.descriptor.digest for node in graph.manifests]
    seen = set(waiting)
    while waiting:
        for each in listing.referrers(origin, source.at(waiting.pop())):
            if each.digest in seen or not is_manifest(each.media_type):
                continue
            seen.add(each.digest)
            if len(seen) > ATTACHED_LIMIT:
                raise InvalidManifest(f"more than {ATTACHED_LIMIT} manifests are attached to it")
            sent = send(each)
            waiting += [node.descriptor.digest for node in sent.manifests]


def _manifest(remote: Remote, descriptor: Descriptor) -> bytes:
    if descriptor.data is not None:
        return descriptor.data
    return listing.manifest(remote, remote.reference.at(descriptor.digest))[1]


def _all(push: Push, at_once: int, read: Read, manifests: Sequence[Descriptor]) -> Iterable[bytes]:
    return push.work(read, manifests, at_once=at_once)
