"""The bytes of a blob at a registry, read on their way to another one, and kept nowhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lading.errors import ConnectionFailed, Error
from lading.model.descriptor import Descriptor
from lading.oci.crew import Crew
from lading.oci.fetching.encoding import Decoder
from lading.oci.fetching.ranges import part_of
from lading.oci.fetching.turns import Origin, Turns
from lading.oci.fetching.watch import Body
from lading.oci.registry.origins import origins_of
from lading.oci.registry.remote import Remote
from lading.oci.steps import Steps
from lading.oci.uploads.bodies import Reads, Spent


class RemoteBytes:
    """A blob in a remote's repository."""

    def __init__(self, remote: Remote, blob: Descriptor, crew: Crew) -> None:
        self._remote, self._blob, self._crew = remote, blob, crew

    @contextmanager
    def open(self, start: int, end: int) -> Iterator[Reads]:
        """Read from wherever it can be had; what breaks off is gone on with there.

        Raises `Spent` with the error of the host that got furthest, when all have failed.
        """
        origins = origins_of(self._remote, self._blob, self._crew)
        reader = _Reader(self._blob, origins, self._crew, start=start, end=end)
        try:
            yield reader
        finally:
            reader.close()

    def check(self) -> None:
        """That would be to read all of it; whoever begins anew does so anyway."""

    def wrong(self, problem: str) -> Error:
        return ConnectionFailed(self._remote.reference.host, f"{self._blob.digest}: {problem}")


class _Reader:
    def __init__(
        self,
        blob: Descriptor,
        origins: Sequence[Origin],
        crew: Crew,
        *,
        start: int,
        end: int,
    ) -> None:
        self._blob, self._crew = blob, crew
        self._offset, self._end = start, end
        self._turns = Turns(origins, crew.patience, Steps(blob, crew.tell))
        self._body: Body | None = None
        self._has_moved = False

    def read(self, size: int, /) -> bytes:
        """Some bytes; none at the end."""
        while self._offset < self._end:
            try:
                if self._body is None:
                    self._body = self._open()
                data = self._body.read(min(size, self._end - self._offset))
                if not data:
                    self._fail("it ended early")
            except Error as failure:
                self.close()
                self._lose(failure)
            else:
                self._offset += len(data)
                self._has_moved = True
                return data
        return b""

    def _lose(self, failure: Error) -> None:
        """Go on with another origin, or after a pause with the same."""
        has_moved, self._has_moved = self._has_moved, False
        try:
            self._turns.lost(failure, has_moved=has_moved)
        except Error as furthest:
            raise Spent(furthest) from furthest

    def close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _open(self) -> Body:
        source, size = self._turns.current, self._blob.size
        response = source.origin.open(self._offset, self._end)
        try:
            part = part_of(response, self._offset, self._end, size)
            decodes = part.is_surely_encoded
            decoder = Decoder(response.host, part.encoding) if decodes else None
            body = Body(response, part, self._crew.patience, decoder=decoder)
            # One that serves no ranges gives everything, and there is nowhere to keep it.
            while body.position < self._offset:
                if not body.read(self._offset - body.position):
                    self._fail("it ended early")
        except BaseException:
            response.close()
            raise
        return body

    def _fail(self, problem: str) -> None:
        raise ConnectionFailed(self._turns.current.name, problem)
