"""RemoteWriter: an ingest in another process.

One stream holds the ref. The other end ends it with every error it tells, while a writer of ours
stays open after a refused commit; so the ref is opened again at once, and the writer goes on only
if it finds the ingest as it left it.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import BinaryIO

from lading.content.store import COPY_STEP, NO_LABELS, Blob, Ingest, Labels, Writer, given
from lading.errors import (
    Aborted,
    AlreadyExists,
    DigestMismatch,
    Error,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RefLocked,
    SizeMismatch,
    Unavailable,
    WriterClosed,
)
from lading.model.digest import Data, Digest, bytes_of
from lading.rpc.client import containerd
from lading.rpc.client.handing import Handing
from lading.rpc.client.write_call import WriteCall, message
from lading.rpc.protos.content_pb2 import (
    COMMIT,
    LADING_SYNC,
    STAT,
    WRITE,
    WriteContentResponse,
)
from lading.rpc.wire import nanoseconds

PIECE = 1 << 20
"""Bytes of a message: any server takes 4 MiB."""
WINDOW = 4
"""Messages on their way."""
PATIENCE = timedelta(seconds=5)
"""How long to wait for our own ref after an error; nobody holds it longer than it takes to look."""
_FIRST_PAUSE, _LAST_PAUSE = 0.004, 0.25


def open_writer(
    call: Callable[[], WriteCall],
    ref: str,
    *,
    expected: Digest | None,
    total: int | None,
    wait: timedelta | None,
    expected_of: Callable[[str], Digest | None],
    blob_of: Callable[[Digest, int], Blob],
    handing: Handing,
) -> "RemoteWriter":
    """Take the ref; the protocol has no waiting, so that is done here, by asking again."""
    stream, state = _opened(call, ref, expected, total, wait)
    return RemoteWriter(
        call,
        stream,
        state,
        ref,
        expected=expected,
        total=total,
        expected_of=expected_of,
        blob_of=blob_of,
        handing=handing,
    )


def _opened(
    call: Callable[[], WriteCall],
    ref: str,
    expected: Digest | None,
    total: int | None,
    wait: timedelta | None,
) -> tuple[WriteCall, WriteContentResponse]:
    first = message(STAT, ref=ref, total=total, expected=expected)
    deadline = time.monotonic() + (wait.total_seconds() if wait else 0)
    pause = _FIRST_PAUSE
    while True:
        stream = call()
        try:
            stream.send(first)
            return stream, stream.answer()
        except Error as error:
            told = containerd.about_blob(containerd.about_ref(error, ref), expected)
            left = deadline - time.monotonic()
            if not isinstance(told, RefLocked) or left <= 0:
                if told is error:
                    raise
                raise told from error
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_PAUSE)
        except BaseException:
            stream.cancel()
            raise


class RemoteWriter(Writer):
    """Made by `RemoteScope.writer`."""

    def __init__(
        self,
        call: Callable[[], WriteCall],
        stream: WriteCall,
        state: WriteContentResponse,
        ref: str,
        *,
        expected: Digest | None,
        total: int | None,
        expected_of: Callable[[str], Digest | None],
        blob_of: Callable[[Digest, int], Blob],
        handing: Handing,
    ) -> None:
        self.ref = ref
        self._call, self._stream = call, stream
        self._offset = state.offset
        self._started_ns = nanoseconds(state.started_at)
        told = state.total if state.lading_total else state.total or None
        self._total = told if total is None else total
        self._expected, self._knows_expected = expected, expected is not None
        self._expected_of, self._blob_of, self._handing = expected_of, blob_of, handing
        self._committed: Digest | None = None
        self._end: type[Aborted | WriterClosed] | None = None
        self._bounds = self._offset, self._offset
        """Between which offsets the ingest is, whatever becomes of what is on its way."""

    @property
    def offset(self) -> int:
        with contextlib.suppress(Error):
            self._settle()
        return self._offset

    @property
    def digest(self) -> Digest:
        if self._committed is not None:
            return self._committed
        return Digest(self._ask(STAT).digest)

    def status(self) -> Ingest:
        state = self._ask(STAT)
        if not self._knows_expected:
            # A stream does not tell what an earlier writer has said, and it does not change.
            self._expected, self._knows_expected = self._expected_of(self.ref), True
        return Ingest(
            self.ref,
            state.offset,
            self._total,
            self._expected,
            nanoseconds(state.started_at),
            nanoseconds(state.updated_at),
        )

    # Bytes

    def write(self, data: Data) -> int:
        stream = self._live()
        view = bytes_of(data)
        self._check_total(len(view))
        try:
            for start in range(0, len(view) or 1, PIECE):
                self._send(stream, view[start : start + PIECE])
        finally:
            self._settle()
        return len(view)

    def copy_from(self, source: BinaryIO, *, limit: int | None = None) -> int:
        self._live()
        handed = self._copy_handed(source, limit)
        rest = None if limit is None else limit - handed
        return handed + (0 if rest == 0 else self._copy_streamed(source, rest))

    def truncate(self, size: int = 0) -> None:
        if size != 0:
            raise InvalidArgument(f"truncate to {size}: an ingest can only be emptied, to 0")
        self._ask(WRITE, offset=0)

    def sync(self) -> None:
        """Make the bytes so far survive a power cut.

        containerd does that when it closes an ingest and at no other time. So it is closed and
        opened again; for a moment its ref is free, and `WriterClosed` says that somebody took it.
        """
        if self._ask(LADING_SYNC).action != LADING_SYNC:
            return
        self._bounds = self._offset, self._offset
        try:
            self._stream.end()
            self._reopen()
        except Error as error:
            self._end = Aborted if isinstance(error, Aborted) else WriterClosed
            raise self._end(self.ref) from error

    # Ending

    def commit(
        self,
        *,
        size: int | None = None,
        expected: Digest | None = None,
        labels: Labels | None = None,
    ) -> Blob:
        self._live()
        size = self._total if size is None else size
        if size is not None and size != self.offset:
            self._ask(STAT)  # one that was aborted is told that
            raise SizeMismatch(size, self._offset)
        if expected is not None and expected != self._expected:
            self._check_digest(expected)
        answer = self._ask(
            COMMIT,
            offset=self._offset,
            total=size,
            expected=expected or self._expected,
            labels=labels or NO_LABELS,
        )
        self._committed, self._end = Digest(answer.digest), WriterClosed
        with contextlib.suppress(Error):
            self._stream.end()
        return self._blob_of(self._committed, answer.offset)

    def _check_digest(self, expected: Digest) -> None:
        """Refuse here what the other end would take for a wish to have another blob.

        If that is known there, it answers so and throws away what was written.
        """
        actual = self.digest
        if actual.algorithm == expected.algorithm and actual != expected:
            raise DigestMismatch(expected, actual)

    def close(self) -> None:
        if self._end is not None:
            self._stream.cancel()
        else:
            with contextlib.suppress(Error):
                self._settle()
            with contextlib.suppress(Error):
                self._stream.end()
        self._end = WriterClosed

    # Inside

    def _live(self) -> WriteCall:
        """The stream, with no answer outstanding, or what has ended it."""
        if self._end is not None:
            raise self._end(self.ref)
        self._settle()
        return self._stream

    def _ask(
        self,
        action: int,
        *,
        offset: int = 0,
        total: int | None = None,
        expected: Digest | None = None,
        labels: Labels = NO_LABELS,
        ticket: str = "",
        size: int = 0,
    ) -> WriteContentResponse:
        asked = message(
            action,
            offset=offset,
            total=total,
            expected=expected,
            labels=labels,
            ticket=ticket,
            size=size,
        )
        stream = self._live()
        places = (self._offset, offset + size) if action == WRITE else (self._offset,)
        self._bounds = min(places), max(places)
        stream.send(asked)
        answer = self._answered(expected)
        self._offset = answer.offset
        return answer

    def _send(self, stream: WriteCall, data: memoryview) -> None:
        """Send bytes after those that are on their way, and wait if those are too many."""
        if stream.unanswered >= WINDOW:
            self._offset = self._answered().offset
        sent = self._bounds[1] if stream.unanswered else self._offset
        self._bounds = self._offset, sent + len(data)
        stream.send(message(WRITE, offset=sent, data=data))

    def _settle(self) -> None:
        """Take every answer that is outstanding, so that the offset is true."""
        while self._stream.unanswered:
            self._offset = self._answered().offset

    def _answered(self, expected: Digest | None = None) -> WriteContentResponse:
        try:
            return self._stream.answer()
        except Error as error:
            told = containerd.about_blob(containerd.about_ref(error, self.ref), expected)
            self._after(told)
            if told is error:
                raise
            raise told from error

    def _after(self, error: Error) -> None:
        """Open the ref again if the error has left the ingest there; else this has ended."""
        if isinstance(error, Aborted):
            self._end = Aborted
        elif isinstance(error, (AlreadyExists, Unavailable, PermissionDenied)):
            self._end = WriterClosed
        else:
            try:
                self._reopen()
            except Error as another:
                self._end = Aborted if isinstance(another, Aborted) else WriterClosed

    def _reopen(self) -> None:
        """Take the ref again. What it holds has to be what this writer left there."""
        stream, state = _opened(self._call, self.ref, None, None, PATIENCE)
        lowest, highest = self._bounds
        if nanoseconds(state.started_at) != self._started_ns:
            stream.cancel()
            raise Aborted(self.ref)
        if not lowest <= state.offset <= highest:
            stream.cancel()
            raise WriterClosed(self.ref)
        self._stream, self._offset = stream, state.offset

    def _check_total(self, count: int) -> None:
        after = self._offset + count
        if self._total is not None and after > self._total:
            raise SizeMismatch(self._total, after)

    # Copying

    def _copy_streamed(self, source: BinaryIO, limit: int | None) -> int:
        stream = self._live()
        copied, start = 0, self._offset
        read_into = getattr(source, "readinto", None)
        buffer = memoryview(bytearray(COPY_STEP if read_into else 0))
        try:
            while limit is None or copied < limit:
                step = COPY_STEP if limit is None else min(COPY_STEP, limit - copied)
                data = (
                    buffer[: given(read_into(buffer[:step]))]
                    if read_into
                    else bytes_of(given(source.read(step)))
                )
                if not data:
                    break
                if self._total is not None and start + copied + len(data) > self._total:
                    self._settle()
                    self._check_total(len(data))
                self._send(stream, data)
                copied += len(data)
        finally:
            self._settle()
        return copied

    def _copy_handed(self, source: BinaryIO, limit: int | None) -> int:
        """Have the other end read the source itself, as far as that goes; say how far it went."""
        file = self._handing.file_of(source, limit)
        if file is None:
            return 0
        room = None if self._total is None else self._total - self._offset
        if room is not None and file.size > room:
            return 0  # what does not fit is refused where its bytes are seen
        copied = 0
        with file:
            while copied < file.size:
                before = self._offset
                step = min(file.size - copied, self._handing.step)
                try:
                    self._ask(WRITE, offset=before, ticket=file.ticket, size=step)
                except NotFound as refused:
                    if refused.kind != "ticket":
                        raise
                    self._handing.stop()
                    break
                finally:
                    # Whatever has become of it, what has arrived is taken from the source.
                    copied += self._offset - before
                    file.taken(copied)
                if self._offset - before < step:
                    break
        return copied
