"""The five requests by which a blob comes into a repository, each made once."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlencode

from lading.errors import (
    DigestMismatch,
    Error,
    InvalidDigest,
    NotFound,
    PermissionDenied,
    Refused,
    Unauthenticated,
)
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.access.host import Host
from lading.oci.registry.remote import Remote
from lading.oci.transport.addresses import same_origin
from lading.oci.transport.http import Body, Response
from lading.oci.transport.refusals import RedirectExpired
from lading.oci.transport.waits import undisturbed
from lading.oci.uploads.answers import finished_at
from lading.oci.uploads.bodies import Stretch
from lading.oci.uploads.sessions import UploadSession

GOOD = range(200, 300)
CREATED = 201
FORBIDDEN, NOT_FOUND, TOO_LARGE, BAD_RANGE = 403, 404, 413, 416
NO_CHUNKS = frozenset({405, 411, 415, 501})
"""What a registry answers that takes no chunks."""
_NOT_ABOUT_UPLOADS = frozenset({401, 408, 425, 429})
_LOOKED_AT = (*(code for code in range(400, 500) if code not in _NOT_ABOUT_UPLOADS), 501)
_ACTIONS = "pull,push"
_UPLOADS = "blobs/uploads/"


class UploadRequests:
    """Requests for one blob at the host that takes it.

    Those to a session give back its refusals, too: they say where it stands.
    """

    def __init__(self, remote: Remote, blob: Descriptor) -> None:
        self._remote, self._blob = remote, blob
        self._host: Host = remote.hosts("push")[0]

    @property
    def host(self) -> str:
        """Its name, for sentences."""
        return self._host.name

    def exists(self) -> bool:
        """Whether the repository has the blob."""
        path = f"blobs/{self._blob.digest}"
        try:
            with self._ask("HEAD", path, accepts=(NOT_FOUND,)) as answer:
                return answer.status != NOT_FOUND
        except RedirectExpired:
            return True  # it knows where the blob is; only its storage takes no HEAD

    def mount(self, repository: str) -> Response | None:
        """Have the registry take the blob from another repository, or else open a session.

        None where it does neither.
        """
        query = urlencode({"mount": self._blob.digest, "from": repository})
        try:
            return self._ask("POST", f"{_UPLOADS}?{query}", also=(f"repository:{repository}:pull",))
        except (NotFound, PermissionDenied, Refused, Unauthenticated):
            return None  # who may write here need not be allowed to read there

    def open(self) -> Response:
        """Open a session."""
        return self._ask("POST", _UPLOADS)

    def status(self, session: UploadSession) -> Response:
        """How far a session got."""
        return self._ask("GET", _UPLOADS, url=session.url, accepts=_LOOKED_AT)

    def send(self, session: UploadSession, chunk: Stretch) -> Response:
        """Send a chunk, which begins at the session's offset."""
        end = session.offset + chunk.size - 1
        headers = {"Content-Range": f"{session.offset}-{end}"}
        return self._send("PATCH", session.url, chunk, headers)

    def finish(self, session: UploadSession, rest: Stretch) -> Response:
        """Send what is left, which may be all or nothing, and name the digest of the whole."""
        return self._send("PUT", finished_at(session.url, self._blob.digest), rest, {})

    def cancel(self, session: UploadSession) -> None:
        """Have the registry throw a session away, if it cares. Never fails."""
        with suppress(Error):
            self._ask("DELETE", _UPLOADS, url=session.url, accepts=_LOOKED_AT).close()

    def check_digest(self, answer: Response) -> None:
        """Raise `DigestMismatch` where the registry says that it has another blob now."""
        try:
            actual = Digest.parse(answer.headers.get("Docker-Content-Digest", ""))
        except InvalidDigest:
            return
        # In another algorithm it may be the same.
        if actual.algorithm == self._blob.digest.algorithm and actual != self._blob.digest:
            raise DigestMismatch(self._blob.digest, actual)

    def is_at_home(self, session: UploadSession) -> bool:
        """Whether a session is at the registry itself, and not at storage that it named."""
        return same_origin(session.url, self._host.url)

    def _send(self, method: str, url: str, body: Stretch, headers: Mapping[str, str]) -> Response:
        told = {"Content-Type": "application/octet-stream", "Content-Length": str(body.size)}
        # A stop comes between the pieces of the body, and what it lets be sent needs its answer.
        with undisturbed():
            return self._ask(
                method,
                _UPLOADS,
                url=url,
                headers={**headers, **told},
                body=body,
                accepts=_LOOKED_AT,
            )

    def _ask(
        self,
        method: str,
        path: str,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        also: tuple[str, ...] = (),
        accepts: tuple[int, ...] = (),
    ) -> Response:
        return self._remote.ask(
            self._host,
            method,
            path,
            url=url,
            headers=headers,
            body=body,
            actions=_ACTIONS,
            also=also,
            accepts=accepts,
        )
