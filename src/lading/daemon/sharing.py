"""What the children of a daemon have in common besides the root: events, and files handed over."""

import contextlib
import pickle
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from lading.content.events import BlobCreated, Event, Events, EventStream, Subscription
from lading.daemon.sockets import beside
from lading.daemon.tally import Hearing, Tally
from lading.errors import NotFound
from lading.rpc import file_socket
from lading.rpc.tickets import Tickets

_COUNTED_LIMIT = 32
"""New blobs that wait, for a second at most, before those who count are told."""
_NUMBER = 2
"""Digits of a ticket that say which child gave it."""
_TICKET = re.compile(f"[0-9a-f]{{{2 * file_socket.TICKET_BYTES}}}")


class SharedEvents(Events):
    """The events of one child, of which the others hear as long as somebody in them listens.

    Who only counts, as the timer of collections does, is told of new blobs some at a time: a
    message for each of them would wake two processes for every small commit.
    """

    def __init__(self, number: int, tally: Tally, tell: Callable[[bytes], object]) -> None:
        """`tell` has the other children `hear` what it is given, in its order."""
        super().__init__()
        self._number, self._tally, self._tell = number, tally, tell
        self._saying = threading.Lock()
        self._counted: list[Event] = []
        """What those who count have still to be told."""

    @property
    def is_heard(self) -> bool:
        """Whether there is a subscriber here, or a stream in any child."""
        return super().is_heard or self._tally.heard_beside(self._number) is Hearing.STREAMS

    def emit(self, event: Event) -> None:
        """Tell every subscriber, here in this thread, and elsewhere soon."""
        super().emit(event)
        heard = self._tally.heard_beside(self._number)
        if heard is Hearing.NOBODY:
            return
        with self._saying:
            if heard is Hearing.COUNTS and isinstance(event, BlobCreated):
                self._counted.append(event)
                if len(self._counted) < _COUNTED_LIMIT:
                    return
                self._say_counted()
            else:
                self._say_counted()
                self._say([event], is_new=True)

    def catch_up(self) -> None:
        """Tell those who count what they have not been told. To be called about once a second."""
        with self._saying:
            self._say_counted()

    def hear(self, told: bytes) -> None:
        """Tell the subscribers here what another child was telling."""
        events, is_new = pickle.loads(told)  # noqa: S301 - by a process that was forked as this one
        for event in events:
            if is_new:
                super().emit(event)
            else:
                self._emit_to(event, [each for each in self._subscriptions if not _streams(each)])

    def _say_counted(self) -> None:
        if self._counted:
            # A stream that has begun meanwhile is not to hear what was before it.
            self._say(self._counted, is_new=False)
            self._counted = []

    def _say(self, events: list[Event], *, is_new: bool) -> None:
        with contextlib.suppress(OSError):  # the parent is dead, and so are we in a moment
            self._tell(pickle.dumps((events, is_new)))

    def _added(self, subscription: Subscription) -> Subscription:
        with self._saying:
            super()._added(subscription)
            self._put_down()
        return subscription

    def _removed(self, subscription: Subscription) -> None:
        with self._saying:
            super()._removed(subscription)
            self._put_down()

    def _put_down(self) -> None:
        hearing = [
            Hearing.STREAMS if _streams(each) else Hearing.COUNTS for each in self._subscriptions
        ]
        self._tally.hear(self._number, max(hearing, default=Hearing.NOBODY))


def _streams(subscription: Subscription) -> bool:
    return isinstance(subscription, EventStream)


class SharedTickets(Tickets):
    """The tickets of one child, which takes those of the others, too.

    A client that comes back may come to another child than the one that gave it a ticket, or whose
    socket it knows. So a ticket begins with the number of the child that gave it, and a child that
    is given another's fetches the file there.
    """

    def __init__(self, number: int, paths: Sequence[Path]) -> None:
        """`paths` are those of the listeners beside which files are handed over."""
        super().__init__(new=lambda: f"{number:0{_NUMBER}x}{file_socket.new_ticket()[_NUMBER:]}")
        self._number, self._paths = number, paths

    def taken(self, ticket: str) -> BinaryIO:
        """The file, once; `NotFound` for a ticket that is not good with any child."""
        giver = int(ticket[:_NUMBER], 16) if _TICKET.fullmatch(ticket) else self._number
        if giver == self._number:  # which has the last word, so that nobody asks in circles
            return super().taken(ticket)
        for path in self._paths:
            with contextlib.suppress(OSError):
                return file_socket.take(str(beside(path, giver)), ticket)
        raise NotFound(ticket[:64], "ticket")
