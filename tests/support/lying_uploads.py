"""The half of a lying registry that takes blobs and manifests, with the quirks of real ones.

    POST   …/blobs/uploads/             a session, or a mount, or (with ?digest=) a blob at once
    GET    …/blobs/uploads/<session>    how far it is
    PATCH  …/blobs/uploads/<session>    a piece more
    PUT    …/blobs/uploads/<session>?digest=…    the rest, if any, and it is a blob

What a quirk does is what some registry does: `peers.md` and the distribution-spec's issues.
"""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.lies import errors
from tests.support.lying_answers import Answer, Asked
from tests.support.registry import digest

if TYPE_CHECKING:
    from tests.support.lying import Lying

_PIECE = re.compile(r"(\d+)-(\d+)")
_CHILDREN = ("config", "layers", "manifests")


class Quirks(NamedTuple):
    """How this registry differs from the book. By default it does not."""

    empty_range: str | None = "0-0"
    """`Range` of a session that has nothing, which nobody defined; None: it is missing."""
    prefix: str = ""
    """What stands before each `Range`: some write `bytes=`."""
    relative: bool = False
    """Locations are paths without a host."""
    location: str = ""
    """Locations are at this server, `http://host:port`, and not where the request was sent."""
    states: bool = True
    """Each answer's location has a state of its own, and an older one is 404."""
    chunk_status: int = 202
    """What a PATCH is answered; 404, 405 or 415 take nothing of it. 201 is the registry that has
    a blob once all of it is there."""
    least_chunk: int | None = None
    """`OCI-Chunk-Min-Length`; a smaller piece is 416, but for the last one."""
    status_status: int = 204
    """What a GET of a session is answered: 405 where nobody may ask."""
    ranges_of_chunks: bool = False
    """`Range` counts from the piece that was sent, and not from the blob's start."""
    appends_refused: bool = False
    """A last PUT whose `Content-Range` is wrong is 400, and its bytes are taken nevertheless."""
    finishes: bool = True
    """A last PUT is 201; without this 202, though the blob is there."""
    mounts: bool = True
    subjects: bool = False
    """A manifest's subject is acknowledged by `OCI-Subject`."""
    referrers: bool = False
    """There is a page of referrers."""
    digest: str | None = None
    """`Docker-Content-Digest` of what was put, where that is a lie: `lies.OTHER_DIGEST`."""
    largest: int | None = None
    """A longer body is 413."""


class _Session:
    def __init__(self, repository: str) -> None:
        self.repository = repository
        self.data = bytearray()
        self.state = 0
        self.turn = threading.Lock()


