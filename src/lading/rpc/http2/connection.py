"""One connection: its calls, what comes for them, and its end.

Whatever is wrong breaks it off: every call is over then, and who waits is woken; its socket is
closed when no thread uses it any more. Who reads it is in `leading`.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import grpc

from lading.rpc.http2 import frames, turns
from lading.rpc.http2.frames import Fault
from lading.rpc.http2.headers import Opening, Refusal, refused
from lading.rpc.http2.host import Host, admitted
from lading.rpc.http2.intake import BLOCK_LIMIT, Intake
from lading.rpc.http2.leading import Lead, Waiter
from lading.rpc.http2.messages import HEAD_OF_MESSAGE, PREFIX_SIZE, BadMessage, Parts
from lading.rpc.http2.outflow import JOINED, Outflow
from lading.rpc.http2.outlet import Outlet
from lading.rpc.http2.stream import Gone, Stream
from lading.rpc.http2.transports import Transport

_LOG = logging.getLogger(__name__)
STREAMS_LIMIT: Final = 256
"""Calls of one connection at a time; a client waits with the rest."""
_WINDOW: Final = 64 << 20
"""What a client may send on all streams ahead of us: it is each stream that holds it back."""


class Connection:
    """One connection. Who may call what, and when, is said at each part."""

    def __init__(self, host: Host, transport: Transport) -> None:
        self.since, self._outflow = time.monotonic(), Outflow()
        self._host, self._transport = host, transport
        self.is_broken = False
        """Whether nothing comes or goes any more."""
        self.is_shared = False
        """Whether it has carried two calls at a time."""
        self._intake, self._outlet = Intake(self), Outlet(transport, self.break_off)
        self._lead = Lead(self, transport.socket.fileno(), host.poller)
        self._streams: dict[int, Stream] = {}
        self._is_draining, self._last = False, 0
        """The latter is the number of the last call that has come."""
        self._runnable: deque[Stream] = deque()
        self._touched: set[Waiter] = set()
        """Whose threads have to look, after what is just being told."""
        self._owed = 0
        """Bytes that have come and are not given back to the connection's window."""

    @property
    def first_window(self) -> int:
        """How much a client takes of a call at its beginning."""
        return self._outflow.first_window

    @property
    def is_greeted(self) -> bool:
        """Whether the client has shown that it speaks HTTP/2."""
        return self._intake.is_greeted

    def begin(self) -> None:
        """Greet, and wait for the client. Called once."""
        ours = {
            frames.MAX_CONCURRENT_STREAMS: STREAMS_LIMIT,
            frames.MAX_FRAME_SIZE: frames.FRAME_LIMIT,
            frames.MAX_HEADER_LIST_SIZE: BLOCK_LIMIT,
        }
        more = frames.window_update(0, _WINDOW - frames.WINDOW)
        self.send_soon(frames.settings(ours) + more)
        self._lead.hand_on()

    def answer(self, stream: Stream | None) -> None:
        """Run a call, and then those that come soon after it. A worker's job."""
        while stream is not None:
            stream.run()
            stream = self._next()

    def _next(self) -> Stream | None:
        """Read until there is a call to run; None where others read, or nothing comes."""
        self._lead.linger(self._lingers)
        self._host.lingered(self)
        try:
            mine = self._runnable.popleft()
        except IndexError:  # whoever leads meanwhile has it run elsewhere
            mine = None
            turns.end()
        self._lead.hand_on()
        self._run_elsewhere()
        return mine

    def _lingers(self) -> bool:
        return not self._runnable and self._host.lingers(self)

    def nudge(self) -> None:
        """Have the worker that waits for the next call look whether it may."""
        self._lead.wake()

    def _run_elsewhere(self) -> None:
        while self._runnable:
            with contextlib.suppress(IndexError):
                stream = self._runnable.popleft()
                if not self._host.submit(partial(self.answer, stream)):
                    stream.end()
                    self.ended(stream)

    # What its lead asks

    @property
    def has_calls(self) -> bool:
        """Whether a call is being answered."""
        return bool(self._streams)

    @property
    def has_to_send(self) -> bool:
        """Whether something waits for room in the socket."""
        return self._outlet.has_to_send

    def rest(self) -> None:
        """Nothing is expected for a while."""
        self._intake.rest()

    def close(self) -> None:
        """No thread uses it any more."""
        self._transport.socket.close()
        self._host.closed(self)

    def read(self, *, lingers: bool) -> None:
        """Take in what has come, and tell; who lingers runs the first new call itself."""
        try:
            self._outlet.flush()
            got = self._transport.receive(self._intake.room())
            if got:
                self._intake.took(got)
            elif got is not None:
                self.break_off("the client went away")
        except Fault as fault:
            if self.is_greeted:
                self.send_soon(frames.go_away(self._last, fault.code, str(fault)))
            self.break_off(str(fault))
        except OSError as error:
            self.break_off(error.strerror or str(error))
        if self._touched:
            touched, self._touched = self._touched, set()
            self._lead.tell(touched)
        if self._runnable and not lingers:
            self._run_elsewhere()
        if not self._runnable:  # else it goes with the answer
            self._outlet.flush()

    # What has come: the leader's intake says

    def came_headers(self, number: int, found: Opening | Refusal, *, ends: bool) -> None:
        """What opens a call, or ends its client's part."""
        stream = self._streams.get(number)
        if stream is not None:
            if not ends:
                raise Fault(frames.PROTOCOL_ERROR, "headers within a call")
            if not stream.has_ended and not stream.is_over:
                stream.said_all()
                self._went_on(stream, has_news=True)
            return
        if number > self._last:
            self._last = number
            self._began(number, found, ends=ends)

    def _began(self, number: int, found: Opening | Refusal, *, ends: bool) -> None:
        if self._is_draining or self.is_broken:
            return  # our GOAWAY tells its client to go somewhere else
        if isinstance(found, Refusal):
            self.say(refused(number, found, ends=ends))
        elif len(self._streams) >= STREAMS_LIMIT:
            self.say(frames.reset(number, frames.REFUSED_STREAM))
        elif isinstance(handler := admitted(self._host, found), Refusal):
            self.say(refused(number, handler, ends=ends))
        else:
            self._take_up(Stream(self, number, found, handler), ends=ends)

    def _take_up(self, stream: Stream, *, ends: bool) -> None:
        with self._lead.guard:
            # It may have ended since its headers came; whoever ended it has not seen this one.
            is_late = self.is_broken or self._is_draining
            if not is_late:
                self.is_shared = self.is_shared or bool(self._streams)
                self._streams[stream.number] = stream
        if is_late:
            self._host.released()
            self.say(frames.reset(stream.number, frames.REFUSED_STREAM))
        elif ends:
            stream.said_all()
            self._went_on(stream, has_news=True)

    def came_data(self, number: int, parts: Parts, size: int, *, ends: bool) -> None:
        """Parts of a call."""
        self._owed += size
        if self._owed > _WINDOW // 4:
            self.say(frames.window_update(0, self._owed))
            self._owed = 0
        stream = self._begun(number)
        if stream is None or stream.is_over:
            return
        if stream.has_ended:
            self.say(frames.reset(number, frames.STREAM_CLOSED))
            self._over(stream)
        else:
            try:
                is_whole = stream.take(parts, size)
            except BadMessage as bad:
                stream.refuse(bad.code, str(bad))
                self._over(stream)
                return
            if ends:
                stream.said_all()
            self._went_on(stream, has_news=is_whole or ends)

    def _went_on(self, stream: Stream, *, has_news: bool) -> None:
        if stream.is_running:
            if has_news:
                self._touched.add(stream)
        elif stream.may_run:
            stream.is_running = True
            self._runnable.append(stream)
        if stream.lacks_leave:
            with self._lead.guard:
                more = stream.widened()
            self.say(frames.window_update(stream.number, more))

    def came_window(self, number: int, size: int) -> None:
        """The client takes more."""
        if not number:
            self._outflow.widen(None, size)
            self._touched.update(self._streams.values())
            return
        stream = self._begun(number)
        if stream is None:
            return
        try:
            self._outflow.widen(stream, size)
        except Fault as fault:
            self.say(frames.reset(number, fault.code))
            self._over(stream)
        else:
            self._touched.add(stream)

    def came_reset(self, number: int) -> None:
        """The client gives a call up."""
        stream = self._begun(number)
        if stream is not None:
            self._over(stream)

    def came_setting(self, key: int, value: int) -> None:
        """A setting of the client's."""
        if key == frames.INITIAL_WINDOW_SIZE:
            streams = list(self._streams.values())
            self._outflow.begin_with(value, streams)
            self._touched.update(streams)
        elif key == frames.MAX_FRAME_SIZE:
            self._outflow.frame_limit = value

    def say(self, data: bytes) -> None:
        """Send this when all that has come is told."""
        self._outlet.say(data)

    def _begun(self, number: int) -> Stream | None:
        """The call of a number; None if it is over."""
        if number > self._last:
            raise Fault(frames.PROTOCOL_ERROR, "a call that did not begin")
        return self._streams.get(number)

    def _over(self, stream: Stream) -> None:
        """A call is over, whose handler may not have begun."""
        stream.end()
        if stream.is_running:
            self._touched.add(stream)
        else:
            self.ended(stream)

    # What a call's own thread asks

    def wait(self, stream: Stream, ready: Callable[[], bool]) -> None:
        """Wait until something holds for a call; `Gone` after its deadline."""
        if not self._lead.wait(stream, ready):
            stream.refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            raise Gone

    def widen(self, stream: Stream) -> None:
        """Let a client send more, whose next message is wanted."""
        with self._lead.guard:
            more = stream.widened()
        self.send_soon(frames.window_update(stream.number, more))

    def send_soon(self, data: bytes) -> None:
        """Send frames without waiting, from any thread."""
        self._outlet.say(data)
        self._outlet.flush()
        if self._outlet.has_to_send:
            self._lead.look_for_room()

    def send(self, stream: Stream, *buffers: bytes | memoryview) -> None:
        """Send frames, and wait until the socket has taken them; `Gone` where it never will."""
        if stream.is_over:
            raise Gone
        self._send(stream, *buffers)

    def _send(self, stream: Stream, *buffers: bytes | memoryview) -> None:
        """The same, even if the call has just ended: what counts as sent has to be."""
        if not self._outlet.send(stream, *buffers):
            raise Gone

    def send_message(
        self, stream: Stream, message: bytes, first: bytes, last: bytes, *, waits: bool = False
    ) -> None:
        """Send a message as the client takes it, between the frames `first` and `last`."""
        size = PREFIX_SIZE + len(message)
        if stream.is_over:
            raise Gone
        if self._outflow.takes(stream, size):
            head = first + HEAD_OF_MESSAGE.pack(size << 8, 0, stream.number, 0, len(message))
            if waits and size <= JOINED:
                self.say(head + message + last)
            elif size <= JOINED:
                self._send(stream, head + message + last)
            else:
                self._send(stream, head, message, last)
            return
        if first:
            self.send(stream, first)
        for parts in self._outflow.parts(stream, message):
            if parts is None:
                self.wait(stream, lambda: stream.is_over or self._outflow.is_open(stream))
            else:
                self._send(stream, *parts)
            if stream.is_over:
                raise Gone
        if last:
            self._send(stream, last)

    # The end of a call, and that of the connection, from any thread

    def woken(self, stream: Stream) -> None:
        """A call was ended by another thread than its own, which has to look."""
        if not stream.is_running:
            self.ended(stream)
        self._lead.wake(stream)
        if self._outlet.stalled is stream:
            self.break_off("the client reads nothing")

    def ended(self, stream: Stream) -> None:
        """A call is over, and so is its handler, if it ever began. Safe to call twice."""
        with self._lead.guard:
            if self._streams.pop(stream.number, None) is None:
                return
            self._host.released()
            is_last = self._is_draining and not self._streams
        if is_last:
            self._part()

    def drain(self) -> None:
        """Take no more calls, and end with the last that there is."""
        with self._lead.guard:
            self._is_draining = True
            is_last, last = not self._streams, self._last
        self.send_soon(frames.go_away(last, frames.NO_ERROR))
        if is_last:
            self._part()

    def _part(self) -> None:
        """Say no more, and wait for the client to hang up: it may still read what was said."""
        self._outlet.end()
        self._lead.hand_on()

    def cancel(self, which: Callable[[Stream], bool] = lambda stream: True) -> None:
        """Cancel every call, or some."""
        for stream in filter(which, list(self._streams.values())):
            stream.cancel()

    def break_off(self, reason: str) -> None:
        """End it, now. Safe to call twice, and from any thread."""
        _LOG.debug("a connection ends: %s", reason)
        with self._lead.guard:
            self.is_broken = True
            streams = list(self._streams.values())
        self._outlet.break_off()
        for stream in streams:
            stream.end()
            if not stream.is_running:
                self.ended(stream)
        self._lead.tell_all()
        self._lead.hand_on()
