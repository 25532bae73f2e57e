"""RemoteFile: the bytes of a blob in another process, as a file.

One Read is kept open while reading goes forward, and the other end sends ahead as far as the
connection's window allows. After a jump only a little is asked for, since another may follow.
"""

import io
from collections.abc import Iterator
from typing import Final

from lading.errors import DataLoss, NotFound, Unavailable
from lading.model.digest import Digest
from lading.rpc.client import containerd
from lading.rpc.client.channel import Answers, Channel, Headers, Method, made
from lading.rpc.protos import content_pb2
from lading.rpc.protos.content_pb2 import ReadContentResponse

READ: Final = Method(
    "/containerd.services.content.v1.Content/Read", content_pb2.ReadContentResponse, repeats=True
)
JUMP = 1 << 20
"""Bytes that are asked for after a jump."""
SKIP = 4 << 20
"""So far ahead is read over sooner than asked for anew."""
ATTEMPTS = 3
BUFFER_SIZE = 256 << 10
_NOTHING = memoryview(b"")


def pieces(channel: Channel, headers: Headers, digest: Digest) -> Iterator[bytes]:
    """A whole blob, message by message."""
    request = made(content_pb2.ReadContentRequest, digest=digest)
    try:
        for answer in channel.listed(READ, request, headers):
            yield answer.data
    except NotFound as error:
        raise containerd.about_blob(error, digest) from error


class RemoteFile(io.RawIOBase):
    """Made by `RemoteScope.open`. Belongs to one thread at a time."""

    def __init__(self, channel: Channel, headers: Headers, digest: Digest, size: int) -> None:
        super().__init__()
        self._channel, self._headers = channel, headers
        self._digest, self._size = digest, size
        self._position = 0
        self._answers: Answers | None = None
        self._ahead = _NOTHING
        """What has come and was not read yet, from `_at` on."""
        self._at = 0
        self._end = 0
        """Where the open Read ends."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check_open()
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in origin:
            raise ValueError(f"seek: {whence} is no place to count from")
        position = origin[whence] + offset
        if position < 0:
            raise ValueError(f"seek: {position} is before the beginning")
        self._position = position
        return position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer
        self._check_open()
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._available(wanted)
        count = min(wanted, len(data))
        target[:count] = data[:count]
        self._go_on(count)
        return count

    def readall(self) -> bytes:
        self._check_open()
        found = []
        while (wanted := self._size - self._position) > 0:
            data = self._available(wanted)
            found.append(bytes(data))
            self._go_on(len(data))
        return b"".join(found)

    def close(self) -> None:
        if not self.closed:
            self._stop()
        super().close()

    # Inside

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _go_on(self, count: int) -> None:
        self._position += count
        self._at += count
        self._ahead = self._ahead[count:]

    def _available(self, wanted: int) -> memoryview:
        """What there is at the position, at least a byte of it."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._reach(wanted)
            except Unavailable:
                self._stop()
                if attempt == ATTEMPTS:
                    raise
                continue
            except NotFound as error:
                self._stop()
                raise containerd.about_blob(error, self._digest) from error
            except BaseException:
                self._stop()
                raise
            break
        return self._ahead

    def _reach(self, wanted: int) -> None:
        """Have the open Read, or a new one, stand at the position with bytes ahead."""
        is_near = self._at <= self._position < min(self._end, self._at + len(self._ahead) + SKIP)
        if self._answers is None or not is_near:
            goes_on = self._position in {self._end, 0}
            self._open(self._size if goes_on else self._position + max(wanted, JUMP))
        while self._at + len(self._ahead) <= self._position:
            assert self._answers is not None
            answer: ReadContentResponse | None = self._answers.take()
            if answer is None:
                raise DataLoss(self._digest, f"it ends at {self._at} of {self._size} bytes")
            self._at += len(self._ahead)
            self._ahead = memoryview(answer.data)
        skipped = self._position - self._at
        self._at, self._ahead = self._position, self._ahead[skipped:]

    def _open(self, end: int) -> None:
        self._stop()
        self._at, self._end = self._position, min(end, self._size)
        request = made(
            content_pb2.ReadContentRequest,
            digest=self._digest,
            offset=self._at,
            size=self._end - self._at,
        )
        self._answers = self._channel.many(READ, request, self._headers)

    def _stop(self) -> None:
        answers, self._answers = self._answers, None
        self._ahead = _NOTHING
        if answers is not None:
            answers.cancel()
