"""What images are called in archives and layouts: names, and the annotations that have them.

io.containerd.image.name           the whole name, as containerd and docker write it
org.opencontainers.image.ref.name  by the specification, a tag or a whole name
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lading.errors import InvalidArgument, InvalidReference
from lading.model.descriptor import Descriptor
from lading.model.platform import Platform
from lading.model.reference import Reference

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
NAME_LIMIT = 1024
"""Characters of a name: some for a reference with its digest, and many more than enough."""


class Root(NamedTuple):
    """Something that an archive is about, and what it calls it."""

    name: str | None
    target: Descriptor


def check_name(name: str) -> str:
    """Return a name that an image can have, or raise `InvalidArgument`."""
    if not name or len(name) > NAME_LIMIT or not name.isprintable() or name != name.strip():
        raise InvalidArgument(f"{name[:80]!r} is no name for an image")
    return name


def name_of(annotations: Mapping[str, str], base_name: str | None) -> str | None:
    """What the annotations of an index's entry call it; None if nothing."""
    whole, ref_name = annotations.get(IMAGE_NAME), annotations.get(REF_NAME)
    if whole:
        return check_name(whole)
    if ref_name and base_name and not any(mark in ref_name for mark in "/:@"):
        ref_name = f"{base_name}:{ref_name}"
    return check_name(ref_name) if ref_name else None


def annotations_of(name: str) -> dict[str, str]:
    """The annotations that say a name to containerd, to docker and to skopeo."""
    return {IMAGE_NAME: name, REF_NAME: tag_of(name)}


def tag_of(name: str) -> str:
    """The tag in a name, or its digest; a name without is its own tag."""
    if not any(mark in name for mark in "/:@"):
        return name
    try:
        return Reference.parse(name).object
    except InvalidReference:
        return name


def one_name_each(roots: Sequence[Root]) -> tuple[Root, ...]:
    """Leave each name to one root: of several platforms', to the one that serves this machine."""
    best: dict[str, Root] = {}
    for root in roots:
        if root.name is None:
            continue
        before = best.get(root.name)
        if before is None or _rank(root.target.platform) < _rank(before.target.platform):
            best[root.name] = root
    kept: list[Root] = []
    for root in roots:
        is_best = root.name is None or best[root.name] is root
        kept.append(root if is_best else Root(None, root.target))
    return tuple({(root.name, root.target.digest): root for root in kept}.values())


def _rank(platform: Platform | None) -> int:
    if platform is None:
        return 0
    served = [each[:3] for each in Platform.of_this_machine().served_by()]
    return served.index(platform[:3]) + 1 if platform[:3] in served else len(served) + 1
