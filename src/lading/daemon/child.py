"""A child of a daemon: it opens the rooms for itself, and serves the clients that it is handed.

It has no part in addresses, signals and readiness, which are its parent's, and it ends with it: in
good order when it is told to, at once when the parent is dead.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import NoReturn

from lading.daemon.certificates import credentials
from lading.daemon.channel import ChildsEnd, Kind, Message
from lading.daemon.listeners import TcpListener, UnixListener
from lading.daemon.serving import Rooms
from lading.daemon.settings import Settings
from lading.daemon.sharing import SharedEvents, SharedTickets
from lading.daemon.sockets import beside
from lading.daemon.tally import Tally

_LOG = logging.getLogger(__name__)
_COLLECTING = 0
"""The child that collects. Deletions and changes in any other are told to it as events."""


class Child:
    """What the process of a child does."""

    def __init__(self, settings: Settings, number: int, channel: ChildsEnd, tally: Tally) -> None:
        self._settings, self._number, self._channel = settings, number, channel
        self._events = SharedEvents(number, tally, partial(channel.say, Kind.TELL))
        paths = [each.path for each in settings.listen if isinstance(each, UnixListener)]
        self._rooms = Rooms(
            settings,
            events=self._events,
            tickets=SharedTickets(number, paths),
            process=os.getppid(),
        )
        self._over = partial(tally.end_one, number)
        self._tls = [
            credentials(each.tls) if isinstance(each, TcpListener) and each.tls else None
            for each in settings.listen
        ]

    def run(self) -> bool:
        """Serve until the parent says that it is the end; whether a collection has outlasted it.

        Where the parent is dead this process ends. Raises what stands in the way of opening.
        """
        messages = self._channel.heard()
        with ExitStack() as begun:
            for message in messages:
                match message:
                    case Message(Kind.OPEN, body):
                        self._open(begun, is_first=bool(body))
                        self._channel.say(Kind.READY)
                    case Message(Kind.END):
                        threading.Thread(target=self._follow, args=(messages,), daemon=True).start()
                        self._rooms.health.end()
                        begun.close()
                        break
                    case _:
                        self._heed(message)
            else:
                _orphaned()
        return self._rooms.collects

    def _open(self, begun: ExitStack, *, is_first: bool) -> None:
        rooms, listeners = self._rooms, self._settings.listen
        rooms.open(begun)
        if is_first:
            # A child that is started again must not take back what was handed back meanwhile.
            rooms.adopt()
            for each in listeners:
                rooms.own(each)
        if self._number == _COLLECTING:
            rooms.begin_collecting(begun)
        handing = begun.enter_context(ExitStack())
        begun.callback(rooms.end_calls)
        for each in listeners:
            files = beside(each.path, self._number) if isinstance(each, UnixListener) else None
            rooms.serve(each, files, handing, self._over).start()
        rooms.health.begin()

    def _heed(self, message: Message | None) -> None:
        match message:
            case None:
                self._events.catch_up()
            case Message(Kind.TAKE, body, client):
                listener = int(body)
                if client is None:
                    _LOG.warning("a client is turned away: there are no more files to be had")
                    self._over()
                else:
                    self._rooms.servers[listener].take(client, self._tls[listener])
            case Message(Kind.TELL, events):
                self._events.hear(events)

    def _follow(self, messages: Iterator[Message | None]) -> None:
        """Go on listening while calls end: to events, and for a parent that does not wait."""
        for message in messages:
            self._heed(message)
        _orphaned()


def _orphaned() -> NoReturn:
    """End as the parent did. The next daemon may be starting, and every offset is kept."""
    os._exit(1)
