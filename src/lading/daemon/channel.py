"""The channel between a parent and its child: a pair of sockets, each with whole messages.

    1 byte     what it is
    4 bytes    how many follow
    …          its body; beside a `TAKE` goes the socket of a client

    parent to child    OPEN  "first", or nothing        open the rooms, and serve
                       TAKE  a listener's number        a client has come there
                       TELL  events                     they have happened in another child
                       END                              let calls end, then end
    child to parent    READY                            clients may be handed over
                       FAILED  an error                 it cannot open the rooms
                       TELL  events                     they have happened here

Bodies are pickled where they are objects: nobody else has an end of it. That it is at its end says
that the other process is dead, however it died.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from lading.model.closing import Closing
from lading.rpc.file_socket import files_in

EVENTS_LIMIT: Final = 2000
"""Messages of events that wait for a child that does not take them; then the oldest are lost."""
_HEAD: Final = struct.Struct("!BI")
_RECEIVED: Final = 64 << 10
_TICK_SECONDS: Final = 1.0
_ROOM: Final = socket.CMSG_SPACE(64 * struct.calcsize("i"))
_CLOSED_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Kind(IntEnum):
    """What a message is."""

    OPEN = 1
    TAKE = 2
    TELL = 3
    END = 4
    READY = 5
    FAILED = 6


class Message(NamedTuple):
    """What one process says to the other."""

    kind: Kind
    body: bytes
    client: socket.socket | None = None
    """Of a `TAKE`; None where this process could have no more files."""


def channel() -> tuple["ParentsEnd", "ChildsEnd"]:
    """Make a channel."""
    parents, childs = socket.socketpair()
    return ParentsEnd(parents), ChildsEnd(childs)


class _Coming:
    """Bytes and descriptors that come, put together to messages."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._bytes = bytearray()
        self._files: deque[int | None] = deque()

    def received(self) -> list[Message] | None:
        """What has come, after waiting as the socket does; None at the end."""
        try:
            data, control, flags, _ = self._socket.recvmsg(_RECEIVED, _ROOM, _CLOSED_ON_EXEC)
        except (BlockingIOError, InterruptedError):
            return []
        except ConnectionError:
            return None
        self._files += files_in(control)
        if flags & socket.MSG_CTRUNC:
            # There was no room for a descriptor. The next one is not this message's.
            self._files.append(None)
        if not data:
            return None
        self._bytes += data
        return list(self._messages())

    def _messages(self) -> Iterator[Message]:
        while len(self._bytes) >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._bytes)
            end = _HEAD.size + size
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_HEAD.size : end])
            del self._bytes[:end]
            file = self._files.popleft() if kind == Kind.TAKE and self._files else None
            yield Message(Kind(kind), body, None if file is None else socket.socket(fileno=file))


class ChildsEnd(Closing):
    """What a child says and hears. Both wait; one thread hears, and any may say something."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._coming = _Coming(connected)
        self._guard = threading.Lock()

    def fileno(self) -> int:
        """The socket's number."""
        return self._socket.fileno()

    def say(self, kind: Kind, body: bytes = b"") -> None:
        """Say something. The parent always listens; `OSError` where it is dead."""
        with self._guard:
            self._socket.sendall(_HEAD.pack(kind, len(body)) + body)

    def heard(self) -> Iterator[Message | None]:
        """Each message until the parent is dead; and None about once a second."""
        poll, ticks_at = select.poll(), time.monotonic() + _TICK_SECONDS
        poll.register(self._socket, select.POLLIN)
        while True:
            if poll.poll(max(0.0, ticks_at - time.monotonic()) * 1000):
                messages = self._coming.received()
                if messages is None:
                    return
                yield from messages
            if time.monotonic() >= ticks_at:
                ticks_at = time.monotonic() + _TICK_SECONDS
                yield None

    def close(self) -> None:
        self._socket.close()


class ParentsEnd(Closing):
    """What a parent says and hears. Nothing waits, so that one child cannot stop the others."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(0)
        self._socket = connected
        self._coming = _Coming(connected)
        self._going: Message | None = None
        """What has gone in part; its body is the rest, head and all."""
        self._orders: deque[Message] = deque()
        self._events: deque[Message] = deque()
        self.lost = 0
        """Messages of events that the child has not taken in time, since somebody has looked."""

    def fileno(self) -> int:
        """The socket's number."""
        return self._socket.fileno()

    @property
    def holds_back(self) -> bool:
        """Whether there is something that has still to go."""
        return bool(self._going or self._orders or self._events)

    def say(self, kind: Kind, body: bytes = b"", client: socket.socket | None = None) -> None:
        """Have the child told as soon as it listens; `client` is closed here then."""
        self._orders.append(_whole(kind, body, client))
        self.send()

    def tell(self, events: bytes) -> None:
        """Have the child told of events, after all others and after what it has to do."""
        if len(self._events) >= EVENTS_LIMIT:
            self._events.popleft()
            self.lost += 1
        self._events.append(_whole(Kind.TELL, events, None))
        self.send()

    def send(self) -> None:
        """Send what goes. What a dead child was to hear is dropped, and its clients hung up on."""
        while (going := self._going or self._next()) is not None:
            self._going, sent = None, len(going.body)
            try:
                if going.client is None:
                    sent = self._socket.send(going.body)
                else:
                    sent = socket.send_fds(self._socket, [going.body], [going.client.fileno()])
            except (BlockingIOError, InterruptedError):
                self._going = going
                return
            except OSError:
                pass  # as good as told: that it is dead is heard by whoever listens
            if going.client is not None:
                going.client.close()
            if sent < len(going.body):
                self._going = Message(going.kind, going.body[sent:])

    def received(self) -> list[Message] | None:
        """What the child has said; None where it is dead."""
        return self._coming.received()

    def close(self) -> None:
        for message in self._orders:
            if message.client is not None:
                message.client.close()
        self._socket.close()

    def _next(self) -> Message | None:
        for waiting in (self._orders, self._events):
            with contextlib.suppress(IndexError):
                return waiting.popleft()
        return None


def _whole(kind: Kind, body: bytes, client: socket.socket | None) -> Message:
    return Message(kind, _HEAD.pack(kind, len(body)) + body, client)