class Uploads:
    """The sessions of a registry."""

    def __init__(self, registry: "Lying", quirks: Quirks) -> None:
        self.quirks = quirks
        self._registry = registry
        self._sessions: dict[str, _Session] = {}

    def forget(self) -> None:
        """Know no session."""
        with self._registry.changed:
            self._sessions.clear()

    @property
    def held(self) -> dict[str, int]:
        """How many bytes each session has."""
        with self._registry.changed:
            return {name: len(session.data) for name, session in self._sessions.items()}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being taken now, by any session."""
        with self._registry.changed:
            return not any(session.turn.locked() for session in self._sessions.values())

    def answer(self, asked: Asked, body: Iterator[bytes]) -> Answer:
        """Do what is asked, and say so."""
        refusal = self._registry.unauthorized(asked) or self._too_large(asked)
        if refusal is not None:
            return refusal
        if asked.kind == "manifests":
            return self._put_manifest(asked, b"".join(body))
        if asked.method == "POST":
            return self._begin(asked, body)
        session = self._session(asked)
        if session is None:
            return _refused(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        with session.turn:
            answers = {"PATCH": self._append, "PUT": self._finish, "DELETE": self._cancel}
            return answers.get(asked.method, self._report)(asked, session, body)

    def _too_large(self, asked: Asked) -> Answer | None:
        size, limit = int(asked.headers.get("Content-Length", 0)), self.quirks.largest
        if limit is None or size <= limit:
            return None
        return _refused(413, "SIZE_INVALID", "too large for us")

    def _session(self, asked: Asked) -> _Session | None:
        """The one that is asked for, by an address that is not old."""
        state = parse_qs(urlsplit(asked.path).query).get("state", ["0"])[0]
        with self._registry.changed:
            session = self._sessions.get(asked.object)
        if session is None or session.repository != asked.repository:
            return None
        return session if not self.quirks.states or state == str(session.state) else None

    def _report(self, asked: Asked, session: _Session, body: Iterator[bytes]) -> Answer:
        if self.quirks.status_status >= 400:
            return _refused(self.quirks.status_status, "UNSUPPORTED", "nobody may ask")
        return self._told(self.quirks.status_status, asked, session)

    def _cancel(self, asked: Asked, session: _Session, body: Iterator[bytes]) -> Answer:
        with self._registry.changed:
            self._sessions.pop(asked.object, None)
        return Answer(204)

    def _begin(self, asked: Asked, body: Iterator[bytes]) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        data = b"".join(body)
        if "mount" in query and self.quirks.mounts:
            held = self._registry.blobs.get(query.get("from", [""])[0], {})
            if (blob := held.get(query["mount"][0])) is not None:
                return self._made(asked, blob, query["mount"][0])
        if "digest" in query:
            return self._made(asked, data, query["digest"][0])
        session = _Session(asked.repository)
        with self._registry.changed:
            asked.object = str(uuid.uuid4())
            self._sessions[asked.object] = session
        answer = self._told(202, asked, session)
        if self.quirks.least_chunk is not None:
            return answer.with_header("OCI-Chunk-Min-Length", str(self.quirks.least_chunk))
        return answer

    def _append(self, asked: Asked, session: _Session, body: Iterator[bytes]) -> Answer:
        if self.quirks.chunk_status >= 400:
            return _refused(self.quirks.chunk_status, "UNSUPPORTED", "no chunks here")
        before = len(session.data)
        if not self._fits(asked, session):
            return self._told(416, asked, session)
        for piece in body:  # as they come: what is cut off later is kept
            session.data += piece
        took = len(session.data) - before
        least = self.quirks.least_chunk
        if least is not None and took < least and self._is_longer(session):
            del session.data[before:]
            return self._told(416, asked, session)
        session.state += 1
        answer = self._told(self.quirks.chunk_status, asked, session)
        if self.quirks.ranges_of_chunks:
            return answer.with_header("Range", f"{self.quirks.prefix}0-{took - 1}")
        return answer

    def _finish(self, asked: Asked, session: _Session, body: Iterator[bytes]) -> Answer:
        expected = parse_qs(urlsplit(asked.path).query).get("digest", [""])[0]
        if "Content-Range" in asked.headers and not self._fits(asked, session):
            for piece in body:
                if self.quirks.appends_refused:
                    session.data += piece
            if self.quirks.appends_refused:
                return _refused(400, "BLOB_UPLOAD_INVALID", "blob upload invalid")
            return self._told(416, asked, session)
        for piece in body:
            session.data += piece
        answer = self._made(asked, bytes(session.data), expected)
        if answer.status < 300:
            with self._registry.changed:
                self._sessions.pop(asked.object, None)
        return answer

    def _fits(self, asked: Asked, session: _Session) -> bool:
        told = asked.headers.get("Content-Range")
        if told is None:
            return True
        wanted = _PIECE.fullmatch(told)
        size = asked.headers.get("Content-Length")
        return (
            wanted is not None
            and int(wanted[1]) == len(session.data)
            and (size is None or int(wanted[2]) - int(wanted[1]) + 1 == int(size))
        )

    def _is_longer(self, session: _Session) -> bool:
        """Whether this cannot have been the last piece. Who pushes says nothing of that; so every
        blob that is held already elsewhere is known, and of others every piece may be the last.
        """
        held = [blob for blobs in self._registry.blobs.values() for blob in blobs.values()]
        return any(
            len(blob) > len(session.data) and blob.startswith(bytes(session.data)) for blob in held
        )

    def _made(self, asked: Asked, data: bytes, expected: str) -> Answer:
        if digest(data) != expected:
            return _refused(400, "DIGEST_INVALID", "provided digest did not match")
        self._registry.add_blob(asked.repository, data)
        headers = {
            "Location": f"/v2/{asked.repository}/blobs/{expected}",
            "Docker-Content-Digest": self.quirks.digest or expected,
        }
        return Answer(201 if self.quirks.finishes else 202, headers)

    def _told(self, status: int, asked: Asked, session: _Session) -> Answer:
        size = len(session.data)
        place = f"/v2/{asked.repository}/blobs/uploads/{asked.object}?state={session.state}"
        told = f"0-{size - 1}" if size else self.quirks.empty_range
        here = "" if self.quirks.relative else self.quirks.location or self._registry.url
        headers = {"Location": here + place, "Docker-Upload-UUID": asked.object}
        if told is not None:
            headers["Range"] = self.quirks.prefix + told
        return Answer(status, headers)

    def _put_manifest(self, asked: Asked, data: bytes) -> Answer:
        name = digest(data)
        if ":" in asked.object and asked.object != name:
            return _refused(400, "DIGEST_INVALID", "provided digest did not match")
        value = json.loads(data)
        for part in _CHILDREN:
            child = value.get(part) or []
            for each in child if isinstance(child, list) else [child]:
                # A layer with its own URLs is to be had from there.
                if not each.get("urls") and not self._holds(asked.repository, each["digest"]):
                    return _refused(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        tag = "" if ":" in asked.object else asked.object
        media_type = asked.headers.get("Content-Type", "")
        self._registry.add_manifest(asked.repository, tag, data, media_type)
        headers = {
            "Location": f"/v2/{asked.repository}/manifests/{name}",
            "Docker-Content-Digest": self.quirks.digest or name,
        }
        if self.quirks.subjects and "subject" in value:
            headers["OCI-Subject"] = value["subject"]["digest"]
        return Answer(201, headers)

    def _holds(self, repository: str, name: str) -> bool:
        held = self._registry
        return name in held.blobs.get(repository, {}) or name in held.manifests.get(repository, {})


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, errors(code, message))
