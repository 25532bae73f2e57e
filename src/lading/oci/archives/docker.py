"""What `docker save` writes: `manifest.json`, which names a config and layers by their paths.

    [{"Config": "….json", "RepoTags": ["redis:7"], "Layers": ["…/layer.tar", …]}]

Such an archive has no manifests, so that they are made here, byte by byte as containerd makes
them: whoever imports the same archive has the same digest. Source: docker's image specification
v1.2, "Combined Image JSON + Filesystem Changeset Format"; containerd's `images/archive`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from lading.errors import InvalidArchive, InvalidDigest, InvalidReference
from lading.model.descriptor import Descriptor, json_of
from lading.model.digest import Digest
from lading.model.manifest import (
    CHILDREN_LIMIT,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Manifest,
)
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.archives.contents import Contents, digest_named, path_of
from lading.oci.archives.staging import Place, Staging
from lading.oci.archives.tar import inside, shown

MANIFEST = "manifest.json"
IMAGES_LIMIT = 1000
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Saved(NamedTuple):
    """An image of such an archive."""

    manifest: Descriptor
    names: tuple[str, ...]
    made: dict[Digest, bytes]
    """The manifest and the config, which are at hand."""
    layers: dict[Digest, str]
    """Where in the archive the layers are."""


def saved_images(contents: Contents, staging: Staging) -> Iterator[Saved]:
    """Read the images of an archive, or raise `InvalidArchive`."""
    value = json_value(contents, MANIFEST)
    if not isinstance(value, list) or len(value) > IMAGES_LIMIT:
        raise InvalidArchive(contents.label, f"its {MANIFEST} is no list of images")
    for each in value:
        if not isinstance(each, dict):
            raise InvalidArchive(contents.label, f"its {MANIFEST} has an image that is no object")
        yield _saved(contents, each, staging)


def json_value(contents: Contents, name: str) -> Any:
    """Parse a document of an archive; `InvalidArchive` for what is none."""
    try:
        return json.loads(contents.read(name))
    except (ValueError, RecursionError):
        raise InvalidArchive(contents.label, f"its {shown(name)} is no JSON") from None


def manifest_json(images: Iterable[tuple[Manifest, Sequence[str]]]) -> bytes:
    """Write `manifest.json` over the blobs of an image layout, of images and their names."""
    return compact(
        [
            {
                "Config": path_of(manifest.config.digest),
                "RepoTags": [familiar(name) for name in names],
                "Layers": [path_of(layer.digest) for layer in manifest.layers],
            }
            for manifest, names in images
            if manifest.config is not None
        ]
    )


def compact(value: object) -> bytes:
    """JSON without a blank in it, as Go writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def familiar(name: str) -> str:
    """A reference as docker shows it: without what goes without saying."""
    try:
        reference = Reference.parse(name)
    except InvalidReference:
        return name
    short = str(reference).removeprefix("docker.io/")
    return short.removeprefix("library/") if short != str(reference) else short


def _saved(contents: Contents, image: dict[str, Any], staging: Staging) -> Saved:
    label = contents.label
    config_name = _file(contents, image.get("Config"))
    config = contents.read(config_name)
    parsed = json_value(contents, config_name)
    paths = _texts(label, image.get("Layers"), "Layers")
    diff_ids = _diff_ids(label, parsed)
    if len(paths) != len(diff_ids):
        raise InvalidArchive(label, f"its {MANIFEST} has {len(paths)} layers of {len(diff_ids)}")
    layers: list[Descriptor] = []
    places: dict[Digest, str] = {}
    for path, diff_id in zip(paths, diff_ids, strict=True):
        name = _file(contents, path)
        layer = _layer(contents, name, diff_id, staging)
        layers.append(layer)
        places[layer.digest] = name
    config_blob = Descriptor(DOCKER_CONFIG, Digest.of(config), len(config))
    manifest = compact(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": json_of(config_blob),
            "layers": [json_of(layer) for layer in layers],
        }
    )
    target = Descriptor(
        DOCKER_MANIFEST, Digest.of(manifest), len(manifest), platform=_platform_of(parsed)
    )
    tags = _texts(label, image.get("RepoTags"), "RepoTags")
    made = {config_blob.digest: config, target.digest: manifest}
    return Saved(target, tuple(_whole_name(label, tag) for tag in tags), made, places)


def _layer(contents: Contents, name: str, diff_id: Digest, staging: Staging) -> Descriptor:
    """Describe a layer. One that is not compressed has the digest that the config says."""
    size = contents.size_of(name)
    assert size is not None
    first = contents.first_bytes(name)
    compression = next(
        (way for mark, way in ((_GZIP, ".gzip"), (_ZSTD, ".zstd")) if first.startswith(mark)), ""
    )
    digest = contents.digest_of(name)
    if digest is None and compression:
        digest = digest_named(name) or staging.stage_unknown(size, _place(contents, name))
    if not compression:
        if digest not in {None, diff_id}:
            raise InvalidArchive(
                contents.label, f"the layer {shown(name)} is {digest}, and should be {diff_id}"
            )
        digest = diff_id
    assert digest is not None
    return Descriptor(f"{DOCKER_LAYER}{compression}", digest, size)


def _place(contents: Contents, name: str) -> Place:
    return lambda: contents.place(name)


def _file(contents: Contents, name: object) -> str:
    if not isinstance(name, str):
        raise InvalidArchive(contents.label, f"its {MANIFEST} names a file that is no text")
    plain = inside(contents.label, name)
    if contents.size_of(plain) is None:
        raise InvalidArchive(contents.label, f"it lacks {shown(name)}, which it names")
    return plain


def _texts(label: str, value: object, what: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > CHILDREN_LIMIT:
        raise InvalidArchive(label, f"the {what} of its {MANIFEST} are no list of texts")
    if not all(isinstance(text, str) for text in value):
        raise InvalidArchive(label, f"the {what} of its {MANIFEST} are no list of texts")
    return value


def _diff_ids(label: str, config: Any) -> list[Digest]:
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    texts = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    try:
        return [Digest.parse(text) for text in _texts(label, texts, "layers")]
    except InvalidDigest as refusal:
        raise InvalidArchive(label, f"a config of it says: {refusal}") from None


def _platform_of(config: dict[str, Any]) -> Platform | None:
    parts = [config.get(name) or "" for name in ("os", "architecture", "variant", "os.version")]
    if not all(isinstance(part, str) for part in parts) or not (parts[0] and parts[1]):
        return None
    return Platform.of(*parts)


def _whole_name(label: str, tag: str) -> str:
    try:
        return str(Reference.parse(tag))
    except InvalidReference as refusal:
        raise InvalidArchive(label, str(refusal)) from None
