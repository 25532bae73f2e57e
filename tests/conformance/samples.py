"""What the suite writes, and how it looks at what came of it."""

import array
import hashlib
import io

from lading.content.store import Blob, ContentStore
from lading.model.digest import Digest

HELLO = b"hello, world"
ABSENT = Digest.of(b"never stored")

NUMBERS = array.array("I", range(1000))
BUFFERS = {
    "bytes": HELLO,
    "bytearray": bytearray(HELLO),
    "memoryview": memoryview(HELLO),
    "part": memoryview(HELLO)[3:8],
    "writable-part": memoryview(bytearray(HELLO))[3:8],
    "numbers": memoryview(NUMBERS),
    "some-numbers": memoryview(NUMBERS)[10:20],
    "table": memoryview(bytes(range(24))).cast("B", (4, 6)),
    "gaps": memoryview(HELLO)[::2],
    "backwards": memoryview(NUMBERS)[::-1],
    "nothing": memoryview(b""),
}
"""What a caller may hand over as bytes."""

EVERY_CALL = {
    "write": lambda writer: writer.write(b"x"),
    "write-nothing": lambda writer: writer.write(b""),
    "copy": lambda writer: writer.copy_from(io.BytesIO(b"x")),
    "truncate": lambda writer: writer.truncate(),
    "status": lambda writer: writer.status(),
    "sync": lambda writer: writer.sync(),
    "commit": lambda writer: writer.commit(),
}
"""The calls that an ended writer refuses. Only `close` is always welcome."""


def sample(size: int, seed: str = "sample") -> bytes:
    """Bytes in no pattern, the same for the same size and seed."""
    return hashlib.shake_128(f"{seed}-{size}".encode()).digest(size)


def refs_in(store: ContentStore) -> list[str]:
    """The refs of all ingests, in order."""
    return sorted(ingest.ref for ingest in store.ingests())


def digests_in(store: ContentStore) -> list[Digest]:
    """The digests of all blobs, in order."""
    return sorted(blob.digest for blob in store.blobs())


def begin(store: ContentStore, ref: str, data: bytes) -> None:
    """Leave an ingest behind that holds `data`."""
    with store.writer(ref) as writer:
        writer.write(data)


def put(store: ContentStore, data: bytes, algorithm: str = "sha256") -> Blob:
    """Commit `data` under its digest in `algorithm`."""
    with store.writer("put", expected=Digest.of(data, algorithm)) as writer:
        writer.write(data)
        return writer.commit()
