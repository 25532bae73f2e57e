"""Manifests on their way to a registry: children first, the target last, and under its name.

A manifest that is attached to another one, its subject, is found by the registry's referrers API. A
registry that has none does not answer with `OCI-Subject`; then clients keep an index of what is
attached under a tag made of the subject's digest. Source: OCI distribution-spec 1.1, "Pushing
Manifests with Subject".
"""

import json
from collections.abc import Sequence

from lading.errors import DigestMismatch, InvalidDigest, InvalidManifest, NotFound
from lading.model.descriptor import Descriptor, json_of
from lading.model.digest import Digest
from lading.model.manifest import MANIFEST_LIMIT, OCI_INDEX, Manifest, read_manifest
from lading.model.reference import Reference
from lading.oci.access.hosts import Host
from lading.oci.graph import Node
from lading.oci.progress import Done, Found, Progress
from lading.oci.registry.remote import Remote
from lading.oci.registry.resolving import manifest

TAG_LIMIT = 128
_OK = 200
_PASSES = 5
"""How often the index of what is attached is written, where others write it, too."""


def publish(
    remote: Remote, reference: Reference, nodes: Sequence[Node], *, progress: Progress
) -> None:
    """Put manifests into the remote's repository in their order, the last one by the reference.

    Raises `DigestMismatch` where the registry says that it has another manifest now.
    """
    for node in nodes:
        is_target = node is nodes[-1]
        name = (reference.tag if is_target else None) or node.descriptor.digest
        subject = node.manifest.subject
        # Where it is there and nothing else is to be done, it is left alone: a tag may be one that
        # nobody may write twice.
        if subject is None and _is_there(remote, name, node.descriptor):
            progress(Found(node.descriptor))
            continue
        keeps_attached = _put(remote, name, node.descriptor, node.data)
        if subject is not None and not keeps_attached:
            attach(remote, subject, attached(node.descriptor, node.manifest))
        progress(Done(node.descriptor, len(node.data)))


def attached(descriptor: Descriptor, manifest: Manifest) -> Descriptor:
    """How a manifest is listed among those that are attached to its subject."""
    artifact_type = manifest.artifact_type
    if artifact_type is None and manifest.config is not None:
        artifact_type = manifest.config.media_type
    return Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size,
        annotations=manifest.annotations,
        artifact_type=artifact_type,
    )


def attach(remote: Remote, subject: Descriptor, entry: Descriptor) -> None:
    """Have the index of what is attached to `subject` list one more.

    A registry cannot compare and swap: so it is read again, and what somebody else has overwritten
    meanwhile is written once more. Two that write at the same moment may both lose that; listing is
    a help, and the manifest itself is there in any case.
    """
    tag = f"{subject.digest.algorithm}-{subject.digest.hex}"[:TAG_LIMIT]
    for _ in range(_PASSES):
        entries = _listed(remote, tag)
        if any(entry.digest == each.digest for each in entries):
            return
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [json_of(each) for each in (*entries, entry)],
        }
        data = json.dumps(index, separators=(",", ":")).encode()
        if len(data) > MANIFEST_LIMIT:
            raise InvalidManifest(f"more is attached to {subject.digest} than an index can list")
        _put(remote, tag, Descriptor(OCI_INDEX, Digest.of(data), len(data)), data)


def _listed(remote: Remote, tag: str) -> tuple[Descriptor, ...]:
    host, repository, *_ = remote.reference
    try:
        found, data = manifest(remote, Reference(host, repository, tag))
    except NotFound:
        return ()
    return read_manifest(data, found.media_type).manifests


def _is_there(remote: Remote, name: str, descriptor: Descriptor) -> bool:
    """Whether a registry says that it has a manifest under a name; false where it says nothing."""
    headers = {"Accept": descriptor.media_type}

    def ask(host: Host) -> bool:
        with remote.ask(
            host,
            "HEAD",
            f"manifests/{name}",
            headers=headers,
            actions="pull,push",
            accepts=tuple(range(400, 500)),
        ) as answer:
            said = answer.headers.get("Docker-Content-Digest")
            return answer.status == _OK and said == descriptor.digest

    return remote.attempt("push", ask)


def _put(remote: Remote, name: str, descriptor: Descriptor, data: bytes) -> bool:
    """Put one manifest, and say whether the registry keeps what it is attached to."""

    def put(host: Host) -> bool:
        with remote.ask(
            host,
            "PUT",
            f"manifests/{name}",
            headers={"Content-Type": descriptor.media_type},
            body=data,
            actions="pull,push",
        ) as answer:
            _check(answer.headers.get("Docker-Content-Digest", ""), descriptor.digest)
            return "OCI-Subject" in answer.headers

    return remote.attempt("push", put)


def _check(said: str, expected: Digest) -> None:
    try:
        actual = Digest.parse(said)
    except InvalidDigest:
        return  # it need not say it
    # In another algorithm it may be the same.
    if actual.algorithm == expected.algorithm and actual != expected:
        raise DigestMismatch(expected, actual)
