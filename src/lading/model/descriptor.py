"""Descriptor: a typed pointer to a blob, as manifests have it."""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from lading.errors import InvalidDigest, InvalidManifest
from lading.model.digest import Digest
from lading.model.platform import Platform

_NONE: Mapping[str, str] = MappingProxyType({})
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}")
SIZE_LIMIT = 1 << 62
_FIELDS = {
    *("mediaType", "digest", "size", "urls", "annotations", "platform", "artifactType", "data"),
}


class Descriptor(NamedTuple):
    """What an image points to. Source: OCI image-spec 1.1, descriptor."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = _NONE
    platform: Platform | None = None
    artifact_type: str | None = None
    urls: tuple[str, ...] = ()
    data: bytes | None = None
    """The bytes themselves, where they were sent along; they are the ones of the digest."""


def descriptor_of(value: Any) -> Descriptor:
    """Read a descriptor out of somebody's JSON, or raise `InvalidManifest`."""
    if not isinstance(value, dict):
        raise InvalidManifest("a descriptor is no object")
    check_names(value, _FIELDS)
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str) or not is_media_type(media_type):
        raise InvalidManifest(f"{str(media_type)[:80]!r} is no media type")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= SIZE_LIMIT:
        raise InvalidManifest(f"{str(size)[:40]} is no size")
    try:
        digest = Digest.parse(str(value.get("digest")))
    except InvalidDigest as refusal:
        raise InvalidManifest(str(refusal)) from None
    artifact_type = value.get("artifactType") or None
    if artifact_type is not None and not isinstance(artifact_type, str):
        raise InvalidManifest("an artifact type is no text")
    urls = value.get("urls") or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise InvalidManifest("the urls of a descriptor are no texts")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        annotations=texts_of(value.get("annotations"), "annotations"),
        platform=_platform_of(value.get("platform")),
        artifact_type=artifact_type,
        urls=tuple(urls),
        data=_data_of(value.get("data"), digest, size),
    )


def json_of(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as JSON has it. Without `data`: who reads it can have the blob."""
    found: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.urls:
        found["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        found["annotations"] = dict(descriptor.annotations)
    if (platform := descriptor.platform) is not None:
        found["platform"] = {"architecture": platform.architecture, "os": platform.os}
        if platform.os_version:
            found["platform"]["os.version"] = platform.os_version
        if platform.variant:
            found["platform"]["variant"] = platform.variant
    if descriptor.artifact_type:
        found["artifactType"] = descriptor.artifact_type
    return found


def check_names(value: Mapping[str, Any], fields: Collection[str]) -> None:
    """Refuse fields in other capitals, which readers written in Go take for the ones they know."""
    for name in value:
        if name not in fields and name.lower() in {field.lower() for field in fields}:
            raise InvalidManifest(f"it has a field {name!r}, which some readers take for another")


def is_media_type(text: str) -> bool:
    """Whether a text can be a media type. Source: RFC 6838, section 4.2."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def texts_of(value: Any, what: str) -> Mapping[str, str]:
    """Read texts by name, such as annotations; `InvalidManifest` for anything else."""
    if value is None:
        return _NONE
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidManifest(f"{what} are not texts by name")
    return MappingProxyType(value) if value else _NONE


def _platform_of(value: Any) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidManifest("a platform is no object")
    parts = [value.get(name) or "" for name in ("os", "architecture", "variant", "os.version")]
    if not all(isinstance(part, str) for part in parts):
        raise InvalidManifest("the parts of a platform are no texts")
    return Platform.of(*parts)


def _data_of(value: Any, digest: Digest, size: int) -> bytes | None:
    if value is None:
        return None
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidManifest("the data in a descriptor is no base64") from None
    if len(data) != size or Digest.of(data, digest.algorithm) != digest:
        raise InvalidManifest(f"the data in the descriptor of {digest} are other bytes")
    return data
