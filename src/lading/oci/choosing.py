"""Which manifests of an index are wanted.

    None        what this machine runs
    a platform  what serves it, the best match alone
    "all"       everything

An index need not be about platforms: where its manifests say none, they are the parts of an
artifact, and belong together.
"""

from collections.abc import Iterable
from typing import Literal

from lading.errors import NotFound
from lading.model.descriptor import Descriptor
from lading.model.manifest import Manifest
from lading.model.platform import Platform

Platforms = Platform | Literal["all"] | None
"""None: this machine's."""

_SHOWN_LIMIT = 12
_REFERENCE_TYPE = "vnd.docker.reference.type"
_UNKNOWN = "unknown"


def chosen(index: Manifest, platform: Platforms) -> tuple[Descriptor, ...]:
    """The manifests of an index that are for `platform`, or `NotFound`, which lists what there is.

    One platform is served by one manifest. What says no platform counts where nothing else fits.
    """
    if platform == "all":
        return index.manifests
    wanted = platform or Platform.of_this_machine()
    for served in wanted.served_by():
        for manifest in index.manifests:
            if _is_for(manifest.platform, served):
                return (manifest,)
    unsaid = tuple(
        each for each in index.manifests if each.platform is None and not _is_about_another(each)
    )
    if not unsaid and index.manifests:
        raise NotFound(f"{wanted} (there is {_listed(index.manifests)})", "platform")
    return unsaid


def _is_for(platform: Platform | None, wanted: Platform) -> bool:
    if platform is None:
        return False
    has_version = not wanted.os_version or wanted.os_version == platform.os_version
    return has_version and platform[:3] == wanted[:3]


def _is_about_another(manifest: Descriptor) -> bool:
    """Whether it is what a builder says of another manifest of the index."""
    return _REFERENCE_TYPE in manifest.annotations


def _listed(manifests: Iterable[Descriptor]) -> str:
    """The platforms, as somebody would type them."""
    found = {
        str(manifest.platform): None
        for manifest in manifests
        if manifest.platform is not None and manifest.platform.os != _UNKNOWN
    }
    shown = list(found)[:_SHOWN_LIMIT]
    more = [f"{len(found) - len(shown)} more"] if len(found) > len(shown) else []
    return ", ".join([*shown, *more]) or "none for any platform"
