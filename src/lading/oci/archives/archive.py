"""An archive of images, as it was read: what it is about, and where in it the blobs are."""

from typing import Any, NamedTuple

from lading.errors import InvalidArchive, InvalidArgument, InvalidManifest
from lading.model.descriptor import Descriptor, json_of
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX, read_manifest
from lading.oci.archives.contents import Contents, path_of
from lading.oci.archives.docker import MANIFEST, compact, json_value, saved_images
from lading.oci.archives.names import Root, annotations_of, name_of
from lading.oci.archives.staging import Place, Staging

INDEX = "index.json"
MARK = "oci-layout"
VERSION = "1.0.0"
_VERSION = "imageLayoutVersion"


class Archive(NamedTuple):
    """What an archive is about. Nothing in it was believed but its own form."""

    label: str
    contents: Contents
    roots: tuple[Root, ...]
    index_json: bytes
    """Its index, or the one that an archive of docker's would have."""
    made: dict[Digest, bytes]
    """Blobs that are at hand."""
    layers: dict[Digest, str]
    """Where layers are that do not lie where an image layout has them."""

    def has(self, blob: Descriptor) -> bool:
        """Whether it has a blob, right or wrong."""
        if blob.digest in self.made or blob.data is not None:
            return True
        return self.contents.size_of(self._name(blob.digest)) is not None

    def read(self, blob: Descriptor) -> bytes:
        """Read a manifest, or raise `InvalidArchive` where it is not there, or is another one."""
        data = self.document(blob)
        if data is None:
            name = self._name(blob.digest)
            if self.contents.size_of(name) is None:
                raise InvalidArchive(self.label, f"it lacks {blob.digest}, which it names")
            data = self.contents.read(name)
            self._check(blob, data)
        return data

    def document(self, blob: Descriptor) -> bytes | None:
        """The bytes of a blob that is at hand; None for one that is in a file."""
        data = self.made.get(blob.digest, blob.data)
        if data is None:
            data = self.contents.kept(self._name(blob.digest))
            if data is not None:
                self._check(blob, data)
        return data

    def check_size(self, blob: Descriptor) -> None:
        """Raise `InvalidArchive` for a file of another size than the blob's."""
        size = self.contents.size_of(self._name(blob.digest))
        if size != blob.size:
            raise self._other_size(blob, size)

    def place(self, blob: Descriptor) -> Place:
        """Where a blob can be read."""
        name = self._name(blob.digest)
        return lambda: self.contents.place(name)

    def _other_size(self, blob: Descriptor, size: int | None) -> InvalidArchive:
        return InvalidArchive(
            self.label, f"it has {size} bytes of {blob.digest}, which it says has {blob.size}"
        )

    def _name(self, digest: Digest) -> str:
        return self.layers.get(digest) or path_of(digest)

    def _check(self, blob: Descriptor, data: bytes) -> None:
        if len(data) != blob.size:
            raise self._other_size(blob, len(data))
        if (actual := Digest.of(data, blob.digest.algorithm)) != blob.digest:
            raise InvalidArchive(self.label, f"what it has as {blob.digest} is {actual}")


def read_archive(contents: Contents, staging: Staging, *, base_name: str | None = None) -> Archive:
    """Read what an archive is about, or raise `InvalidArchive`."""
    try:
        if contents.size_of(MARK) is not None:
            return read_index(contents, base_name)
        if contents.size_of(MANIFEST) is not None:
            return _saved(contents, staging)
    except InvalidArgument as problem:
        raise InvalidArchive(contents.label, str(problem)) from None
    raise InvalidArchive(
        contents.label,
        f"it is no archive of images: it has neither {MARK} and {INDEX} nor {MANIFEST}",
    )


def check_mark(label: str, value: Any) -> None:
    """Raise `InvalidArchive` for what says that it is no image layout of ours."""
    version = value.get(_VERSION) if isinstance(value, dict) else None
    if not isinstance(version, str) or not version.startswith("1."):
        raise InvalidArchive(label, f"its {MARK} says version {str(version)[:40]!r}, not {VERSION}")


def read_index(contents: Contents, base_name: str | None = None) -> Archive:
    """Read what an image layout is about, or raise `InvalidArchive`."""
    label = contents.label
    check_mark(label, json_value(contents, MARK))
    if contents.size_of(INDEX) is None:
        raise InvalidArchive(label, f"it lacks {INDEX}")
    data = contents.read(INDEX)
    try:
        index = read_manifest(data, OCI_INDEX)
    except InvalidManifest as problem:
        raise InvalidArchive(label, f"its {INDEX}: {problem}") from None
    roots = (Root(name_of(each.annotations, base_name), each) for each in index.manifests)
    return Archive(label, contents, tuple(roots), data, {}, {})


def _saved(contents: Contents, staging: Staging) -> Archive:
    roots: list[Root] = []
    made: dict[Digest, bytes] = {}
    layers: dict[Digest, str] = {}
    entries = []
    for image in saved_images(contents, staging):
        made |= image.made
        layers |= image.layers
        for name in image.names or (None,):
            roots.append(Root(name, image.manifest))
            annotations = annotations_of(name) if name else {}
            entries.append(json_of(image.manifest._replace(annotations=annotations)))
    index = compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    return Archive(contents.label, contents, tuple(roots), index, made, layers)
