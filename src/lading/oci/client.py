"""RegistryClient: the front door to registries.

    with RegistryClient() as registry:
        redis = registry.pull("docker.io/library/redis:7", into=store)
        registry.push("ghcr.io/me/redis:7", redis, source=store)

What was moved before a failure is kept, and the same call goes on with it.

What a call needs is loaded by the call: a pull, which is most of them, starts in half the time.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lading.content.store import ContentStore, Labels
from lading.model.closing import Closing
from lading.model.descriptor import Descriptor
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.access.credentials import Credentials, FileCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.access.outages import Outages
from lading.oci.access.tokens import Authorizer
from lading.oci.choosing import Platforms
from lading.oci.progress import Progress, nobody
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience

if TYPE_CHECKING:
    from lading.oci.uploads.sessions import UploadSessions

BLOBS_AT_ONCE = 3
"""By default; a pull has more of them at once where they are small."""
STREAMS = 6
"""Connections that one large blob may take, where one alone is slow."""


class RegistryClient(Closing):
    """Any OCI registry: credentials, mirrors and certificates are found as docker, podman and
    containerd find them. Any method may be called from any thread.

    Every failure is a `lading.Error`; its `retryable` says whether the same call may succeed later.
    Whatever was moved before a failure is kept, and the same call goes on with it, in this process
    or in another.

    Who is told of `progress` is told one step at a time, from any thread, and should be quick: all
    wait meanwhile. If it raises something, the transfer ends, and that is what is raised; so it
    does with a signal in the thread that called.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        hosts: Hosts | None = None,
        patience: Patience | None = None,
        uploads: Path | None = None,
        blobs_at_once: int | None = None,
        streams: int = STREAMS,
    ) -> None:
        """`uploads` is the folder that remembers pushes; by default one of this user's state.

        By default three blobs are moved at once, or six where they are small and are pulled.
        """
        self._patience = patience or Patience()
        self._http = Http(self._patience)
        self._hosts = hosts or Hosts()
        self._authorizer = Authorizer(self._http, credentials or FileCredentials())
        self._outages = Outages(clock=self._patience.clock)
        self._uploads = uploads
        self._blobs_at_once, self._streams = blobs_at_once, streams

    def resolve(
        self,
        reference: str | Reference,
        *,
        platform: Platform | None = None,
        progress: Progress = nobody,
    ) -> Descriptor:
        """Say what a reference stands for now, or raise `NotFound`.

        With `platform`, that platform's manifest of an index. All that `progress` is told here, as
        by `tags` and `referrers`, is for how long a registry is waited for.
        """
        from lading.oci.registry import listing  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        return listing.resolve(self._remote(parsed, progress), parsed, platform=platform)

    def manifest(self, reference: str | Reference) -> tuple[Descriptor, bytes]:
        """The manifest that a reference stands for, verified, and what it is."""
        from lading.oci.registry import listing  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        return listing.manifest(self._remote(parsed), parsed)

    def pull(
        self,
        reference: str | Reference,
        *,
        into: ContentStore,
        platform: Platforms = None,
        name: str | None = None,
        progress: Progress = nobody,
    ) -> Descriptor:
        """Bring everything that a reference stands for into a store, and say what it is.

        Of an index, what is for `platform`: by default this machine's, or `"all"`. Into a
        namespace, everything comes under a lease, which outlives a failure by a day; its blobs
        are labelled, and the image is named, as the reference is or by `name`. Into another store
        come the blobs alone.
        """
        from lading.oci.pulling import pull_image  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        return pull_image(
            self._remote(parsed),
            parsed,
            into=into,
            platform=platform,
            name=name,
            blobs_at_once=self._blobs_at_once,
            streams=self._streams,
            progress=progress,
        )

    def fetch(
        self,
        reference: str | Reference,
        *,
        into: ContentStore,
        labels: Labels | None = None,
        progress: Progress = nobody,
    ) -> Descriptor:
        """Bring one blob, which the reference names by its digest, and nothing it points to.

        It is committed with `labels`, for stores that keep some, and no lease is made for it.
        """
        from lading.oci.pulling import pull_blob  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        return pull_blob(
            self._remote(parsed),
            parsed,
            into=into,
            streams=self._streams,
            labels=labels,
            progress=progress,
        )

    def push(
        self,
        reference: str | Reference,
        target: Descriptor,
        *,
        source: ContentStore,
        platform: Platforms = "all",
        progress: Progress = nobody,
    ) -> Descriptor:
        """Send a target and everything it points to, children first, and name it.

        Of an index, what is for `platform`; what is not in `source` raises `NotFound` before
        anything is sent. What the registry has already is not sent. An upload that was cut off
        goes on where the registry has it, in another process, too.
        """
        from lading.oci import pushing  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        return pushing.push_image(
            self._remote(parsed),
            parsed,
            target,
            source=source,
            platform=platform,
            sessions=self._sessions,
            blobs_at_once=self._blobs_at_once or BLOBS_AT_ONCE,
            progress=progress,
        )

    def copy(
        self,
        source: str | Reference,
        target: str | Reference,
        *,
        platform: Platforms = "all",
        referrers: bool = False,
        progress: Progress = nobody,
    ) -> Descriptor:
        """Copy from a repository to another one, mounting what the registry can mount.

        Of an index, what is for `platform`; with `referrers`, what is attached to it as well.
        Nothing is kept here; a copy that was cut off goes on where the target's registry is.
        """
        from lading.oci.copying import copy_image  # noqa: PLC0415 - see above

        parsed_source, parsed_target = _parsed(source), _parsed(target)
        return copy_image(
            self._remote(parsed_source),
            parsed_source,
            self._remote(parsed_target),
            parsed_target,
            platform=platform,
            sessions=self._sessions,
            blobs_at_once=self._blobs_at_once or BLOBS_AT_ONCE,
            referrers=referrers,
            progress=progress,
        )

    def tags(self, reference: str | Reference, *, progress: Progress = nobody) -> Iterator[str]:
        """Every tag of a repository, page by page, in the registry's order."""
        from lading.oci.registry import listing  # noqa: PLC0415 - see above

        return listing.tags(self._remote(_parsed(reference), progress))

    def referrers(
        self,
        reference: str | Reference,
        *,
        artifact_type: str | None = None,
        progress: Progress = nobody,
    ) -> tuple[Descriptor, ...]:
        """What was attached to a manifest: signatures, documents. None is no error."""
        from lading.oci.registry import listing  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        remote = self._remote(parsed, progress)
        return listing.referrers(remote, parsed, artifact_type=artifact_type)

    def delete(self, reference: str | Reference) -> None:
        """Delete a tag, or a manifest by its digest, or raise `NotFound`."""
        from lading.oci.registry import listing  # noqa: PLC0415 - see above

        parsed = _parsed(reference)
        listing.delete(self._remote(parsed), parsed)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._http.close()

    @cached_property
    def _sessions(self) -> "UploadSessions":
        from lading.oci.uploads.sessions import UploadSessions  # noqa: PLC0415 - see above

        return UploadSessions(self._uploads)

    def _remote(self, reference: Reference, progress: Progress = nobody) -> Remote:
        remote = Remote(
            reference,
            http=self._http,
            hosts=self._hosts,
            authorizer=self._authorizer,
            patience=self._patience,
            outages=self._outages,
        )
        remote.progress = progress
        return remote


def _parsed(reference: str | Reference) -> Reference:
    return reference if isinstance(reference, Reference) else Reference.parse(reference)
