"""What is sent to a registry: a stretch of a blob, hashed on its way.

The last bytes of a blob are held back until the whole of it is known to be right, so that a request
with wrong bytes in it is never finished.
"""

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from lading.content import transfer
from lading.content.store import ContentStore
from lading.errors import DataLoss, DigestMismatch, Error
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.crew import Crew
from lading.oci.transport.http import BLOCK

GRACE_S = 4.0
"""How long a request may still take when the crew is stopped, so that what it has sent counts."""


class Spent(Exception):
    """Something was tried as often as makes sense: its error is not to be tried once more."""

    def __init__(self, failure: Error) -> None:
        super().__init__(failure)
        self.failure = failure


class Reads(Protocol):
    """Gives some of the bytes that come next; none at the end."""

    def read(self, size: int, /) -> bytes: ...


class Bytes(Protocol):
    """A blob's bytes, wherever they come from."""

    def open(self, start: int, end: int) -> AbstractContextManager[Reads]:
        """The bytes from `start` to `end`, and perhaps more. Reading raises our errors, `Spent`."""

    def check(self) -> None:
        """Raise what is wrong with them, if anything is."""

    def wrong(self, problem: str) -> Error:
        """What to raise where they cannot be read."""


class StoredBytes:
    """The bytes of a blob in a store."""

    def __init__(self, store: ContentStore, digest: Digest) -> None:
        self._store, self._digest = store, digest

    @contextmanager
    def open(self, start: int, end: int) -> Iterator[Reads]:
        with self._store.open(self._digest) as file:
            file.seek(start)
            yield file

    def check(self) -> None:
        transfer.verify(self._store, self._digest)

    def wrong(self, problem: str) -> Error:
        return DataLoss(self._digest, problem)


class GivenBytes:
    """The bytes of a blob that came with its descriptor, which has checked them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @contextmanager
    def open(self, start: int, end: int) -> Iterator[Reads]:
        yield io.BytesIO(self._data[start:end])

    def check(self) -> None:
        """They are right."""

    def wrong(self, problem: str) -> Error:
        raise AssertionError(problem)


class Hash:
    """The hash of a blob, whose bytes come in order, some of them more than once."""

    def __init__(self, blob: Descriptor) -> None:
        self._blob = blob
        self._hash = hashlib.new(blob.digest.algorithm)
        self._seen = 0

    def feed(self, offset: int, data: bytes) -> None:
        """Take the bytes that are at `offset`. Where there is a gap before it, nothing is known."""
        end = offset + len(data)
        if offset <= self._seen < end:
            self._hash.update(memoryview(data)[self._seen - offset :])
            self._seen = end

    def check(self) -> None:
        """Raise `DigestMismatch` where all bytes were seen, and are not the blob's."""
        expected = self._blob.digest
        if self._seen == self._blob.size and self._hash.hexdigest() != expected.hex:
            found = Digest.known_good(expected.algorithm, self._hash.hexdigest())
            raise DigestMismatch(expected, found)


class Stretch:
    """The bytes of a blob from `start` to `end`, as the body of one request."""

    def __init__(
        self,
        blob: Descriptor,
        content: Bytes,
        hash_: Hash,
        crew: Crew,
        *,
        start: int,
        end: int,
        sent: Callable[[int], object],
    ) -> None:
        """`sent` is told the offset that has been handed over, with every piece."""
        self._blob, self._content, self._hash, self._crew = blob, content, hash_, crew
        self._start, self._end, self._sent = start, end, sent

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._end - self._start

    def __iter__(self) -> Iterator[bytes]:
        """Raises `DigestMismatch`, or what is wrong with the bytes; `Stopped` where the crew does
        not wait for them.
        """
        offset, began_s = self._start, time.monotonic()
        with self._content.open(self._start, self._end) as source:
            while offset < self._end:
                if self._crew.is_stopped and not self._ends_soon(offset, began_s):
                    self._crew.check()
                data = self._read(source, offset)
                self._hash.feed(offset, data)
                offset += len(data)
                if offset == self._blob.size:
                    self._hash.check()
                yield data
                self._sent(offset)

    def _ends_soon(self, offset: int, began_s: float) -> bool:
        """Whether what is left takes no longer than people wait after a Ctrl-C."""
        done, left = offset - self._start, self._end - offset
        return left * (time.monotonic() - began_s) <= GRACE_S * done

    def _read(self, source: Reads, offset: int) -> bytes:
        try:
            data = source.read(min(BLOCK, self._end - offset))
        except OSError as error:
            raise self._content.wrong(f"it cannot be read at {offset}: {error.strerror}") from error
        if not data:
            raise self._content.wrong(f"it ends at {offset} of {self._blob.size} bytes")
        return data
