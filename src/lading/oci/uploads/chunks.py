"""How large the next chunk of an upload is.

A chunk takes a few seconds, however fast the link is: so much can be lost when a line breaks, and
is waited for after a Ctrl-C. Beyond that larger is cheaper, since each chunk waits for an answer.
"""

from typing import NamedTuple

from lading.oci.uploads.sessions import UploadSession

CHUNKS_LIMIT = 5_000
"""Chunks of one blob: S3 has at most 10,000 parts."""
LONG_S, SHORT_S = 3.0, 1.0


class ChunkSizes(NamedTuple):
    """Bytes of a chunk, not counting what a registry asks for."""

    first: int = 16 << 20
    """A blob of no more is sent in one request."""
    smallest: int = 5 << 20
    """Registries over S3 keep each chunk as a part of an object, and parts are no smaller."""
    largest: int = 128 << 20
    floor: int = 64 << 10
    """What a registry that refuses chunks as too large may bring us down to."""


class Chunks:
    """The sizes of one upload's chunks."""

    def __init__(self, size: int, sizes: ChunkSizes) -> None:
        """Of a blob of `size` bytes."""
        self._blob_size, self._sizes = size, sizes
        self._size = sizes.first
        self.limit = 0
        """The largest that the registry takes, where it has refused a larger one; else 0."""

    @property
    def takes_all(self) -> bool:
        """Whether the blob is so small that it is sent in one request."""
        return self._blob_size <= (self.limit or self._sizes.first)

    def next(self, session: UploadSession) -> int:
        """How many bytes to send now."""
        size = max(self._size, self._sizes.smallest, -(-self._blob_size // CHUNKS_LIMIT))
        if self.limit:
            size = min(size, self.limit)
        return min(max(size, session.least_chunk), self._blob_size - session.offset)

    def took(self, size: int, seconds: float) -> None:
        """Learn from a chunk that has been sent."""
        if seconds > LONG_S:
            self._size = max(self._sizes.smallest, size // 2)
        elif seconds < SHORT_S and size >= self._size:
            self._size = min(self._sizes.largest, size * 2)

    def shrink(self, refused: int, session: UploadSession) -> bool:
        """Learn that a chunk was too large; false where there is no smaller one to try."""
        smaller = max(refused // 2, self._sizes.floor, session.least_chunk)
        self.limit = min(smaller, refused)
        return smaller < refused
