"""The hash follower: it hashes what the file holds, behind the writer that fills it.

The writer hands over no bytes. It says how far the file reaches, and the follower reads the file
from where it is to there: so the caller may use its buffer again at once, nothing is kept
twice, and the digest is that of the bytes that were stored. While little is waiting there is no
thread, and the bytes are hashed when somebody asks; a long transfer gets one, which overlaps.
"""

import os
import threading
from collections.abc import Callable

from lading.model import hashing
from lading.model.digest import Digest
from lading.model.hashing import Hasher

READ_SIZE = 256 << 10
INLINE_LIMIT = 4 << 20
"""Bytes that may wait before a thread is worth its start."""
LAG_LIMIT = 256 << 20
"""Bytes that may wait at all. More would only make a resumption after a kill longer."""
STEP = 8 << 20
"""Bytes between two calls of `on_step`."""


def digest_of(file: int, size: int, algorithm: str) -> Digest:
    """Hash the first `size` bytes of a file. Raises `EOFError` if it has fewer."""
    follower = HashFollower(file, hashing.hasher(algorithm), 0, lambda position, hasher: None)
    follower.advance(size)
    try:
        return follower.finish().digest()
    finally:
        follower.stop()


class HashFollower:
    """Hashes `file` from `position` on. One thread drives it; `finish` and `stop` are its too."""

    def __init__(
        self,
        file: int,
        hasher: Hasher,
        position: int,
        on_step: Callable[[int, Hasher], None],
    ) -> None:
        self.position = position
        self._file, self._hasher, self._on_step = file, hasher, on_step
        self._end = position
        self._next_step = position + STEP
        self._thread: threading.Thread | None = None
        self._wake = threading.Condition()
        self._idle = False
        self._hurry = False
        self._awaited = False
        self._stopped = False
        self._error: BaseException | None = None

    def advance(self, end: int) -> None:
        """Say that the file is good up to `end`. Waits while too much is waiting."""
        self._end = end
        waiting = end - self.position
        if self._thread is not None:
            # Read after `_end` is set, as the thread sets it before it looks at `_end`.
            if self._idle and waiting >= READ_SIZE:
                with self._wake:
                    self._wake.notify_all()
            if waiting > LAG_LIMIT:
                with self._wake:
                    self._awaited = True
                    while self.waiting > LAG_LIMIT and self._error is None:
                        self._wake.wait()
                    self._awaited = False
        elif waiting >= INLINE_LIMIT:
            self._thread = threading.Thread(target=self._follow, name="lading-hash", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> int:
        """How many bytes are not hashed yet."""
        return self._end - self.position

    def finish(self) -> Hasher:
        """Hash up to the end and give the hasher, which is still the follower's."""
        if self._thread is None:
            if self.waiting:
                self._hash_up_to(self._end, memoryview(bytearray(min(self.waiting, READ_SIZE))))
        else:
            with self._wake:
                self._hurry = True
                self._wake.notify_all()
                while self.position < self._end and self._error is None:
                    self._wake.wait()
                self._hurry = False
        if self._error is not None:
            raise self._error
        return self._hasher

    def stop(self) -> None:
        """End the thread, wherever it is. Safe to call twice."""
        if self._thread is not None:
            with self._wake:
                self._stopped = True
                self._wake.notify_all()
            if self._thread is not threading.current_thread():  # a forgotten writer's last call
                self._thread.join()
            self._thread = None

    def _follow(self) -> None:
        buffer = memoryview(bytearray(READ_SIZE))
        try:
            while True:
                with self._wake:
                    self._idle = True
                    while not self._is_due():
                        self._wake.notify_all()
                        self._wake.wait()
                    self._idle = False
                    if self._stopped:
                        return
                    end = self._end
                self._hash_up_to(end, buffer)
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can act
            with self._wake:
                self._error = error
                self._wake.notify_all()

    def _is_due(self) -> bool:
        return self._stopped or self.waiting >= (1 if self._hurry else READ_SIZE)

    def _hash_up_to(self, end: int, buffer: memoryview) -> None:
        while self.position < end and not self._stopped:
            part = buffer[: min(len(buffer), end - self.position)]
            count = os.preadv(self._file, [part], self.position)
            if count == 0:
                raise EOFError(f"the file ends at {self.position}, not at {end}")
            self._hasher.update(part[:count])
            self.position += count
            if self._awaited:
                with self._wake:
                    self._wake.notify_all()
            if self.position >= self._next_step:
                self._next_step = self.position + STEP
                self._on_step(self.position, self._hasher)
