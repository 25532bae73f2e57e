"""What a registry has: tags, and what is attached to a manifest; and how it goes away there."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

from lading.errors import InvalidManifest, NotFound, Refused
from lading.model.descriptor import Descriptor, descriptor_of
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX, read_manifest
from lading.model.reference import Reference
from lading.oci.access.hosts import Host
from lading.oci.choosing import Platforms
from lading.oci.registry.pages import pages
from lading.oci.registry.remote import Remote
from lading.oci.registry.resolving import manifest, resolve

__all__ = ["Platforms", "delete", "manifest", "referrers", "resolve", "tags"]

REFERRERS_LIMIT = 10_000
TAGS_PER_PAGE = 1000
_NO_METHOD = 405
_NO_TAGS = frozenset({400, 405, 415, 501})
"""How registries say that they delete by digest alone."""
_NO_API = frozenset({400, 405, 406, 415, 501})
"""How registries without the referrers API say so, besides 404."""


def tags(remote: Remote) -> Iterator[str]:
    """Every tag of the repository, in the registry's order, page by page as they are asked for."""
    path = f"tags/list?{urlencode({'n': TAGS_PER_PAGE})}"
    for page in pages(remote, path, "tags", per_page=TAGS_PER_PAGE):
        for tag in page.items:
            if not isinstance(tag, str):
                raise InvalidManifest(f"{remote.reference.name}: {str(tag)[:80]!r} is no tag")
            yield tag


def referrers(
    remote: Remote, reference: Reference, *, artifact_type: str | None = None
) -> tuple[Descriptor, ...]:
    """What is attached to a manifest, each once.

    Where the registry has no referrers API, from the index that clients keep under a tag there.
    Source: OCI distribution-spec 1.1, "Listing Referrers" and "Unavailable Referrers API".
    """
    digest = reference.digest or resolve(remote, reference).digest
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    try:
        found = _attached(remote, f"referrers/{digest}{query}", artifact_type)
    except (NotFound, Refused) as refusal:
        if isinstance(refusal, Refused) and refusal.status not in _NO_API:
            raise
        found = _attached_by_tag(remote, digest, artifact_type)
    return found


def delete(remote: Remote, reference: Reference) -> None:
    """Delete a tag, or with a digest a manifest and with it all of its tags; or raise `NotFound`.

    Raises `Refused` where the registry does not do that, and says what it would do.
    """
    # First, since a registry that cannot delete tags says so of tags that it has not got, too.
    digest = reference.digest or resolve(remote, reference).digest

    def call(host: Host) -> None:
        remote.ask(host, "DELETE", f"manifests/{reference.object}", actions="delete").close()

    try:
        remote.attempt("push", call)
    except Refused as refusal:
        if reference.digest is None and refusal.status in _NO_TAGS:
            advice = (
                "tags alone are not deleted here; this deletes the manifest with all of its tags:"
                f" {reference.at(digest)}"
            )
        elif refusal.status == _NO_METHOD:
            advice = "deletion is switched off at this registry"
        else:
            raise
        message = f"{refusal.message}; {advice}" if refusal.message else advice
        raise Refused(refusal.what, refusal.status, refusal.code, message) from refusal


def _attached(remote: Remote, path: str, artifact_type: str | None) -> tuple[Descriptor, ...]:
    found: dict[Digest, Descriptor] = {}
    for page in pages(remote, path, "manifests", headers={"Accept": OCI_INDEX}):
        # What a registry has filtered need not say its type once more.
        wanted = None if "artifactType" in page.filters else artifact_type
        _add(found, map(descriptor_of, page.items), wanted)
    return tuple(found.values())


def _attached_by_tag(
    remote: Remote, digest: Digest, artifact_type: str | None
) -> tuple[Descriptor, ...]:
    tag = f"{digest.algorithm}-{digest.hex}"[:128]
    host, repository, *_ = remote.reference
    try:
        target, data = manifest(remote, Reference(host, repository, tag))
    except NotFound:
        return ()
    found: dict[Digest, Descriptor] = {}
    _add(found, read_manifest(data, target.media_type).manifests, artifact_type)
    return tuple(found.values())


def _add(
    found: dict[Digest, Descriptor], more: Iterable[Descriptor], artifact_type: str | None
) -> None:
    for each in more:
        if artifact_type in {None, each.artifact_type}:
            found.setdefault(each.digest, each)
        if len(found) > REFERRERS_LIMIT:
            raise InvalidManifest(f"more than {REFERRERS_LIMIT} manifests are attached to it")
