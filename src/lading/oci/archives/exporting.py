"""From a store into archives and image layouts.

    folder           an image layout, to which the images are added
    file or stream   a tar of one; with `format="docker"`, one that `docker load` reads, too

Everything is looked for before the first byte is written, and every blob is verified on its way.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import BinaryIO, Literal, cast

from lading.content.catalog import Image
from lading.content.store import ContentStore
from lading.errors import DataLoss, InvalidArgument, InvalidManifest, NotFound
from lading.model.descriptor import Descriptor, json_of
from lading.model.digest import Digest
from lading.model.manifest import (
    DOCKER_CONFIG,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    OCI_INDEX,
    Manifest,
    is_index,
)
from lading.model.platform import Platform
from lading.oci.archives.archive import INDEX, MARK, VERSION
from lading.oci.archives.docker import MANIFEST, compact, manifest_json
from lading.oci.archives.importing import Imported
from lading.oci.archives.layout import ImageLayout
from lading.oci.archives.names import IMAGE_NAME, REF_NAME, Root, annotations_of, check_name
from lading.oci.archives.new_file import new_file, write_all
from lading.oci.archives.verified_copy import VerifiedCopy
from lading.oci.archives.writer import write_archive
from lading.oci.choosing import Platforms, chosen
from lading.oci.graph import Graph, Node, read_graph
from lading.oci.progress import Planned, Progress, nobody

Target = Descriptor | Image | Imported
Format = Literal["oci", "docker"]


def export_archive(
    targets: Target | Iterable[Target],
    to: str | os.PathLike[str] | BinaryIO,
    *,
    source: ContentStore,
    format: Format = "oci",  # noqa: A002 - the word that users type
    platform: Platforms = "all",
    progress: Progress = nobody,
) -> tuple[Descriptor, ...]:
    """Write targets and all they point to, and say what they are. An `Image` keeps its name.

    `to` that is a folder, or a text that ends with `/`, is an image layout, and whatever else it
    has stays. A file appears when it is whole, a stream may get bytes that are not to be used. Of
    indexes, what is for `platform`; the index itself stays as it is.

    Raises `NotFound` before anything is written where a blob is missing, and `DataLoss` for one
    that is not what it was, leaving no file, and a layout that does not name it.
    """
    if format not in {"oci", "docker"}:
        raise InvalidArgument(f"{format!r} is no format; write oci or docker")
    roots = _roots(targets)
    graphs = [_graph(source, root, platform) for root in roots]
    blobs = _blobs(source, graphs)
    for blob in blobs:
        progress(Planned(blob))
    folder = _folder_of(to)
    if folder is not None:
        if format == "docker":
            raise InvalidArgument("docker reads no folders; name a file, or choose the format oci")
        _write_layout(ImageLayout(folder), roots, blobs, source, progress)
    else:
        documents = {
            INDEX: compact(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_INDEX,
                    "manifests": [json_of(root.target) for root in roots],
                }
            ),
            MARK: compact({"imageLayoutVersion": VERSION}),
        }
        if format == "docker":
            documents[MANIFEST] = manifest_json(_docker_images(roots, graphs, platform))
        _write_file(to, documents, blobs, source, progress)
    return tuple(root.target for root in roots)


def _roots(targets: Target | Iterable[Target]) -> list[Root]:
    """Targets as an index names them, in an order that does not depend on who asked."""
    each = [targets] if isinstance(targets, (Descriptor, Image, Imported)) else list(targets)
    if not each:
        raise InvalidArgument("there is nothing to export; name an image or a digest")
    found: dict[tuple[str, Digest], Root] = {}
    for target in each:
        root = _root(target)
        found[root.name or "", root.target.digest] = root
    return [found[key] for key in sorted(found)]


def _root(target: Target) -> Root:
    name = None if isinstance(target, Descriptor) else target.name
    descriptor = target if isinstance(target, Descriptor) else target.target
    annotations = dict(descriptor.annotations)
    if name == descriptor.digest:
        name = None  # what has no name is kept under its digest
    if name is not None:
        annotations = {**annotations, **annotations_of(check_name(name))}
    name = name or annotations.get(IMAGE_NAME) or annotations.get(REF_NAME)
    sorted_ones = {key: annotations[key] for key in sorted(annotations)}
    return Root(name, descriptor._replace(annotations=sorted_ones, data=None))


def _graph(source: ContentStore, root: Root, platform: Platforms) -> Graph:
    try:
        return read_graph(root.target, lambda blob: _read(source, blob), platform=platform)
    except NotFound as missing:
        if platform != "all" or not is_index(root.target.media_type):
            raise
        raise NotFound(f"{missing.what} of the index {root.target.digest}", "blob") from None


def _read(source: ContentStore, blob: Descriptor) -> bytes:
    """Read a manifest, or raise `NotFound`, or `DataLoss` for one that is not what it was."""
    if blob.size > MANIFEST_LIMIT:
        raise InvalidManifest(f"{blob.digest} of {blob.size} bytes is too long for a manifest")
    _check(source, blob)
    data = source.read(blob.digest)
    if (actual := Digest.of(data, blob.digest.algorithm)) != blob.digest:
        raise DataLoss(blob.digest, f"its bytes are {actual}")
    return data


def _check(source: ContentStore, blob: Descriptor) -> None:
    size = source.blob(blob.digest).size
    if size != blob.size:
        raise InvalidManifest(f"{blob.digest} has {size} bytes, and is said to have {blob.size}")


def _blobs(source: ContentStore, graphs: Sequence[Graph]) -> list[Descriptor]:
    """Everything there is to write, each once, children first; or `NotFound`."""
    blobs = {blob.digest: blob for graph in graphs for blob in graph.blobs}
    for digest, blob in list(blobs.items()):
        try:
            _check(source, blob)
        except NotFound:
            # A layer that may not be passed on is fetched from its urls by whoever needs it.
            if not blob.urls:
                raise
            del blobs[digest]
    nodes = {
        node.descriptor.digest: node.descriptor for graph in graphs for node in graph.manifests
    }
    return [*blobs.values(), *nodes.values()]


def _folder_of(to: str | os.PathLike[str] | BinaryIO) -> str | None:
    if not isinstance(to, (str, os.PathLike)):
        return None
    path = os.fspath(to)
    return path if path.endswith(os.sep) or os.path.isdir(path) else None  # noqa: PTH112 - any path-like


def _write_layout(
    layout: ImageLayout,
    roots: Sequence[Root],
    blobs: Sequence[Descriptor],
    source: ContentStore,
    progress: Progress,
) -> None:
    layout.make()
    with VerifiedCopy() as copier:
        for blob in blobs:
            with source.open(blob.digest) as file:
                layout.add(blob, file, copier, progress)
    layout.name(roots)


def _write_file(
    to: str | os.PathLike[str] | BinaryIO,
    documents: Mapping[str, bytes],
    blobs: Sequence[Descriptor],
    source: ContentStore,
    progress: Progress,
) -> None:
    def write_with(write: Callable[[bytes | memoryview], object]) -> None:
        write_archive(write, documents=documents, blobs=blobs, source=source, progress=progress)

    if isinstance(to, (str, os.PathLike)):
        with new_file(to, follows_links=True) as file:
            write_with(lambda data: write_all(file, data))
    else:
        write_with(_whole_writer(to))
        to.flush()


def _whole_writer(stream: BinaryIO) -> Callable[[bytes | memoryview], object]:
    """Write all of a piece, also to a stream that takes a part at a time."""

    def write(data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            count = cast("int | None", stream.write(view))
            view = view[len(view) if count is None else count :]

    return write


def _docker_images(
    roots: Sequence[Root], graphs: Sequence[Graph], platform: Platforms
) -> list[tuple[Manifest, list[str]]]:
    """The images, of which docker knows one for each name."""
    found: dict[Digest, tuple[Manifest, list[str]]] = {}
    for root, graph in zip(roots, graphs, strict=True):
        node = _image_of(root, graph, platform)
        names = found.setdefault(node.descriptor.digest, (node.manifest, []))[1]
        if root.name is not None:
            names.append(root.name)
    return list(found.values())


def _image_of(root: Root, graph: Graph, platform: Platforms) -> Node:
    by_digest = {node.descriptor.digest: node for node in graph.manifests}
    if not by_digest:
        raise InvalidArgument(f"{root.target.digest} is no image; docker reads nothing else")
    node = by_digest[root.target.digest]
    while node.manifest.kind == "index":
        wanted: Platform | None = None if platform == "all" else platform
        node = by_digest[chosen(node.manifest, wanted)[0].digest]
    config = node.manifest.config
    if config is None or config.media_type not in {OCI_CONFIG, DOCKER_CONFIG}:
        raise InvalidArgument(
            f"{root.name or root.target.digest} is no image that runs; docker reads nothing else,"
            " so choose the format oci"
        )
    return node
