"""Bodies that were compressed on the way, though we ask for none such.

Where a server compresses what it sends, the bytes of the blob come out only here. Where a blob
*is* compressed, and a server says of it what is true of every `.gz`, the bytes as they come are the
blob. Nobody can tell which, but the digest: so the bytes are taken as they come first.
"""

import zlib

from lading.errors import ConnectionFailed

_GZIP = zlib.MAX_WBITS | 16
ENCODINGS = ("gzip", "x-gzip")


class Decoder:
    """Undoes gzip, piece by piece, and gives no more at once than it is asked for."""

    def __init__(self, host: str, encoding: str) -> None:
        """Raises `ConnectionFailed` for another encoding than `ENCODINGS`."""
        if encoding not in ENCODINGS:
            raise ConnectionFailed(host, f"it compressed its answer by {encoding[:80]!r}, unasked")
        self._host = host
        self._stream = zlib.decompressobj(_GZIP)
        self._rest = b""

    @property
    def is_complete(self) -> bool:
        """Whether everything that was begun has ended."""
        return self._stream.eof

    def give(self, data: bytes) -> None:
        """Take some of the body. Whatever was given before is taken out first."""
        self._rest += data

    def take(self, size: int) -> bytes:
        """At most `size` bytes of what was given, decoded; none where more has to be given."""
        while True:
            if self._stream.eof and self._rest:
                # Members follow one another, and are one body together. RFC 1952, 2.2
                self._stream = zlib.decompressobj(_GZIP)
            try:
                data = self._stream.decompress(self._rest, size)
            except zlib.error as error:
                raise ConnectionFailed(self._host, f"its gzip is broken: {error}") from error
            self._rest = self._stream.unconsumed_tail or self._stream.unused_data
            if data or not (self._stream.eof and self._rest):
                return data
