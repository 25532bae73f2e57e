"""Manifests and indexes, of OCI and of docker: what points to what.

    index      platforms, or parts of an artifact:  manifests → …
    image      config and layers; an artifact is one, too
    anything else has no children, and is a blob like others

Nothing in here is trusted: bytes come from a registry or from an archive. Source: OCI image-spec
1.1, manifest and image index; docker's image manifest V2, schema 2.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from lading.errors import InvalidManifest
from lading.model.descriptor import (
    Descriptor,
    check_names,
    descriptor_of,
    is_media_type,
    texts_of,
)

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest: the distribution-spec's own limit."""
CHILDREN_LIMIT = 10_000

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
MANIFESTS = INDEXES | IMAGES
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
"""What to ask a registry for, in this order."""
_FIELDS = {
    *("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject"),
    "annotations",
}
_OLD = "application/vnd.docker.distribution.manifest.v1"


class Manifest(NamedTuple):
    """A manifest that was read. An image has a config and layers, an index has manifests."""

    kind: Literal["image", "index"]
    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    """What it was attached to. It is no child: it need not be where this is."""
    artifact_type: str | None
    annotations: Mapping[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """What has to be there before this is."""
        config = () if self.config is None else (self.config,)
        return (*self.manifests, *config, *self.layers)


def read_manifest(data: bytes, media_type: str | None = None) -> Manifest:
    """Read a manifest that came as `media_type`, or raise `InvalidManifest`.

    A document that could be read as either kind is refused: two readers could see two images in it
    (CVE-2021-41190). The media type says which one it is, and has to agree with the one inside.
    """
    if len(data) > MANIFEST_LIMIT:
        raise InvalidManifest(f"a manifest of {len(data)} bytes is longer than {MANIFEST_LIMIT}")
    value = _object_of(data)
    named = _named(value.get("mediaType"), media_type)
    if value.get("schemaVersion") == 1 or str(named or media_type).startswith(_OLD):
        raise InvalidManifest(
            "it is an image of docker's schema 1, which nobody makes any more;"
            " push it again with a docker of this decade"
        )
    has_image = "layers" in value or "config" in value
    has_index = "manifests" in value
    if has_image and has_index:
        raise InvalidManifest("it could be an image or an index; it must not be both")
    if named is None:
        named = OCI_INDEX if has_index else OCI_MANIFEST
    if named in INDEXES:
        if has_image:
            raise InvalidManifest(f"it says that it is {named}, and has layers")
        return _index(value, named)
    if named in IMAGES:
        if has_index:
            raise InvalidManifest(f"it says that it is {named}, and has manifests")
        return _image(value, named)
    raise InvalidManifest(f"{named} is no kind of manifest that we know")


def _named(inside: Any, outside: str | None) -> str | None:
    """What it says it is, in itself or on the way."""
    known = outside if outside in MANIFESTS else None
    if inside is None:
        return known
    if not isinstance(inside, str) or not is_media_type(inside):
        raise InvalidManifest(f"{str(inside)[:80]!r} is no media type")
    if known is not None and inside != known:
        raise InvalidManifest(f"a manifest that came as {known} says that it is {inside}")
    return inside


def is_manifest(media_type: str) -> bool:
    """Whether blobs of this type point to others."""
    return media_type in MANIFESTS


def is_index(media_type: str) -> bool:
    """Whether blobs of this type point to manifests."""
    return media_type in INDEXES


def _object_of(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        raise InvalidManifest("it is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidManifest("it is no JSON object")
    check_names(value, _FIELDS)
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what is said twice, of which one reader takes the first and another the last."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidManifest("it says something twice")
    return value


def _index(value: dict[str, Any], media_type: str) -> Manifest:
    return Manifest(
        "index",
        media_type,
        None,
        (),
        _descriptors(value, "manifests"),
        _subject(value),
        _artifact_type(value),
        texts_of(value.get("annotations"), "annotations"),
    )


def _image(value: dict[str, Any], media_type: str) -> Manifest:
    config = value.get("config")
    return Manifest(
        "image",
        media_type,
        None if config is None else descriptor_of(config),
        _descriptors(value, "layers"),
        (),
        _subject(value),
        _artifact_type(value),
        texts_of(value.get("annotations"), "annotations"),
    )


def _descriptors(value: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    found = value.get(name) or []
    if not isinstance(found, list):
        raise InvalidManifest(f"its {name} are no list")
    if len(found) > CHILDREN_LIMIT:
        raise InvalidManifest(f"it has {len(found)} {name}, more than {CHILDREN_LIMIT}")
    return tuple(descriptor_of(each) for each in found)


def _subject(value: dict[str, Any]) -> Descriptor | None:
    subject = value.get("subject")
    return None if subject is None else descriptor_of(subject)


def _artifact_type(value: dict[str, Any]) -> str | None:
    found = value.get("artifactType") or None
    if found is not None and not isinstance(found, str):
        raise InvalidManifest("its artifact type is no text")
    return found
