"""What an image is made of, and the names and labels by which a store holds it together.

    read_graph          a target's manifests and blobs, read with whatever can read a manifest
    stored_manifest     one of them out of a store, and right
    ref_for             the ref under which containerd, too, would fetch a blob
    gc_labels           what keeps the children of a manifest from the collector
    distribution_label  where a blob can be mounted from

Source of the names: containerd's `remotes.MakeRefKey`, `images.ChildGCLabels` and
`docker.AppendDistributionSourceLabel`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from lading.content.store import REF_LIMIT, ContentStore
from lading.errors import DataLoss, InvalidManifest, SizeMismatch
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import (
    DOCKER_CONFIG,
    IMAGES,
    INDEXES,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    Manifest,
    is_manifest,
    read_manifest,
)
from lading.model.reference import Reference
from lading.oci.choosing import Platforms, chosen

DEPTH_LIMIT = 8
"""How many manifests may point to each other in a row. Nobody's tools make more than three."""
MANIFESTS_LIMIT = 4096
BYTES_LIMIT = 32 << 20
"""Bytes of all manifests together: they are in memory until what they point to is there."""
LABEL_LIMIT = 4096
"""Bytes of a label's key and value together: containerd's limit, and the metadata's."""

_CONFIGS = frozenset(
    {
        DOCKER_CONFIG,
        OCI_CONFIG,
        "application/vnd.containerd.container.criu.checkpoint.criu.tar",
        "application/vnd.containerd.container.checkpoint.config.v1+proto",
    }
)
_OCI_LAYER = "application/vnd.oci.image.layer."
_DOCKER_LAYER = "application/vnd.docker.image.rootfs."
_ATTESTATION = "application/vnd.in-toto"
_REF_NAME = "org.opencontainers.image.ref.name"
_GC_REF = "containerd.io/gc.ref.content."
_DISTRIBUTION = "containerd.io/distribution.source."


class Node(NamedTuple):
    """A manifest of a graph, as bytes and as what they say."""

    descriptor: Descriptor
    data: bytes
    manifest: Manifest


class Graph(NamedTuple):
    """Everything that a target reaches, each once."""

    manifests: tuple[Node, ...]
    """What is pointed to before what points to it; the target is the last. None of a blob."""
    blobs: tuple[Descriptor, ...]
    """In the order in which they are pointed to."""


Read = Callable[[Descriptor], bytes]
ReadAll = Callable[[Read, Sequence[Descriptor]], Iterable[bytes]]


def read_graph(
    target: Descriptor,
    read: Read,
    *,
    platform: Platforms = "all",
    read_all: ReadAll = map,
    found: Callable[[Descriptor], object] = lambda _: None,
    has: Callable[[Descriptor], bool] = lambda _: True,
) -> Graph:
    """Read a target's manifests, and theirs, with `read`, and say what there is.

    Indexes are narrowed to `platform`. `read` returns bytes that it knows to be the digest's;
    `read_all` calls it for all manifests of one level, and may do so at once. `found` is told each
    blob and manifest once, as soon as it is known; what an index points to and `has` denies is left
    away. Raises what `read` raises; `InvalidManifest` for what is too deep, too much or contradicts
    itself.
    """
    known: dict[Digest, Descriptor] = {}
    nodes: list[Node] = []
    blobs: list[Descriptor] = []
    size = 0

    def sort(descriptors: Iterable[Descriptor]) -> list[Descriptor]:
        """Tell new blobs, and return new manifests."""
        manifests: list[Descriptor] = []
        for descriptor in descriptors:
            before = known.setdefault(descriptor.digest, descriptor)
            if before is not descriptor:
                _check_same(before, descriptor)
                continue
            found(descriptor)
            (manifests if is_manifest(descriptor.media_type) else blobs).append(descriptor)
        return manifests

    level = sort([target])
    for _ in range(DEPTH_LIMIT):
        children: list[Descriptor] = []
        for descriptor, data in zip(level, read_all(read, level), strict=True):
            size += len(data)
            if size > BYTES_LIMIT:
                raise InvalidManifest(f"its manifests have more than {BYTES_LIMIT} bytes together")
            if len(data) != descriptor.size:
                raise SizeMismatch(descriptor.size, len(data))
            manifest = _read(data, descriptor)
            nodes.append(Node(descriptor, data, manifest))
            wanted = _wanted(manifest, platform)
            children += filter(has, wanted) if manifest.kind == "index" else wanted
        level = sort(children)
        if len(nodes) + len(level) > MANIFESTS_LIMIT:
            raise InvalidManifest(f"it has more than {MANIFESTS_LIMIT} manifests")
        if not level:
            return Graph(_children_first(nodes), tuple(blobs))
    raise InvalidManifest(f"more than {DEPTH_LIMIT} manifests point to each other in a row")


