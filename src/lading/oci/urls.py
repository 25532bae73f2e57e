"""Plain URLs, fetched as the blobs of registries are.

with a digest       the ref is of the digest: whoever began, from wherever, it goes on
without             the ref is of the URL and of what the server calls this state of the file
                    (a strong ETag, else Last-Modified): a file that changed is another ingest
without either      nothing can be resumed, and each fetch begins anew
"""

import base64
import contextlib
import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from lading.content.store import Blob, ContentStore, Labels
from lading.errors import AlreadyExists, ConnectionFailed, Error, InvalidArgument, NotFound
from lading.model.descriptor import Descriptor, is_media_type
from lading.model.digest import Digest
from lading.oci.fetching.download import filled, writer_of
from lading.oci.fetching.filling import Filling
from lading.oci.fetching.ranges import NOT_SATISFIABLE, OK, PARTIAL, part_of, range_of, total_of
from lading.oci.fetching.turns import Turns
from lading.oci.progress import Progress, nobody
from lading.oci.steps import Steps
from lading.oci.transport.addresses import shown
from lading.oci.transport.http import Http, Response, Tls
from lading.oci.transport.patience import Patience
from lading.oci.transport.redirects import abroad, follow
from lading.oci.transport.refusals import Subject, refusal

CHANGES_LIMIT = 3
"""How often a file may change under a fetch, before that is given up."""
VALIDATOR_LIMIT = 1024
_TAG = re.compile(rf'"[!#-~]{{0,{VALIDATOR_LIMIT}}}"')
_BYTES = "application/octet-stream"
_GOOD = range(200, 300)


class Fetched(NamedTuple):
    """What came of a URL."""

    blob: Blob
    is_verified: bool
    """Whether somebody had said which bytes there should be."""


class _Changed(ConnectionFailed):
    """The file is not the one any more that was begun. Asking on would only mix the two."""

    retryable = False


def fetch_url(
    url: str,
    *,
    into: ContentStore,
    digest: Digest | None = None,
    patience: Patience | None = None,
    streams: int = 6,
    headers: Mapping[str, str] | None = None,
    tls: Tls = Tls(),  # noqa: B008 - a value
    labels: Labels | None = None,
    progress: Progress = nobody,
) -> Fetched:
    """Bring what is at a URL into a store, and go on with an earlier attempt where there is one.

    A name and a password in the URL, and `headers`, are said to its own host and to no other. After
    a failure the ingest is kept at its offset, unless the bytes are not those of `digest`: they
    raise `DigestMismatch` when they came so twice, and nothing is kept.

    While nobody knows a digest, the steps that `progress` is told have that of the URL's own text
    in its place, and a size of 0 where the server says none.
    """
    patience = patience or Patience()
    origin = _UrlOrigin(url, headers or {}, tls, patience)
    with contextlib.closing(origin.http):
        if digest is not None:
            with contextlib.suppress(NotFound):
                blob = into.label(digest, labels) if labels else into.blob(digest)
                Steps(Descriptor(_BYTES, digest, blob.size), progress).found()
                return Fetched(blob, is_verified=True)
        for _ in range(CHANGES_LIMIT):
            fetch = _Fetch(
                origin,
                into,
                digest=digest,
                streams=streams,
                patience=patience,
                labels=labels,
                progress=progress,
            )
            try:
                return Fetched(fetch.run(), is_verified=digest is not None)
            except _Changed:
                origin.validator = None
                with contextlib.suppress(NotFound):
                    into.abort(fetch.ref)
    raise ConnectionFailed(
        origin.name, "the file changes while it is fetched; say which one it should be by a digest"
    )


class _UrlOrigin:
    """A URL, and whomever it redirects to."""

    def __init__(self, url: str, headers: Mapping[str, str], tls: Tls, patience: Patience) -> None:
        self._url, secret = _parted(url)
        self.name = shown(url)
        self.http = Http(patience)
        self.identity = self._url
        self.total: int | None = None
        """What the whole has, as far as it is known."""
        self.validator: str | None = None
        """What a part must belong to; None where its digest will tell."""
        self._own = {**headers, **secret}
        self._tls = tls

    def open(self, start: int, end: int | None) -> Response:
        is_whole = start == 0 and end in {None, self.total}
        headers = {} if is_whole else {"Range": range_of(start, end)}
        if self.validator is not None and not is_whole:
            headers["If-Range"] = self.validator

        def ask(url: str, at_home: bool) -> Response:  # noqa: FBT001 - `follow` calls it so
            sent = {**self._own, **headers} if at_home else abroad(headers)
            return self.http.request(
                "GET",
                url,
                headers=sent,
                tls=self._tls
                if at_home
                else Tls(authorities=self._tls.authorities, verifies=self._tls.verifies),
            )

        answer, at_home = follow(ask, self._url)
        if answer.status not in _GOOD and answer.status != NOT_SATISFIABLE:
            raise refusal(answer, Subject("file", self.name), method="GET", at_home=at_home)
        if self._has_changed(answer):
            answer.close()
            raise _Changed(self.name, "the file has changed")
        return answer

    def _has_changed(self, answer: Response) -> bool:
        if self.validator is None or answer.status not in {OK, PARTIAL}:
            return False
        found = validator_of(answer)
        # A part need not say what the server has just compared.
        return found != self.validator and (found is not None or answer.status == OK)


