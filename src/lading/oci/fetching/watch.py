"""The body of an answer, with somebody watching that it keeps coming.

A connection that gives nothing is cut by its socket. One that gives a byte now and then is cut
here: it would else keep a transfer for ever, which another connection would finish in a moment.
"""

from lading.errors import ConnectionFailed
from lading.oci.fetching.encoding import Decoder
from lading.oci.fetching.ranges import Part
from lading.oci.transport.http import Response
from lading.oci.transport.patience import Patience

MEASURED_S = 0.5
"""How long is waited before it is said how fast a connection is."""
READ_SIZE = 256 << 10
"""Bytes that are taken from a connection at once, where they are there."""


class Body:
    """The bytes of a part, one after another. Belongs to one thread at a time."""

    def __init__(
        self,
        response: Response,
        part: Part,
        patience: Patience,
        *,
        decoder: Decoder | None = None,
    ) -> None:
        self.part, self.position = part, part.start
        self.rate: float | None = None
        """Bytes a second, in the last while that it was waited for so long that it can be told."""
        self._response, self._decoder, self._patience = response, decoder, patience
        # Only the waiting counts, and not what others do meanwhile, such as a slow disk.
        self._watched_s, self._watched_bytes = 0.0, 0
        self._measured_s, self._measured_bytes = 0.0, 0
        self._failure: ConnectionFailed | None = None

    @property
    def received(self) -> int:
        """Bytes that it has given so far."""
        return self.position - self.part.start

    def read(self, limit: int | None = None) -> bytes:
        """Some bytes, at most `limit`, as soon as there are any; none at the end.

        What is there already is given together, since small writes cost as much as large ones.
        Raises `ConnectionFailed` where the connection breaks, or is slower than patience has it;
        everything that came before was given.
        """
        if self._failure is not None:
            raise self._failure
        size = min(READ_SIZE, READ_SIZE if limit is None else limit)
        if self.part.end is not None:
            size = min(size, self.part.end - self.position)
        if size <= 0:
            return b""
        data = self._decoded(size) if self._decoder else self._gathered(size)
        self.position += len(data)
        if not data and self.part.end is not None and not self.part.encoding:
            raise ConnectionFailed(
                self._response.host,
                f"its answer ended at byte {self.position} and not at {self.part.end}",
            )
        return data

    def cut(self) -> None:
        """End the connection under whoever reads from it. From any thread."""
        self._response.cut()

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()

    def _gathered(self, size: int) -> bytes:
        data = self._receive(size)
        if not data or 2 * len(data) > size:
            return data
        pieces, held = [data], len(data)
        # TLS gives 16 KiB at a time. Nothing is held back while the other end has to be waited for.
        while held < size and self._response.is_ready:
            try:
                data = self._response.read1(size - held)
            except ConnectionFailed as failure:
                self._failure = failure
                break
            if not data:
                break
            pieces.append(data)
            held += len(data)
        self._measured_bytes += held - len(pieces[0])
        self._watched_bytes += held - len(pieces[0])
        return b"".join(pieces)

    def _decoded(self, size: int) -> bytes:
        assert self._decoder is not None
        while not (data := self._decoder.take(size)):
            received = self._receive(READ_SIZE)
            if not received:
                if not self._decoder.is_complete:
                    raise ConnectionFailed(
                        self._response.host, "its compressed answer ended in the middle"
                    )
                return b""
            self._decoder.give(received)
            if self._failure is not None:
                raise self._failure
        return data

    def _receive(self, size: int) -> bytes:
        clock = self._patience.clock
        before = clock()
        data = self._response.read1(size)
        waited = clock() - before
        self._measure(waited, len(data))
        self._watched_s += waited
        self._watched_bytes += len(data)
        idle = self._patience.idle.total_seconds()
        if self._watched_s >= idle:
            if data and self._watched_bytes < self._patience.least_rate * idle:
                self._failure = ConnectionFailed(
                    self._response.host,
                    f"only {self._watched_bytes} bytes came in {self._watched_s:.0f} s",
                )
            self._watched_s, self._watched_bytes = 0.0, 0
        return data

    def _measure(self, waited_s: float, count: int) -> None:
        self._measured_s += waited_s
        self._measured_bytes += count
        if self._measured_s >= MEASURED_S:
            self.rate = self._measured_bytes / self._measured_s
            self._measured_s, self._measured_bytes = 0.0, 0