def stored_manifest(store: ContentStore, digest: Digest) -> bytes:
    """The bytes of a manifest in a store, or `NotFound`; `DataLoss` where they are not its own."""
    if store.blob(digest).size > MANIFEST_LIMIT:
        raise DataLoss(digest, f"a manifest of more than {MANIFEST_LIMIT} bytes")
    data = store.read(digest)
    if (actual := Digest.of(data, digest.algorithm)) != digest:
        raise DataLoss(digest, f"its {len(data)} bytes are {actual}")
    return data


def ref_for(descriptor: Descriptor) -> str:
    """The ref of a fetch, as containerd chooses it, so that either goes on with the other's."""
    kind = _kind_of(descriptor.media_type)
    name = descriptor.annotations.get(_REF_NAME)
    if name is not None:
        ref = f"{kind}-{name}@{descriptor.digest}"
        if len(ref) * 4 <= REF_LIMIT:  # in UTF-8 a letter has at most four bytes
            return ref
    return f"{kind}-{descriptor.digest}"


def gc_labels(manifest: Manifest) -> dict[str, str]:
    """The labels that keep the children of a manifest, those that are not here included."""
    labels: dict[str, str] = {}
    counts: dict[str, int] = {}
    for child in manifest.children:
        key = _gc_key(child.media_type)
        count = counts.get(key, 0)
        counts[key] = count + 1
        labels[f"{key}{count}" if count or key.endswith(".") else key] = str(child.digest)
    return labels


def distribution_label(reference: Reference, labels: Mapping[str, str]) -> dict[str, str]:
    """What to add to a blob's `labels` to have them say that `reference` has it, too.

    Nothing where they say so, or where there is no more room.
    """
    key = _distribution_key(reference)
    before = labels.get(key, "")
    after = ",".join(sorted({*filter(None, before.split(",")), reference.repository}))
    if after == before or len(key) + len(after) > LABEL_LIMIT:
        return {}
    return {key: after}


def repositories_of(labels: Mapping[str, str], reference: Reference) -> tuple[str, ...]:
    """The repositories at the reference's registry that have a blob of these labels.

    Its own is not among them.
    """
    found = labels.get(_distribution_key(reference), "").split(",")
    return tuple(name for name in found if name and name != reference.repository)


def _read(data: bytes, descriptor: Descriptor) -> Manifest:
    try:
        return read_manifest(data, descriptor.media_type)
    except InvalidManifest as problem:
        raise InvalidManifest(f"manifest {descriptor.digest}: {problem}") from None


def _wanted(manifest: Manifest, platform: Platforms) -> Sequence[Descriptor]:
    return chosen(manifest, platform) if manifest.kind == "index" else manifest.children


def _check_same(one: Descriptor, another: Descriptor) -> None:
    if one.size != another.size:
        raise InvalidManifest(
            f"{one.digest} is said to have {one.size} bytes, and {another.size} elsewhere"
        )


def _children_first(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Order nodes so that each comes after what it points to.

    What is on a path to itself cannot be, since a digest is made after what it is of; whoever
    says so all the same gets some order.
    """
    by_digest = {node.descriptor.digest: node for node in nodes}
    ordered: dict[Digest, Node] = {}
    begun: set[Digest] = set()
    stack = [(nodes[0], False)] if nodes else []
    while stack:
        node, is_left = stack.pop()
        digest = node.descriptor.digest
        if is_left:
            ordered[digest] = node
        elif digest not in begun:
            begun.add(digest)
            stack.append((node, True))
            stack += [
                (by_digest[child.digest], False)
                for child in reversed(node.manifest.children)
                if child.digest in by_digest
            ]
    return tuple(ordered.values())


def _kind_of(media_type: str) -> str:
    if media_type in IMAGES:
        return "manifest"
    if media_type in INDEXES:
        return "index"
    if _is_layer(media_type):
        return "layer"
    if media_type in _CONFIGS:
        return "config"
    return "attestation" if media_type.startswith(_ATTESTATION) else "unknown"


def _gc_key(media_type: str) -> str:
    if media_type in _CONFIGS:
        return f"{_GC_REF}config"
    if media_type in IMAGES:
        return f"{_GC_REF}m."
    return f"{_GC_REF}l." if _is_layer(media_type) else _GC_REF


def _is_layer(media_type: str) -> bool:
    if media_type.startswith(_OCI_LAYER):
        return True
    kind = media_type.partition("+")[0].removeprefix(_DOCKER_LAYER)
    return media_type.startswith(_DOCKER_LAYER) and kind.removeprefix("foreign.") in {
        "diff.tar",
        "diff.tar.gzip",
        "diff.tar.zstd",
    }


def _distribution_key(reference: Reference) -> str:
    # Without the port, as containerd has it: for whom only the name of the host counts.
    host = reference.host.rpartition("]")[0] or reference.host.partition(":")[0]
    return f"{_DISTRIBUTION}{host.removeprefix('[')}"
