"""What a reference stands for, and the manifest that it names.

A tag is whatever the registry says it is. A digest is checked: bytes that came for one match it, or
were never here.
"""

from collections.abc import Mapping
from contextlib import suppress

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    Error,
    InvalidDigest,
    InvalidManifest,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
)
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import ACCEPTED, MANIFEST_LIMIT, MANIFESTS, is_index, read_manifest
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.access.hosts import Host
from lading.oci.choosing import chosen
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Response

_OCTETS = "application/octet-stream"
_ACCEPT: Mapping[str, str] = {"Accept": ", ".join(ACCEPTED)}
_NO_HEAD = frozenset({400, 405, 501})
"""How registries say that they answer to GET alone."""
_DIGITS_LIMIT = 18


def resolve(
    remote: Remote, reference: Reference, *, platform: Platform | None = None
) -> Descriptor:
    """Say what a reference stands for, as the registry has it now, or raise `NotFound`.

    With `platform`, which of an index's manifests is for it. A digest may be that of a blob.
    """
    found = remote.attempt("resolve", lambda host: _resolved(remote, host, reference))
    if platform is None or not is_index(found.media_type):
        return found
    found, data = manifest(remote, reference.at(found.digest))
    of_platform = chosen(read_manifest(data, found.media_type), platform)
    if not of_platform:
        raise NotFound(f"{reference.name}@{found.digest}", f"manifest for {platform} in")
    return of_platform[0]


def manifest(remote: Remote, reference: Reference) -> tuple[Descriptor, bytes]:
    """The manifest that a reference stands for, verified, and its bytes.

    Raises `DigestMismatch` for other bytes than the digest's, at every host and twice;
    `InvalidManifest` for what is none, or has more than `MANIFEST_LIMIT` bytes.
    """
    return remote.attempt("pull", lambda host: _got(remote, host, reference))


def _resolved(remote: Remote, host: Host, reference: Reference) -> Descriptor:
    try:
        with remote.ask(
            host,
            "HEAD",
            f"manifests/{reference.object}",
            headers=_ACCEPT,
            accepts=tuple(_NO_HEAD),
        ) as answer:
            found = None if answer.status in _NO_HEAD else _said(answer, reference)
    except (NotFound, Unavailable) as failure:
        # docker-registry fails with 500 at the digest of a layer, where others have no manifest.
        if reference.digest is None or isinstance(failure, (ConnectionFailed, TooManyRequests)):
            raise
        return _blob(remote, host, reference.digest, failure)
    return found or _got(remote, host, reference)[0]


def _said(answer: Response, reference: Reference) -> Descriptor | None:
    """What the head of an answer says, where that is everything."""
    digest = _digest_of(answer) or reference.digest
    length = answer.headers.get("Content-Length", "")
    media_type = _media_type_of(answer)
    if digest is None or media_type not in MANIFESTS or not _is_number(length) or not int(length):
        return None
    if reference.digest not in {None, digest}:
        return None
    _check_length(int(length), reference)
    return Descriptor(media_type, digest, int(length))


def _got(remote: Remote, host: Host, reference: Reference) -> tuple[Descriptor, bytes]:
    try:
        return _got_once(remote, host, reference)
    except DigestMismatch:
        return _got_once(remote, host, reference)  # for one that was only garbled on its way


def _got_once(remote: Remote, host: Host, reference: Reference) -> tuple[Descriptor, bytes]:
    path = f"manifests/{reference.object}"
    with remote.ask(host, "GET", path, headers=_ACCEPT) as answer:
        data = answer.read_up_to(MANIFEST_LIMIT + 1)
        _check_length(len(data), reference)
        expected = reference.digest or _digest_of(answer)
        media_type = _media_type_of(answer)
    actual = Digest.of(data, expected.algorithm) if expected else Digest.of(data)
    if expected not in {None, actual}:
        raise DigestMismatch(expected, actual)
    try:
        media_type = read_manifest(data, media_type).media_type
    except InvalidManifest as refusal:
        raise InvalidManifest(f"the manifest of {reference}: {refusal}") from refusal
    return Descriptor(media_type, actual, len(data)), data


def _blob(remote: Remote, host: Host, digest: Digest, failure: Error) -> Descriptor:
    """A blob by its digest, of which nothing else is known; or the failure that led here."""
    path = f"blobs/{digest}"
    with remote.ask(host, "HEAD", path, accepts=tuple(_NO_HEAD)) as answer:
        length = "" if answer.status in _NO_HEAD else answer.headers.get("Content-Length", "")
    if not _is_number(length):
        # Of one byte alone, which says of how many.
        with remote.ask(host, "GET", path, headers={"Range": "bytes=0-0"}) as answer:
            whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
            length = whole or answer.headers.get("Content-Length", "")
    if not _is_number(length):
        raise Refused(f"GET {path}", answer.status, "", "it does not say how long the blob is")
    found = Descriptor(_OCTETS, digest, int(length))
    if isinstance(failure, Unavailable) and found.size <= MANIFEST_LIMIT:
        # Some registries have manifests among the blobs, and this might be one, at a bad moment.
        with remote.ask(host, "GET", path) as answer:
            if b'"schemaVersion"' in answer.read(MANIFEST_LIMIT):
                raise failure
    return found


def _check_length(length: int, reference: Reference) -> None:
    if length > MANIFEST_LIMIT:
        raise InvalidManifest(f"{reference}: its manifest is longer than {MANIFEST_LIMIT} bytes")


def _digest_of(answer: Response) -> Digest | None:
    with suppress(InvalidDigest):
        return Digest.parse(answer.headers.get("Docker-Content-Digest", "").strip())
    return None


def _media_type_of(answer: Response) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_LIMIT
