"""Filling an ingest from wherever its bytes can be had, until it holds them all.

Everything that an origin does wrong ends here: as another attempt, another origin, a restart, or
one error. Everything that goes wrong at the store goes through, since asking anew would not help.
What has been written stays, so the next attempt, here or in another process, goes on after it.
"""

import contextlib

from lading.content.store import Writer
from lading.errors import ConnectionFailed, Error
from lading.oci.fetching.encoding import Decoder
from lading.oci.fetching.ranges import NOT_SATISFIABLE, Part, part_of, total_of
from lading.oci.fetching.turns import Source, Turns
from lading.oci.fetching.watch import Body
from lading.oci.fetching.widening import Widening
from lading.oci.fetching.windows import Window
from lading.oci.steps import Steps
from lading.oci.transport.http import Response
from lading.oci.transport.patience import Patience


class Lost(Exception):
    """What the other end did, apart from what happens at the store."""

    def __init__(self, failure: Error) -> None:
        super().__init__(failure)
        self.failure = failure


class Passed(Exception):
    """This source could give the whole alone, and another one may have the rest."""


class Filling:
    """One transfer into one writer. Belongs to one thread."""

    def __init__(
        self,
        writer: Writer,
        turns: Turns,
        *,
        total: int | None,
        patience: Patience,
        steps: Steps,
        streams: int = 1,
        first: Response | None = None,
    ) -> None:
        """`first` is an answer for the whole that is open already, of the first origin."""
        self.moved = 0
        """Bytes that were written, those that were thrown away again among them."""
        self._writer, self._turns, self._steps = writer, turns, steps
        self._total = self._given_total = total
        self._patience, self._first = patience, first
        self._widening = Widening(streams, patience)
        self._furthest = writer.offset
        self._since = patience.clock()

    def fill(self) -> None:
        """Write until everything is there. Raises the error of the origin that got furthest."""
        try:
            while self._total is None or self._writer.offset < self._total:
                try:
                    window = self._widening.window
                    if window is not None and window.start == self._writer.offset:
                        self._take_from_window(window)
                    else:
                        self._take_from(self._turns.current)
                except Passed:
                    self._turns.pass_on()
                except Lost as lost:
                    self._steps.arrived(self._writer.offset)
                    self._turns.lost(lost.failure, has_moved=self._gets_on())
        finally:
            self._widening.close()
            self._steps.arrived(self._writer.offset)

    def start_over(self, reason: str) -> None:
        """Throw away what is there, and let somebody else give it, if there is anybody.

        By one stream: what parallel ranges have to do with it, nobody knows.
        """
        self._restart(reason)
        self._furthest = 0
        self._widening.narrow()
        self._turns.start_over()

    def _gets_on(self) -> bool:
        """Whether, since this was asked last, more came than the slowest link would bring.

        Bytes that were there once before do not count: one who breaks off each whole body at its
        middle would else be asked for ever.
        """
        now = self._patience.clock()
        moved, took_s = self._writer.offset - self._furthest, now - self._since
        self._furthest, self._since = max(self._furthest, self._writer.offset), now
        return moved > 0 and moved >= self._patience.least_rate * took_s

    def _take_from(self, source: Source) -> None:
        body = self._open(source)
        if body is None:
            return
        with contextlib.closing(body):
            while (limit := self._widening.limit(self._writer.offset)) != 0:
                if not (data := _read(body, limit)):
                    self._conclude(source, body)
                    break
                self._write(source, data)
                self._widening.consider(source, body, self._writer.offset, self._total)

    def _take_from_window(self, window: Window) -> None:
        while data := window.read():
            self._write(window.source, data)
        failure = self._widening.lost()
        if window.is_done:
            self._widening.close()
        if failure is not None:
            raise Lost(failure)

    def _write(self, source: Source, data: bytes) -> None:
        source.has_contributed = True
        self._writer.write(data)
        self.moved += len(data)
        self._steps.moved(self._writer.offset)

    def _conclude(self, source: Source, body: Body) -> None:
        """Draw the conclusions of a body that ended as its server meant it to."""
        if self._total is None:
            self._total = self._writer.offset
        elif self._writer.offset < (self._end or 0):
            if body.part.encoding and not source.decodes:
                # It was compressed on the way, then, and is asked for the whole again.
                source.decodes = True
            elif body.part.encoding or not self._gets_on():
                raise Lost(ConnectionFailed(source.name, f"it gave only {body.received} bytes"))

    def _open(self, source: Source) -> Body | None:
        """The bytes from the offset on; None where there turn out to be no more."""
        start = self._writer.offset
        while start and source.has_ranges:
            response = _ask(source, start, self._end)
            if response.status == NOT_SATISFIABLE:
                with response:
                    if self._total is None and total_of(response) == start:
                        self._total = start
                        return None
                # It has fewer bytes than are here, which were not its own, or no ranges at all.
                source.forget_ranges()
                break
            body = self._checked(source, response, start)
            if body is None:
                source.doubt_ranges()
            elif body.part.start == start:
                return body
            else:
                source.forget_ranges()
                if self._turns.has_better:
                    body.close()
                    raise Passed
                self._restart(f"{source.name} serves no ranges")
                return body
        if start:
            if self._turns.has_better:
                raise Passed
            self._restart(f"{source.name} serves no ranges")
        return self._whole(source)

    @property
    def _end(self) -> int | None:
        """Where a range ends that is asked for now."""
        window = self._widening.window
        return self._total if window is None else window.start

    def _whole(self, source: Source) -> Body:
        first, self._first = self._first, None
        response = first or _ask(source, 0, self._total)
        body = self._checked(source, response, 0)
        if body is None:
            assert source.failure is not None
            raise Lost(source.failure)
        return body

    def _checked(self, source: Source, response: Response, start: int) -> Body | None:
        """Make a body of an answer that counts; close the others."""
        try:
            part = part_of(response, start, self._end if start else self._total, self._total)
            return self._body(source, response, part)
        except ConnectionFailed as failure:
            response.close()
            source.failure = failure
            return None

    def _body(self, source: Source, response: Response, part: Part) -> Body:
        if self._total is None:
            self._total = part.total
        decoder = None
        if part.encoding:
            source.forget_ranges()
            source.encodes = True
            source.decodes |= part.is_surely_encoded
            if source.decodes:
                decoder = Decoder(response.host, part.encoding)
        return Body(response, part, self._patience, decoder=decoder)

    def _restart(self, reason: str) -> None:
        self._widening.close()
        self._writer.truncate()
        self._total = self._given_total  # an answer that was wrong has said nothing right
        self._steps.restarted(reason)


def _ask(source: Source, start: int, end: int | None) -> Response:
    try:
        return source.origin.open(start, end)
    except Error as failure:
        raise Lost(failure) from failure


def _read(body: Body, limit: int | None) -> bytes:
    try:
        return body.read(limit)
    except Error as failure:
        raise Lost(failure) from failure
