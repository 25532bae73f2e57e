"""Who reads a connection: one thread at a time, the leader, and never one that does nothing else.

    lead      a thread that waits for its client reads, and tells all others what has come for them
    hand on   when it has what it waited for, it wakes another who waits; or the poller watches, at
              once, or in some milliseconds where a call is being answered that may end sooner
    linger    a worker that has answered a call leads for a moment, for the next one

So a client that asks, waits and asks again, as most do, is answered by one thread that never waits
for another.
"""

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from lading.rpc.http2 import turns
from lading.rpc.http2.poller import Poller

_ONE: Final = (1).to_bytes(8, sys.byteorder)
LINGER_SECONDS: Final = 0.2
"""How long a worker waits for the next call of a connection before the poller does."""


class Waiter(Protocol):
    """Whose thread waits."""

    def time_left(self) -> float | None:
        """Seconds until it waits no longer; None for as long as it takes."""


class Led(Protocol):
    """What is read. All but the first are asked under the lead's guard."""

    def read(self, *, lingers: bool) -> None:
        """Take in what has come, and tell; by a thread that lingers, or has other things to do."""

    is_broken: bool
    """Whether nothing comes any more."""

    @property
    def has_calls(self) -> bool:
        """Whether a call is being answered."""

    @property
    def is_shared(self) -> bool:
        """Whether it carries several calls at a time, so that it is never left alone."""

    @property
    def has_to_send(self) -> bool:
        """Whether something waits for room in the socket."""

    def rest(self) -> None:
        """Nothing is expected for a while."""

    def close(self) -> None:
        """No thread uses it any more."""


