"""Descriptor: a typed pointer to a blob."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from lading.model.digest import Digest

_NONE: Mapping[str, str] = MappingProxyType({})


class Descriptor(NamedTuple):
    """What an image points to. Source: OCI image-spec 1.1, descriptor."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = _NONE
