"""A registry that lies: from a table of faults, and otherwise by the book.

    with lying({"team/app:1": image}, faults={"blobs": [Cut(1234), Status(503)]}) as registry:
        …                            # f"{registry.host}/team/app:1" is what a client would pull
        registry.asked("blobs")      # what it was asked, in order: range, headers, bytes sent

A table names requests by words: a method; a kind, which is blobs, manifests, uploads, files,
signed, token, tags or base; `range` or `whole`; a repository; a tag or a digest. A request is meant
that has all the words. Without a method, GET is meant; at uploads, PATCH. The nth fault of a list
is for the nth request that is meant, an `Always` for all that come, and after the list the
registry is honest. Where several rows mean a request, the first that has a fault left is taken.

Faults are in `tests.support.lies`. It speaks HTTP/1.1, as every registry does, on loopback.
"""

import contextlib
import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.lies import HONEST, Always, Fault, errors
from tests.support.lying_answers import Answer, Asked
from tests.support.lying_http import Server
from tests.support.lying_uploads import Quirks, Uploads
from tests.support.registry import Image, digest

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_OPEN = {"token", "signed"}
_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"}
_CHALLENGE = (
    'Bearer realm="{server}/token",service="lying",scope="repository:{repository}:{action}"'
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
Faults = Mapping[str, Sequence[Fault]]


class Lying:
    """A registry that runs. What it holds and how it lies may be changed at any time."""

    def __init__(
        self,
        images: Mapping[str, Image] | None = None,
        *,
        faults: Faults | None = None,
        files: Mapping[str, bytes] | None = None,
        tokens: bool = False,
        closed_only: bool = False,
        quirks: Quirks = Quirks(),  # noqa: B008 - a value
        context: ssl.SSLContext | None = None,
    ) -> None:
        """With `tokens`, whoever asks needs one, which anybody gets; who has none is told no lies.
        With `closed_only`, a range without an end is answered by 416. `files` are at
        `url_of(name)`, beside the images.
        """
        self.files: dict[str, bytes] = dict(files or {})
        self.tokens, self.closed_only = tokens, closed_only
        self.log: list[Asked] = []
        """Every request, in the order in which their heads came."""
        self.blobs: dict[str, dict[str, bytes]] = {}
        """By repository and digest."""
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        """By repository and tag or digest: media type and bytes."""
        self.changed = threading.Condition()
        """Notified when something of a request has happened."""
        self.ended = threading.Event()
        self.other: Lying | None = None
        """Another server, for lies that send somebody there."""
        self.mistakes: list[BaseException | None] = []
        """Errors in this registry itself, which are raised when it ends."""
        self.uploads = Uploads(self, quirks)
        self._faults: dict[str, list[Fault]] = {}
        self._known: set[str] = set()
        self._given = 0
        self._names: dict[int, tuple[bytes, str]] = {}
        self._signed: dict[str, list[Any]] = {}
        self.lie(faults or {})
        self._server = Server(self, context)
        scheme = "https" if context else "http"
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{scheme}://{self.host}"
        for name, made in (images or {}).items():
            self.add(name, made)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    # What it holds.

    def add(self, name: str, made: Image) -> str:
        """Hold an image under `repository:tag`; gives its whole reference."""
        repository, _, tag = name.rpartition(":")
        for blob in (made.config, *made.layers):
            self.add_blob(repository, blob)
        self.add_manifest(repository, tag, made.manifest, _MANIFEST)
        return f"{self.host}/{name}"

    def add_blob(self, repository: str, blob: bytes) -> str:
        """Hold a blob; gives its digest."""
        name = digest(blob)
        self.blobs.setdefault(repository, {})[name] = blob
        return name

    def add_manifest(self, repository: str, tag: str, data: bytes, media_type: str) -> str:
        """Hold any bytes as a manifest, under a tag (none where it is empty) and its digest."""
        name = digest(data)
        held = self.manifests.setdefault(repository, {})
        held |= dict.fromkeys(filter(None, (tag, name)), (media_type, data))
        return name

    def url_of(self, file: str) -> str:
        """Where a file is."""
        return f"{self.url}/files/{file}"

    def sign(self, data: bytes, *, uses: int | None = None, size: int | None = None) -> str:
        """An address of some bytes, which answers 403 after so many requests or bytes sent, and
        breaks off at that many bytes. No token is needed there.
        """
        with self.changed:
            name = f"{len(self._signed) + 1}"
            self._signed[name] = [data, uses, size]
        return f"{self.url}/signed/{name}?X-Signature=secret"

    # How it lies.

    def lie(self, faults: Faults) -> None:
        """Tell these lies from now on, and no others."""
        with self.changed:
            self._faults = {key: list(row) for key, row in faults.items()}

    def revoke(self) -> None:
        """Know none of the tokens that were given out."""
        with self.changed:
            self._known.clear()

    def forget_uploads(self) -> None:
        """Know no upload session."""
        self.uploads.forget()

    # What it was asked.

    def asked(self, words: str = "") -> list[Asked]:
        """The requests that have all these words, in order."""
        with self.changed:
            return [each for each in self.log if set(words.split()) <= each.words]

    def wait_for(self, words: str, *, count: int = 1, sent: int = 0) -> list[Asked]:
        """Wait until there are `count` such requests, of which `sent` bytes were sent."""

        def found() -> list[Asked]:
            matching = [each for each in self.log if set(words.split()) <= each.words]
            enough = len(matching) >= count and sum(each.sent for each in matching) >= sent
            return matching if enough else []

        with self.changed:
            matching = self.changed.wait_for(found, timeout=60)
        assert matching, [str(each) for each in self.log]
        return matching

    def close(self) -> None:
        """End it: every connection, and every stall."""
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        assert not self.mistakes, self.mistakes

    # How it answers.

    def answer(self, asked: Asked, body: Iterator[bytes]) -> Answer:
        """What an honest registry says."""
        open_to_all = {"token": self._token, "signed": self._at_signed}
        if asked.kind in open_to_all:
            return open_to_all[asked.kind](asked)
        if asked.kind == "uploads" or asked.method == "PUT":
            return self.uploads.answer(asked, body)
        if (refusal := self.unauthorized(asked)) is not None:
            return refusal
        pages = {"base": self._base, "tags": self._tags, "referrers": self._referrers}
        return pages.get(asked.kind, self._content)(asked)

    def _base(self, asked: Asked) -> Answer:
        return _json(200, b"{}")

    def _content(self, asked: Asked) -> Answer:
        found = self._object(asked)
        if found is None:
            unknown = {"blobs": "BLOB_UNKNOWN", "manifests": "MANIFEST_UNKNOWN"}
            return _json(
                404, errors(unknown.get(asked.kind, "NAME_UNKNOWN"), "unknown to registry")
            )
        media_type, asked.whole = found
        if asked.method == "DELETE":
            self._delete(asked)
            return Answer(202)
        headers = {"Content-Type": media_type, "Etag": f'"{self._name_of(asked.whole)}"'}
        if asked.kind != "files":
            headers["Docker-Content-Digest"] = self._name_of(asked.whole)
        return self.ranged(asked, headers)

    def ranged(self, asked: Asked, headers: Mapping[str, str]) -> Answer:
        """The whole, or the part that was asked for. RFC 9110, 14."""
        size = len(asked.whole)
        wanted = _RANGE.fullmatch(asked.range or "")
        if wanted is None or asked.kind == "manifests":
            return Answer(200, headers, asked.whole)
        start = int(wanted[1])
        end = min(int(wanted[2] or size - 1), size - 1)
        if start > end or (self.closed_only and not wanted[2]):
            return Answer(416, {"Content-Range": f"bytes */{size}"})
        asked.start = start
        told = {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
        return Answer(206, told, asked.whole[start : end + 1])

    def fault_for(self, asked: Asked) -> Fault:
        """Take the fault that the table has for a request; none for one that is not let in."""
        if asked.kind not in _OPEN and self.unauthorized(asked) is not None:
            return HONEST
        with self.changed:
            for key, row in self._faults.items():
                words = set(key.split())
                if not words & _METHODS:
                    words.add("PATCH" if asked.kind == "uploads" else "GET")
                if row and words <= asked.words:
                    asked.fault = row[0] if isinstance(row[0], Always) else row.pop(0)
                    return asked.fault
        return HONEST

    def unauthorized(self, asked: Asked) -> Answer | None:
        """The answer to who has no token and needs one."""
        if not self.tokens:
            return None
        with self.changed:
            if (asked.authorization or "").removeprefix("Bearer ") in self._known:
                return None
        action = "pull" if asked.method in {"GET", "HEAD"} else "pull,push"
        challenge = _CHALLENGE.format(server=self.url, repository=asked.repository, action=action)
        refusal = _json(401, errors("UNAUTHORIZED", "authentication required"))
        return refusal.with_header("WWW-Authenticate", challenge)

    def _token(self, asked: Asked) -> Answer:
        with self.changed:
            self._given += 1
            token = f"token-{self._given}"
            self._known.add(token)
        return _json(200, json.dumps({"token": token, "expires_in": 3600}).encode())

    def _at_signed(self, asked: Asked) -> Answer:
        with self.changed:
            data, uses, size = self._signed.get(asked.object, (b"", 0, 0))
            if uses == 0 or size == 0:
                denied = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
                return Answer(403, {"Content-Type": "application/xml"}, denied + b"</Error>")
            if uses is not None:
                self._signed[asked.object][1] = uses - 1
            asked.whole = data
            answer = self.ranged(asked, {"Content-Type": "application/octet-stream"})
            if size is not None and asked.method == "GET":
                self._signed[asked.object][2] = max(size - len(answer.body), 0)
                if size < len(answer.body):
                    return Answer(
                        answer.status, answer.headers, answer.body, stop=size, ending="close"
                    )
        return answer

    def _object(self, asked: Asked) -> tuple[str, bytes] | None:
        if asked.kind == "manifests":
            return self.manifests.get(asked.repository, {}).get(asked.object)
        held = self.files if asked.kind == "files" else self.blobs.get(asked.repository, {})
        data = held.get(asked.object)
        return None if data is None else ("application/octet-stream", data)

    def _name_of(self, data: bytes) -> str:
        """The digest of what is held; each is hashed once, since some are large."""
        with self.changed:
            known, name = self._names.get(id(data), (b"", ""))
        if known is not data:
            name = digest(data)
            with self.changed:
                self._names[id(data)] = (data, name)
        return name

    def _delete(self, asked: Asked) -> None:
        with self.changed:
            if asked.kind == "blobs":
                del self.blobs[asked.repository][asked.object]
            elif ":" not in asked.object:  # a tag alone
                del self.manifests[asked.repository][asked.object]
            else:
                held = self.manifests[asked.repository]
                gone = [name for name, (_, data) in held.items() if digest(data) == asked.object]
                for name in gone:
                    del held[name]

    def _tags(self, asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        tags = sorted(tag for tag in self.manifests.get(asked.repository, {}) if ":" not in tag)
        after, count = query.get("last", [""])[0], int(query.get("n", ["1000"])[0])
        rest = [tag for tag in tags if tag > after]
        page = rest[:count]
        answer = _json(200, json.dumps({"name": asked.repository, "tags": page}).encode())
        if len(rest) > count:
            link = f'</v2/{asked.repository}/tags/list?last={page[-1]}&n={count}>; rel="next"'
            return answer.with_header("Link", link)
        return answer

    def _referrers(self, asked: Asked) -> Answer:
        if not self.uploads.quirks.referrers:
            return _json(404, errors("UNSUPPORTED", "no such page"))
        found = []
        for name, (media_type, data) in self.manifests.get(asked.repository, {}).items():
            value = json.loads(data)
            if name == digest(data) and (value.get("subject") or {}).get("digest") == asked.object:
                kind = value.get("artifactType") or value.get("config", {}).get("mediaType")
                described = {"mediaType": media_type, "digest": name, "size": len(data)}
                found.append(described | {"artifactType": kind})
        index = "application/vnd.oci.image.index.v1+json"
        body = {"schemaVersion": 2, "mediaType": index, "manifests": found}
        return Answer(200, {"Content-Type": index}, json.dumps(body).encode())


@contextlib.contextmanager
def lying(images: Mapping[str, Image] | None = None, **options: Any) -> Iterator[Lying]:
    """A registry that runs until the block ends; the options are those of `Lying`."""
    server = Lying(images, **options)
    try:
        yield server
    finally:
        server.close()


def _json(status: int, body: bytes) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, body)
