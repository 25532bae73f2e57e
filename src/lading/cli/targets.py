"""What a NAME or a DIGEST on the command line stands for here: an image, or a manifest."""

from typing import TYPE_CHECKING

from lading.cli.outcome import Complaint, Outcome
from lading.errors import DataLoss, InvalidDigest, InvalidManifest, InvalidReference, NotFound
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.content.catalog import Image, Scope
    from lading.content.store import ContentStore
    from lading.model.descriptor import Descriptor


def target_of(namespace: "Scope", text: str) -> "Image | Descriptor":
    """Find an image by its name, in full or as people type it, or a manifest by its digest."""
    try:
        return manifest_of(namespace, Digest.parse(text))
    except InvalidDigest:
        return image_of(namespace, text)


def image_of(namespace: "Scope", text: str) -> "Image":
    """Find an image: `redis:7` is there as `docker.io/library/redis:7`, if not as it is."""
    from lading.model.reference import Reference  # noqa: PLC0415 - not for `--help`

    try:
        return namespace.images.get(text)
    except NotFound:
        try:
            whole = str(Reference.parse(text))
        except InvalidReference:
            whole = text
        if whole == text:
            raise
        return namespace.images.get(whole)


def manifest_of(store: "ContentStore", digest: Digest) -> "Descriptor":
    """Describe a manifest by what is in it, which has to be that of the digest."""
    from lading.model.descriptor import Descriptor  # noqa: PLC0415 - ditto
    from lading.model.manifest import MANIFEST_LIMIT, read_manifest  # noqa: PLC0415 - ditto

    size = store.blob(digest).size
    data = store.read(digest) if size <= MANIFEST_LIMIT else b""
    if data and (actual := Digest.of(data, digest.algorithm)) != digest:
        raise DataLoss(digest, f"its bytes are {actual}")
    try:
        media_type = read_manifest(data).media_type
    except InvalidManifest as problem:
        raise Complaint(f"{digest}: is no image: {problem}", Outcome.FAILED) from problem
    return Descriptor(media_type, digest, size)