class _Fetch:
    """One attempt at one state of a file."""

    def __init__(
        self,
        origin: _UrlOrigin,
        store: ContentStore,
        *,
        digest: Digest | None,
        streams: int,
        patience: Patience,
        labels: Labels | None,
        progress: Progress,
    ) -> None:
        self.ref = "" if digest is None else f"blob-{digest}"
        self._origin, self._store, self._digest = origin, store, digest
        self._streams, self._patience = streams, patience
        self._labels, self._progress = labels, progress
        self._media_type = _BYTES

    def run(self) -> Blob:
        with self._ask(1 if self._is_begun() else None) as answer:
            return self._into_store(answer if answer.status == OK else None)

    def _into_store(self, first: Response | None) -> Blob:
        steps = self._steps()
        filling: Filling | None = None
        try:
            with writer_of(
                self._store,
                self.ref,
                expected=self._digest,
                total=self._origin.total,
                patience=self._patience,
                steps=steps,
            ) as writer:
                if writer.offset and self._digest is None and self._origin.validator is None:
                    writer.truncate()  # they may be of another state of the file
                if writer.offset and first is not None:
                    first.close()
                    first = None
                steps.begun(writer.offset)
                filling = Filling(
                    writer,
                    Turns([self._origin], self._patience, steps),
                    total=self._origin.total,
                    streams=self._streams,
                    patience=self._patience,
                    steps=steps,
                    first=first,
                )
                blob = filled(self._store, writer, filling, self._labels)
        except AlreadyExists as known:
            there: Digest = known.what
            labels = self._labels
            blob = self._store.label(there, labels) if labels else self._store.blob(there)
        steps.done(0 if filling is None else filling.moved)
        return blob

    def _is_begun(self) -> bool:
        """Whether there is something to go on with, whatever the file is now."""
        with contextlib.suppress(NotFound):
            return self._digest is not None and self._store.ingest(self.ref).offset > 0
        return False

    def _ask(self, end: int | None) -> Response:
        """Ask for the bytes up to `end`, and learn from the answer's head what the file is now.

        Its size is asked for each time: what an earlier attempt was told may have been the size of
        a page that said something else.
        """
        turns = Turns([self._origin], self._patience, self._steps())
        while True:
            try:
                answer = self._origin.open(0, end)
                self._learn(answer, end)
            except Error as failure:
                turns.lost(failure, has_moved=False)
            else:
                return answer

    def _learn(self, answer: Response, end: int | None) -> None:
        if answer.status == NOT_SATISFIABLE:
            self._origin.total = total_of(answer)
            return
        try:
            self._origin.total = part_of(answer, 0, end, None).total
        except ConnectionFailed:
            answer.close()
            raise
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        self._media_type = kind if is_media_type(kind) else _BYTES
        if self._digest is None:
            self._origin.validator = validator_of(answer)
            self.ref = ref_of(self._origin.identity, self._origin.validator)

    def _steps(self) -> Steps:
        digest = self._digest or Digest.of(self._origin.identity.encode())
        return Steps(Descriptor(self._media_type, digest, self._origin.total or 0), self._progress)


def ref_of(url: str, validator: str | None) -> str:
    """The ref for one state of a file whose digest nobody knows."""
    return (
        f"url-{hashlib.sha256(repr((url, validator)).encode(errors='surrogatepass')).hexdigest()}"
    )


def validator_of(answer: Response) -> str | None:
    """What only one state of a file has: a strong ETag, or a time of change that is past for sure.

    None where there is nothing such. Source: RFC 9110, 8.8.1 and 8.8.2.2.
    """
    tag = answer.headers.get("ETag", "").strip()
    if _TAG.fullmatch(tag):
        return tag
    modified = answer.headers.get("Last-Modified", "").strip()
    try:
        age = parsedate_to_datetime(answer.headers.get("Date", "")) - parsedate_to_datetime(
            modified
        )
    except (ValueError, TypeError):
        return None
    # A file that changes twice in a second has one such time for two states.
    return modified if age.total_seconds() >= 1 else None


def _parted(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its credentials, and the header that says them."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidArgument(f"{shown(url)} is no URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidArgument(f"{shown(url)!r} is no http or https URL")
    user, at, netloc = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=netloc, fragment="").geturl()
    if not at:
        return bare, {}
    name, _, password = user.partition(":")
    secret = f"{unquote(name)}:{unquote(password)}".encode()
    return bare, {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
