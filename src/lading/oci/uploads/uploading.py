"""One blob on its way to a registry.

    HEAD     the registry has it                                           done
    GET      a session is known: how far did it get?                       go on there
    POST     another repository of the registry has it: mount              done
             else a new session
    PATCH    chunk after chunk, the session remembered after each
    PUT      the digest, and done; or all of a blob that is small, or whose
             chunks the registry does not take

Whatever goes wrong, the registry is asked again what it has, and the upload goes on there: a lost
answer, a broken line and a refused offset are one case. In the end the registry compares the
digest. Where it finds another, our bytes are checked, and if they are right, the upload begins
anew, once.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from lading.content.transfer import REPORT_SECONDS
from lading.errors import DigestMismatch, Error, Refused, TooManyRequests, Unavailable
from lading.model.descriptor import Descriptor
from lading.oci.crew import Crew, Stopped
from lading.oci.progress import Begun, Done, Found, Mounted, Moved, Restarted, Waiting
from lading.oci.registry.remote import Remote
from lading.oci.transport.http import Response
from lading.oci.transport.refusals import BodyNeeded, Subject, refusal
from lading.oci.uploads import requests
from lading.oci.uploads.answers import after_chunk, begun, moved_to, offset_of
from lading.oci.uploads.bodies import Bytes, Hash, Spent, Stretch
from lading.oci.uploads.chunks import Chunks, ChunkSizes
from lading.oci.uploads.requests import UploadRequests
from lading.oci.uploads.sessions import LIFE_NS, Remembered, UploadSession, UploadSessions

RESTARTS_LIMIT = 1
"""How often a blob begins anew because the registry found other bytes than those of its digest."""


class UploadLost(Unavailable):
    """The registry has forgotten an upload, or contradicts itself about it. It begins anew."""


def upload(
    remote: Remote,
    blob: Descriptor,
    content: Bytes,
    *,
    sessions: UploadSessions,
    crew: Crew,
    mounts: Sequence[str] = (),
    sizes: ChunkSizes = ChunkSizes(),  # noqa: B008 - a value
) -> None:
    """Have a blob be in the remote's repository. One that is there already costs one request.

    `mounts` are repositories of the same registry that may have it. After a failure the registry
    keeps what it took, as well as it can, and the same call goes on there, in this process or
    another. Raises what `content` has to say of bytes that are not the digest's.
    """
    with sessions.of(remote.reference, blob.digest) as remembered:
        registry = UploadRequests(remote, blob)
        chunks = Chunks(blob.size, sizes)
        _Upload(registry, blob, content, remembered, chunks, crew=crew, mounts=mounts).run()


class _Upload:
    def __init__(
        self,
        registry: UploadRequests,
        blob: Descriptor,
        content: Bytes,
        remembered: Remembered,
        chunks: Chunks,
        *,
        crew: Crew,
        mounts: Sequence[str],
    ) -> None:
        self._registry, self._blob, self._content = registry, blob, content
        self._remembered, self._crew, self._mounts = remembered, crew, mounts
        self._hash = Hash(blob)
        self._chunks = chunks
        self._takes_chunks = True
        self._session: UploadSession | None = None
        self._has_begun = False
        self._furthest = self._moved = self._restarts = 0
        self._shown, self._told_s = 0, 0.0

    def run(self) -> None:
        """Upload, with pauses, until it is there or there is no point in going on."""
        self._session = self._remembered.read()
        tries, before = 0, 0
        while True:
            try:
                self._attempt()
            except DigestMismatch as mismatch:
                self._start_over(mismatch)
            except Spent as spent:
                raise spent.failure from None
            except Error as error:
                tries = tries + 1 if self._furthest == before else 1
                before = self._furthest
                self._pause(error, tries)
            else:
                self._remembered.forget()
                return

    def _pause(self, error: Error, tries: int) -> None:
        """Wait before another attempt, or raise the error where there is to be none."""
        self._crew.check()
        patience = self._crew.patience
        # To have lost an upload, or to need the body once more, is no reason to wait.
        pause_s = 0.0 if isinstance(error, (UploadLost, BodyNeeded)) else patience.pause_s(tries)
        if isinstance(error, TooManyRequests) and error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        if (
            not error.retryable
            or tries >= patience.attempts
            or pause_s > patience.longest_asked.total_seconds()
        ):
            raise error
        if pause_s:
            self._crew.tell(Waiting(self._blob, pause_s, str(error)))
            patience.sleep(pause_s)

    def _attempt(self) -> None:
        if self._registry.exists():
            # An attempt before this one may have put it there, and only its answer got lost.
            step = Done(self._blob, self._moved) if self._has_begun else Found(self._blob)
            return self._crew.tell(step)
        session = self._resumed() or self._begin()
        if session is None:
            return None
        if not self._has_begun:
            self._has_begun, self._shown = True, session.offset
            self._told_s = time.monotonic()
            self._crew.tell(Begun(self._blob, session.offset))
        if not self._is_in_one or session.offset:
            while session is not None and session.offset < self._blob.size:
                session = self._send_chunk(session)
        if session is not None:
            self._finish(session)
        return self._crew.tell(Done(self._blob, self._moved))

    @property
    def _is_in_one(self) -> bool:
        """Whether the whole blob goes in one request."""
        return self._chunks.takes_all or not self._takes_chunks

    # Sessions

    def _resumed(self) -> UploadSession | None:
        """The session that we know of, with its true offset; None if it is no good any more."""
        session = self._session
        if session is None:
            return None
        self._chunks.limit = session.chunk
        if not session.takes_chunks:
            self._takes_chunks = False
            self._lose("the registry takes it in one piece only")
            return None
        with self._registry.status(session) as answer:
            if answer.status in requests.GOOD:
                offset = offset_of(session, answer.headers, self._blob.size)
                if offset is not None:
                    return self._keep(replace(moved_to(session, answer), offset=offset))
        self._lose()
        return None

    def _lose(self, reason: str = "the registry has not kept its beginning") -> None:
        """Give a session up; the next one begins at 0."""
        lost, self._session = self._session, None
        self._remembered.forget()
        if self._shown or (lost is not None and lost.offset):
            self._shown = 0
            self._crew.tell(Restarted(self._blob, reason))

    def _lost(self, error: Error) -> UploadLost:
        self._lose()
        return UploadLost(str(error))

    def _keep(self, session: UploadSession) -> UploadSession:
        """Remember a session. First of all: a kill may come at any moment."""
        session = replace(session, deadline_ns=self._remembered.now_ns + LIFE_NS)
        self._session = session
        self._furthest = max(self._furthest, session.offset)
        if not self._chunks.takes_all:
            self._remembered.write(session)
        return session

    def _begin(self) -> UploadSession | None:
        """A new session; None where the blob was mounted instead."""
        answer = None
        if self._mounts:
            repository, self._mounts = self._mounts[0], ()
            answer = self._registry.mount(repository)
            if answer is not None and answer.status == requests.CREATED:
                with answer:
                    self._registry.check_digest(answer)
                self._crew.tell(Mounted(self._blob, repository))
                return None
        with answer or self._registry.open() as answer:
            session = begun(answer, self._remembered.now_ns)
        return self._keep(
            replace(session, takes_chunks=self._takes_chunks, chunk=self._chunks.limit)
        )

    # Chunks

    def _send_chunk(self, session: UploadSession) -> UploadSession | None:
        """The session after one more chunk; None where the registry finished it by itself."""
        count = self._chunks.next(session)
        began_s = time.monotonic()
        with self._registry.send(session, self._stretch(session.offset, count)) as answer:
            if answer.status not in requests.GOOD:
                return self._chunk_refused(session, answer, count)
            self._moved += count
            self._chunks.took(count, time.monotonic() - began_s)
            session = moved_to(session, answer)
            after = after_chunk(session, answer, count)
            if after is None:
                after = self._asked(session)
            is_at_end = after.offset == self._blob.size
            if answer.status == requests.CREATED and is_at_end and self._registry.exists():
                return None  # ECR needs no last request, and takes none
        after = self._keep(after)
        self._tell_moved(after.offset)
        return after

    def _chunk_refused(self, session: UploadSession, answer: Response, count: int) -> UploadSession:
        """Where to go on after all, or raise."""
        error = self._refusal(answer, "PATCH", session)
        if answer.status == requests.NOT_FOUND and session.offset:
            raise self._lost(error)
        if answer.status == requests.TOO_LARGE:
            if not self._chunks.shrink(count, session):
                raise error
            return self._again(replace(session, chunk=self._chunks.limit))
        if answer.status not in {requests.NOT_FOUND, *requests.NO_CHUNKS}:
            found = self._where(session, answer)
            if found is not None and found.offset != session.offset:
                return self._keep(found)
            if found is None and session.offset:
                raise self._forgotten()
        # It has what we think it has, and does not take what comes next: it takes no chunks.
        if not self._takes_chunks:
            raise error
        self._takes_chunks = False
        raise self._lost(error)

    def _where(self, session: UploadSession, answer: Response) -> UploadSession | None:
        """Where a session is that refused an offset: as it says then, else as it says asked."""
        if answer.status == requests.BAD_RANGE and "Range" in answer.headers:
            offset = offset_of(session, answer.headers, self._blob.size)
            if offset is not None and offset != session.offset:
                return replace(moved_to(session, answer), offset=offset)
        self._session = session
        return self._resumed()

    def _asked(self, session: UploadSession) -> UploadSession:
        self._session = session
        found = self._resumed()
        if found is None:
            raise self._forgotten()
        return found

    def _again(self, session: UploadSession) -> UploadSession:
        """The session to send a chunk to that was too large: another one, if this has nothing."""
        if session.offset:
            return self._asked(session)
        self._lose()
        opened = self._begin()
        assert opened is not None  # what could be mounted was
        return opened

    def _forgotten(self) -> UploadLost:
        return UploadLost(f"{self._registry.host}: it has forgotten an upload; push again")

    # The end

    def _finish(self, session: UploadSession) -> None:
        """Send what is left, and the digest."""
        rest = self._stretch(session.offset, self._blob.size - session.offset)
        with self._registry.finish(session, rest) as answer:
            if answer.status not in requests.GOOD:
                return self._finish_refused(session, answer, rest)
            self._moved += rest.size
            self._registry.check_digest(answer)
            if answer.status != requests.CREATED and not self._registry.exists():
                raise Unavailable(
                    f"{self._registry.host}: it took all of {self._blob.digest} and does not"
                    " have it; push again"
                )
        return None

    def _finish_refused(self, session: UploadSession, answer: Response, rest: Stretch) -> None:
        error = self._refusal(answer, "PUT", session)
        if self._registry.exists():
            return  # it was finished before, and the answer got lost
        if answer.status == requests.TOO_LARGE and rest.size and self._takes_chunks:
            if not self._chunks.shrink(rest.size, session):
                raise error
            raise self._lost(error)
        is_about_digest = isinstance(error, Refused) and error.code == "DIGEST_INVALID"
        if not is_about_digest and rest.size < self._blob.size:
            self._session = session
            found = self._resumed()
            if found is not None and found.offset < self._blob.size:
                raise UploadLost(f"{self._registry.host}: it has not got all of it; push again")
        # Nothing is missing, and it does not take it: what it has must be something else.
        self._start_over(error)
        raise UploadLost(str(error))

    def _start_over(self, error: Error) -> None:
        """Begin anew since wrong bytes were sent, or are said to be; or raise why not."""
        if self._session is not None:
            self._registry.cancel(self._session)
        self._lose("the registry has found other bytes than those of the digest")
        self._content.check()
        if self._restarts >= RESTARTS_LIMIT:
            raise Spent(error) if error.retryable else error
        self._restarts += 1
        self._hash = Hash(self._blob)

    # Both

    def _stretch(self, start: int, size: int) -> Stretch:
        if size:
            self._crew.check()  # what has not begun need not end
        return Stretch(
            self._blob,
            self._content,
            self._hash,
            self._crew,
            start=start,
            end=start + size,
            sent=self._tell_moved,
        )

    def _tell_moved(self, offset: int) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= REPORT_SECONDS and not self._crew.is_stopped:
            self._told_s, self._shown = now_s, offset
            with suppress(Stopped):  # it is for the body to say whether that ends it
                self._crew.tell(Moved(self._blob, offset))

    def _refusal(self, answer: Response, method: str, session: UploadSession) -> Error:
        """What a refusal means; raises it where asking again, or otherwise, would not help."""
        error = refusal(answer, Subject("blob", self._blob.digest), method=method)
        if answer.status == requests.FORBIDDEN and self._registry.is_at_home(session):
            raise error
        # What is not found is the session, and nobody has asked for that.
        return self._forgotten() if answer.status == requests.NOT_FOUND else error