class Lead:
    """The turns of one connection. Any method may be called from any thread."""

    def __init__(self, led: Led, socket_number: int, poller: Poller) -> None:
        self.guard = threading.Lock()
        self._led, self._poller, self._socket_number = led, poller, socket_number
        self._is_taken = self._is_watched = self._is_alone = self._is_closed = False
        self._waiting: dict[Waiter, threading.Lock] = {}
        """Who waits while another leads, and what each is woken by."""
        self._wake_read, self._wake_write = _waker()
        self._poll = select.poll()
        self._poll.register(socket_number, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def fileno(self) -> int:
        """What the poller watches."""
        return self._socket_number

    # The poller's thread

    def ready(self) -> None:
        """Something has come while nobody led."""
        with self.guard:
            if self._is_taken or self._is_closed:
                return
            self._take()  # somebody may have led since, and have it watched again
        try:
            self._read(0.0)
        finally:
            self._leave()

    def left_alone(self) -> None:
        """Its call takes long."""
        with self.guard:
            if self._is_alone and not self._is_closed:
                self._is_alone = False
                self._watch()

    # The threads of calls

    def wait(self, who: Waiter, ready: Callable[[], bool]) -> bool:
        """Wait until something holds, by the only thread that waits for `who`; False if it is late.

        What is waited for comes by what is read, and then `tell` is called; or by `wake`.
        """
        turns.end()
        try:
            while not ready():
                left = who.time_left()
                if left is not None and left <= 0:
                    return False
                turn = self._turn(who)
                if turn is None:
                    self._lead(who, ready)
                else:
                    if not ready():  # what came before it could be woken woke it not
                        turn.acquire(timeout=-1 if left is None else left)
                    with self.guard:
                        self._waiting.pop(who, None)
            return True
        finally:
            self.hand_on()

    def _turn(self, who: Waiter) -> "threading.Lock | None":
        """Take the lead, or get what one is woken by, when it is free or something has come."""
        with self.guard:
            if not self._is_taken:
                self._take()
                return None
            turn = self._waiting[who] = threading.Lock()
            turn.acquire()
            return turn

    def _lead(self, who: Waiter, ready: Callable[[], bool]) -> None:
        try:
            while not ready() and self._read(who.time_left()):
                pass
        finally:
            with self.guard:
                self._is_taken = False

    def linger(self, goes_on: Callable[[], bool]) -> None:
        """Lead while it is worth it, by a worker that has nothing else to do.

        It has its turn, if it need not wait long for it, when something has come.
        """
        with self.guard:
            if self._is_taken or self._led.is_broken or not goes_on():
                self._hand_on()
                return
            self._take()
        until = time.monotonic() + LINGER_SECONDS
        left = LINGER_SECONDS
        try:
            while left > 0 and self._read(left, lingers=True) and goes_on():
                left = until - time.monotonic()
        except BaseException:
            turns.end()
            raise
        finally:
            with self.guard:
                self._is_taken = False  # whoever lingered hands on, when it knows what it does next

    def hand_on(self) -> None:
        """Leave the reading to somebody, unless somebody has it."""
        with self.guard:
            self._hand_on()

    def _read(self, seconds: float | None, *, lingers: bool = False) -> bool:
        """Read once, when something comes; whether it did in that time."""
        sends = self._led.has_to_send
        if sends:
            self._poll.modify(self._socket_number, select.POLLIN | select.POLLOUT)
        turns.end()
        events = self._poll.poll(None if seconds is None else seconds * 1000)
        if lingers and events:
            turns.take()
        if sends:
            self._poll.modify(self._socket_number, select.POLLIN)
        for number, _ in events:
            if number == self._wake_read:
                os.read(self._wake_read, 512)
            else:
                self._led.read(lingers=lingers)
        return bool(events) and not self._led.is_broken

    # Whoever has something to tell

    def tell(self, whom: Iterable[Waiter]) -> None:
        """Have these look; by the leader, after it has told them."""
        with self.guard:
            for each in whom:
                turn = self._waiting.pop(each, None)
                if turn is not None:
                    turn.release()

    def tell_all(self) -> None:
        """Have everybody look."""
        with self.guard:
            for turn in self._waiting.values():
                turn.release()
            self._waiting.clear()
            self._wake()

    def wake(self, whom: Waiter | None = None) -> None:
        """Have one look, who may be the leader; or the leader alone."""
        with self.guard:
            turn = self._waiting.pop(whom, None) if whom is not None else None
            if turn is not None:
                turn.release()
            else:
                self._wake()

    def look_for_room(self) -> None:
        """Have whoever waits for the socket wait for room in it, too."""
        with self.guard:
            if self._is_closed:
                return
            if self._is_watched:
                self._poller.leave(self)
                self._watch()
            else:
                self._wake()

    def _wake(self) -> None:
        if self._is_taken:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, _ONE)

    # Under the guard

    def _take(self) -> None:
        self._is_taken = True
        if self._is_alone:
            self._is_alone = False
            self._poller.back(self)
        if self._is_watched:
            self._is_watched = False
            self._poller.leave(self)

    def _leave(self) -> None:
        with self.guard:
            self._is_taken = False
            self._hand_on()

    def _hand_on(self) -> None:
        if self._is_taken or self._is_closed:
            return
        led = self._led
        if led.is_broken:
            if not led.has_calls:
                self._close()
        elif self._waiting:
            self._waiting.pop(next(iter(self._waiting))).release()
        elif self._is_watched or self._is_alone:
            return
        elif led.has_calls and not led.is_shared:
            # Its one call is being answered, and most are answered in no time.
            self._is_alone = True
            self._poller.watch_soon(self)
        else:
            self._watch()

    def _watch(self) -> None:
        self._is_watched = True
        if not self._led.has_calls:
            self._led.rest()
        self._poller.watch(self, writes=self._led.has_to_send)

    def _close(self) -> None:
        self._is_closed = True
        if self._is_alone:
            self._poller.back(self)
        if self._is_watched:
            self._poller.leave(self)
        self._led.close()
        for number in {self._wake_read, self._wake_write}:
            os.close(number)


def _waker() -> tuple[int, int]:
    """What wakes a poll: where that is seen, and where it is written. One file, if it can be."""
    if hasattr(os, "eventfd"):
        number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return number, number
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    return ours, theirs
