"""Write: one stream writes one ingest.

    open      the first message names the ref, which is held until the stream ends
    STAT      tells of the ingest
    WRITE     appends at the current offset; at offset 0 the ingest begins anew
    COMMIT    the same, and then the bytes become a blob and the stream ends
    SYNC      lading's own: makes the bytes so far survive a power cut, and answers as a STAT

After a commit, and when the client has said all, the last answer comes once more: containerd does
that, and clients know it. The state machine and its codes are those of containerd 1.6; what differs
is in docs/service.md. Whatever ends a stream, its writer is closed and the bytes are kept.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import BinaryIO, Protocol

from lading.content.events import Events, IngestProgress
from lading.content.store import ContentStore, Ingest, Writer
from lading.errors import AlreadyExists, Error, InvalidArgument, NotFound, OutOfRange
from lading.model.digest import Digest
from lading.rpc import wire
from lading.rpc.http2.messages import Soon
from lading.rpc.methods import Call
from lading.rpc.protos.content_pb2 import (
    COMMIT,
    LADING_SYNC,
    STAT,
    WRITE,
    WriteContentRequest,
    WriteContentResponse,
)
from lading.rpc.write_message import split

_CLOSING = timedelta(milliseconds=300)
"""How long a ref may stay locked by a stream that is just ending."""
_EMPTY = Digest.of(b"")
DIGEST_LIMIT = 1 << 20
"""Bytes up to which each answer has the digest so far. Beyond, hashing runs beside writing, and to
wait for it after each message would end that; a STAT and a COMMIT always have it."""
_PROGRESS_BYTES = 16 << 20
_PROGRESS_SECONDS = 0.5


class Tickets(Protocol):
    """What this needs of the files that clients have handed over."""

    def taken(self, ticket: str) -> BinaryIO:
        """The file, once; `NotFound` for a ticket that is not, or no more."""


class WriteStream:
    """One stream, while it lasts."""

    def __init__(self, call: Call, events: Events, tickets: Tickets | None) -> None:
        self._call, self._events, self._tickets = call, events, tickets
        self._store: ContentStore | None = None
        self._namespace = call.namespace or ""
        self._writer: Writer | None = None
        self._ref = ""
        self._total: int | None = None
        self._expected: Digest | None = None
        self._files: dict[str, BinaryIO] = {}
        self._told_bytes, self._told_at = 0, 0.0

    def run(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Answer each message, and the last one twice."""
        last: bytes | None = None
        try:
            for message in messages:
                request, data = split(message)
                last = self._answer(request, data).SerializeToString()
                del message, data  # a slow client keeps one message in memory, not two
                if request.action == COMMIT:
                    last = Soon(last)
                    yield last
                    break
                yield last
            if last is None:
                raise InvalidArgument("the stream ended before a message named its ref")
            yield last
        finally:
            self._close()

    def _answer(self, request: WriteContentRequest, data: memoryview) -> WriteContentResponse:
        if request.action not in {STAT, WRITE, COMMIT, LADING_SYNC}:
            raise InvalidArgument(f"{request.action} is no action: 0 stats, 1 writes, 2 commits")
        if self._writer is None:
            self._open(request)
        else:
            self._agree(request)
        writer = self._writer
        assert writer is not None
        if request.action == LADING_SYNC:
            writer.sync()
        if request.action in {STAT, LADING_SYNC}:
            return self._described(writer.status(), writer.digest)
        self._place(writer, request, data)
        if request.lading_ticket:
            self._take(writer, request.lading_ticket, request.lading_size)
        elif data:
            writer.write(data)
        if request.action == COMMIT:
            return self._commit(writer, request)
        offset = writer.offset
        self._tell(offset)
        answer = WriteContentResponse(action=WRITE, offset=offset)
        if offset <= DIGEST_LIMIT:
            answer.digest = writer.digest
        return answer

    # Beginning

    def _open(self, request: WriteContentRequest) -> None:
        if not request.ref:
            raise InvalidArgument("first message must have a reference")
        self._ref = request.ref
        self._expected = Digest.parse(request.expected) if request.expected else None
        self._total = _total_of(request)
        self._call.facts["ref"] = self._ref
        # Not earlier: a client that is refused before it has sent anything cannot send it, and
        # containerd's then says `EOF` in place of the reason.
        self._store = self._call.scope()
        self._writer = self._store.writer(
            self._ref, expected=self._expected, total=self._total, wait=_CLOSING
        )
        self._told_bytes = self._writer.offset

    def _agree(self, request: WriteContentRequest) -> None:
        """Take what a later message says of the whole; the newest word counts."""
        total = _total_of(request)
        if total is not None:
            self._total = total
        if not request.expected:
            return
        expected = Digest.parse(request.expected)
        if expected == self._expected:
            return
        self._expected = expected
        store = self._store
        assert store is not None
        if expected in store:
            self._close()
            with contextlib.suppress(NotFound):
                store.abort(self._ref)
            raise AlreadyExists(expected)

    # Bytes

    def _place(self, writer: Writer, request: WriteContentRequest, data: memoryview) -> None:
        """Have the writer where the message wants it, or raise `OutOfRange`."""
        current, offset = writer.offset, request.offset
        if offset == current:
            return
        if offset:
            raise OutOfRange(offset, current)
        # A client that forgets its offset would lose all that it has sent, and be told OK.
        has_nothing = not data and not request.lading_ticket
        if request.action == COMMIT and has_nothing and self._expected != _EMPTY:
            raise OutOfRange(offset, current)
        writer.truncate()
        self._told_bytes = 0

    def _take(self, writer: Writer, ticket: str, size: int) -> None:
        """Append from a file that was handed over. It stays open for the stream's next messages."""
        if self._tickets is None:
            raise NotFound(ticket[:64], "ticket")
        if size <= 0:
            raise InvalidArgument(f"{size} bytes of a file: say how many to take")
        if ticket not in self._files:
            self._files[ticket] = self._tickets.taken(ticket)
        writer.copy_from(self._files[ticket], limit=size)

    def _commit(self, writer: Writer, request: WriteContentRequest) -> WriteContentResponse:
        ingest = writer.status()
        try:
            blob = writer.commit(
                size=self._total, expected=self._expected, labels=dict(request.labels) or None
            )
        except AlreadyExists as known:
            self._call.facts["digest"] = str(known.what)
            raise
        self._call.facts |= {"digest": blob.digest, "bytes": blob.size}
        self._writer = None
        answer = self._described(ingest, blob.digest)
        answer.action = COMMIT
        answer.offset = blob.size
        return answer

    # Telling

    @staticmethod
    def _described(ingest: Ingest, digest: Digest) -> WriteContentResponse:
        return WriteContentResponse(
            action=STAT,
            started_at=wire.timestamp(ingest.started_ns),
            updated_at=wire.timestamp(ingest.updated_ns),
            offset=ingest.offset,
            total=ingest.total or 0,
            lading_total=ingest.total is not None,
            digest=digest,
        )

    def _tell(self, offset: int) -> None:
        """Emit how far it is, now and then."""
        if not self._events.is_heard:
            return
        now = time.monotonic()
        if offset - self._told_bytes < _PROGRESS_BYTES and now - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_bytes, self._told_at = offset, now
        event = IngestProgress(self._namespace, time.time_ns(), self._ref, offset, self._total)
        self._events.emit(event)

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._call.facts.setdefault("offset", writer.offset)
            with contextlib.suppress(Error):
                writer.close()
        files, self._files = self._files, {}
        for file in files.values():
            file.close()


def _total_of(request: WriteContentRequest) -> int | None:
    """The total of a message: containerd's clients cannot say 0, and negative ones say none."""
    if request.total > 0 or (request.lading_total and request.total == 0):
        return request.total
    return None


def write_with(
    events: Events, tickets: Tickets | None
) -> Callable[[Call, Iterator[bytes]], Iterator[bytes]]:
    """Make the method."""

    def write(call: Call, messages: Iterator[bytes]) -> Iterator[bytes]:
        yield from WriteStream(call, events, tickets).run(messages)

    return write
