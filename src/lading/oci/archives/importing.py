"""From archives and image layouts into a store.

    file or stream   a tar: of an image layout, or as `docker save` writes it; may be gzip'ed
    folder           an image layout

Nothing is visible before everything is known to be right, and a blob that was on its way when an
import ended is gone on with by the next.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple

from lading.content.catalog import Lease, Scope
from lading.content.store import ContentStore, Labels
from lading.content.transfer import ingest
from lading.errors import (
    AlreadyExists,
    Error,
    InvalidArchive,
    InvalidArgument,
    InvalidManifest,
    NotFound,
    SizeMismatch,
)
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX
from lading.oci.archives.archive import Archive, read_archive
from lading.oci.archives.contents import Contents, FolderContents, StreamContents, TarContents
from lading.oci.archives.names import IMAGE_NAME, REF_NAME, Root, check_name, one_name_each
from lading.oci.archives.source import StreamInput, label_of, tar_input
from lading.oci.archives.staging import Staging
from lading.oci.choosing import Platforms
from lading.oci.graph import Graph, gc_labels, read_graph
from lading.oci.progress import Done, Planned, Progress, nobody

_ADDED = "sha256"
"""What `ContentStore.add` hashes with."""


class Imported(NamedTuple):
    """Something that an archive names, and that is in the store now."""

    name: str | None
    """None for what the archive has no name for, in a store that keeps none either."""
    target: Descriptor


def import_archive(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    into: ContentStore,
    name: str | None = None,
    base_name: str | None = None,
    index_name: str | None = None,
    platform: Platforms = "all",
    progress: Progress = nobody,
) -> list[Imported]:
    """Bring in everything that an archive names, and say what that is.

    Of indexes, what is for `platform`; with `"all"`, what the archive has of them. An image that is
    named by a tag alone is `base_name:tag`, where that is given. With `name`, the one image that
    there is has this name. With `index_name`, the archive's index is kept, too, under that name.

    Into a namespace, everything comes under a lease, which outlives a failure by a day; then it is
    labelled, and images are made or moved, named by their digests where nothing names them.

    Raises `InvalidArchive`, and leaves nothing visible, for what is broken or would do harm;
    `NotFound` for a platform that is not there. After any other failure the same call goes on
    where this one stopped.
    """
    for each in (name, index_name):
        if each is not None:
            check_name(each)
    label = os.fspath(source) if isinstance(source, (str, os.PathLike)) else label_of(source)
    with _leased(into) as store, Staging(store, label, progress) as staging:
        with _opened(source, staging) as contents, _manifests_told(label):
            archive = read_archive(contents, staging, base_name=base_name)
            roots = _renamed(archive, name)
            if index_name is not None:
                roots = (*roots, _index_root(archive, index_name))
            graphs = [_graph(archive, root, platform) for root in roots]
            documents = _staged(archive, graphs, staging)
        staging.commit()
        _add_documents(store, documents, graphs, staging)
        return [_named(into, root) for root in roots]


@contextmanager
def _leased(into: ContentStore) -> Iterator[ContentStore]:
    """A store that keeps from the collector what comes in, where there is one."""
    if isinstance(into, Scope) and not isinstance(into, Lease):
        with into.lease() as lease:
            try:
                yield lease
            except BaseException:
                with suppress(Error):
                    if not lease.resources():
                        lease.end()  # there is nothing to go on with
                raise
    else:
        yield into


@contextmanager
def _opened(source: str | os.PathLike[str] | BinaryIO, staging: Staging) -> Iterator[Contents]:
    if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):  # noqa: PTH112 - any path-like
        yield FolderContents(source)
        return
    with tar_input(source) as tar:
        yield StreamContents(tar, staging) if isinstance(tar, StreamInput) else TarContents(tar)


@contextmanager
def _manifests_told(label: str) -> Iterator[None]:
    """Have what is wrong with a manifest be wrong with the archive."""
    try:
        yield
    except (InvalidManifest, SizeMismatch) as problem:
        raise InvalidArchive(label, f"a manifest of it cannot be: {problem}") from None


def _renamed(archive: Archive, name: str | None) -> tuple[Root, ...]:
    if name is None:
        return one_name_each(archive.roots)
    targets = {root.target.digest: root.target for root in archive.roots}
    if len(targets) != 1:
        raise InvalidArgument(
            f"{archive.label} has {len(targets)} images, and {name!r} can name one; leave the name"
            " away, or name the index of all of them"
        )
    return tuple(Root(name, target) for target in targets.values())


def _index_root(archive: Archive, name: str) -> Root:
    index = archive.index_json
    archive.made[Digest.of(index)] = index
    return Root(name, Descriptor(OCI_INDEX, Digest.of(index), len(index)))


def _graph(archive: Archive, root: Root, platform: Platforms) -> Graph:
    # An archive made for some platforms has the whole index all the same, and not all it names.
    has = archive.has if platform == "all" else lambda _: True
    graph = read_graph(root.target, archive.read, platform=platform, has=has)
    here = {node.descriptor.digest for node in graph.manifests} | {
        blob.digest for blob in graph.blobs
    }
    for node in graph.manifests:
        wanted = node.manifest.manifests
        if wanted and not any(each.digest in here for each in wanted):
            raise InvalidArchive(archive.label, f"it lacks {wanted[0].digest}, which it names")
    return graph


def _staged(archive: Archive, graphs: Sequence[Graph], staging: Staging) -> dict[Digest, bytes]:
    """Bring every blob in as an ingest; return those that are at hand as bytes."""
    blobs = {blob.digest: blob for graph in graphs for blob in graph.blobs}
    for blob in blobs.values():
        # Layers that may not be passed on are fetched from their urls by whoever needs them.
        if not archive.has(blob) and not blob.urls:
            raise InvalidArchive(archive.label, f"it lacks {blob.digest}, which it names")
        staging.tell(Planned(blob))
    documents: dict[Digest, bytes] = {}
    for blob in blobs.values():
        if (data := archive.document(blob)) is not None:
            documents[blob.digest] = data
        elif archive.has(blob):
            archive.check_size(blob)
            if blob.digest not in staging:
                staging.stage_file(blob, archive.place(blob))
    staging.drop(blobs)
    return documents


def _add_documents(
    store: ContentStore,
    documents: Mapping[Digest, bytes],
    graphs: Sequence[Graph],
    staging: Staging,
) -> None:
    """Store what is at hand as bytes, children first."""
    for digest, data in documents.items():
        _add(store, digest, data, None)
    nodes = {node.descriptor.digest: node for graph in graphs for node in graph.manifests}
    for digest, node in nodes.items():
        labels = gc_labels(node.manifest) if isinstance(store, Scope) else None
        _add(store, digest, node.data, labels)
        staging.tell(Done(node.descriptor, len(node.data)))


def _add(store: ContentStore, digest: Digest, data: bytes, labels: Labels | None) -> None:
    if digest.algorithm == _ADDED:
        store.add(data, labels=labels)
    else:
        ingest(store, f"import-{digest}", data, expected=digest, labels=labels)


def _named(into: ContentStore, root: Root) -> Imported:
    """Make the image of a root, or move it, where a store has images."""
    annotations = {
        key: text
        for key, text in root.target.annotations.items()
        if key not in {IMAGE_NAME, REF_NAME}
    }
    target = root.target._replace(annotations=annotations, data=None)
    if not isinstance(into, Scope):
        return Imported(root.name, target)
    name = root.name or str(target.digest)
    while True:  # of who does the same at once, one is first and one is last, and none fails
        with suppress(NotFound):
            into.images.update(name, target=target, fields=["target"])
            break
        with suppress(AlreadyExists):
            into.images.create(name, target)
            break
    return Imported(name, target)
