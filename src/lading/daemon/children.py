"""The children of a daemon, as their parent has them: born, told, heard, and born again.

A child is forked from a parent that has one thread, and has loaded nothing of what is served: so
there is no lock that somebody else holds, no connection that two would use, and little memory.
"""

import logging
import os
import pickle
import selectors
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Final, NoReturn

from lading.daemon.channel import ChildsEnd, Kind, Message, ParentsEnd, channel
from lading.daemon.journal import keep_journal
from lading.daemon.settings import Settings
from lading.daemon.tally import Tally
from lading.errors import Error, FailedPrecondition

_LOG = logging.getLogger(__name__)
ENDINGS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
"""The signals that end a daemon. Children leave them to their parent."""
DEATHS_LIMIT: Final = 5
"""So many deaths of one child in `DEATHS_SECONDS` end the daemon."""
DEATHS_SECONDS: Final = 60.0
COLLECTS: Final = 75
"""How a child exits that leaves a collection to the next one."""
_STREAMS: Final = 3
"""The standard streams, whose numbers come first."""
_FILES: Final = 65_536
"""How many files there may be where the system sets no limit."""
_FIRST = 0
"""The child that opens the rooms before all others do, and readies what they find there."""


class Born:
    """One child, from its fork to its end."""

    def __init__(self, number: int, process: int, end: ParentsEnd) -> None:
        self.number, self.process, self.end = number, process, end
        self.is_ready = False
        self.failure: Exception | None = None
        """What it could not open its rooms for."""
        self.handed = 0
        """Clients that it was given."""
        self.watched = selectors.EVENT_READ


class Children:
    """All of them. Used by one thread, which has `ENDINGS` blocked but where it waits."""

    def __init__(self, settings: Settings, selector: selectors.BaseSelector) -> None:
        self.collects = False
        """Whether one has left a collection to the next daemon."""
        self._settings, self._selector = settings, selector
        self._tally = Tally(settings.processes)
        self._living: dict[int, Born] = {}
        self._deaths: dict[int, deque[float]] = {
            number: deque(maxlen=DEATHS_LIMIT) for number in range(settings.processes)
        }
        self._turn = 0
        self._has_begun = self._is_ending = False

    def begin(self) -> None:
        """Have all of them born, and the first one open its rooms."""
        for number in range(self._settings.processes):
            self._bear(number)
        self._living[_FIRST].end.say(Kind.OPEN, b"first")

    @property
    def are_ready(self) -> bool:
        """Whether all of them serve."""
        return len(self._living) == self._settings.processes == len(self._ready())

    @property
    def can_serve(self) -> bool:
        """Whether any of them does."""
        return bool(self._ready())

    @property
    def have_ended(self) -> bool:
        """Whether there is none any more."""
        return not self._living

    def hand_over(self, client: socket.socket, listener: int) -> None:
        """Give a client to the one that has the fewest; to each in turn where they have as many."""
        self._turn += 1
        count = self._settings.processes
        child = min(
            self._ready(),
            key=lambda child: (self._load(child), (child.number + self._turn) % count),
        )
        child.handed += 1
        child.end.say(Kind.TAKE, str(listener).encode(), client)

    def heed(self, child: Born, events: int) -> None:
        """Hear what a child says, and tell it what waits.

        Raises what keeps a daemon that begins from beginning, and `FailedPrecondition` where a
        child dies again and again.
        """
        if events & selectors.EVENT_WRITE:
            child.end.send()
        if events & selectors.EVENT_READ:
            messages = child.end.received()
            if messages is None:
                self._bury(child)
                return
            for message in messages:
                self._hear(child, message)

    def watch(self) -> None:
        """Wait for what is to be waited for. To be called before each waiting."""
        for child in self._living.values():
            wanted = selectors.EVENT_READ
            wanted |= selectors.EVENT_WRITE if child.end.holds_back else 0
            if wanted != child.watched:
                child.watched = wanted
                self._selector.modify(child.end, wanted, child)
            if child.end.lost and not child.end.holds_back:
                facts = {"process": child.number, "count": child.end.lost}
                _LOG.warning("a process did not keep up: it lost events", extra={"facts": facts})
                child.end.lost = 0

    def end(self) -> None:
        """Have those that serve let their calls end. It takes as long as it takes."""
        self._is_ending = True
        for child in self._living.values():
            if child.is_ready:
                child.end.say(Kind.END)
            else:
                os.kill(child.process, signal.SIGKILL)  # which loses nothing, at any moment

    def _ready(self) -> list[Born]:
        return [child for child in self._living.values() if child.is_ready]

    def _load(self, child: Born) -> int:
        return child.handed - self._tally.over(child.number)

    def _hear(self, child: Born, message: Message) -> None:
        match message.kind:
            case Kind.READY:
                child.is_ready = True
                self._go_on(child)
            case Kind.FAILED:
                child.failure = pickle.loads(message.body)  # noqa: S301 - our own child's
            case Kind.TELL:
                for other in self._living.values():
                    if other is not child and self._tally.hears(other.number):
                        other.end.tell(message.body)

    def _go_on(self, child: Born) -> None:
        """A child is ready: it is time for the others to open, or it was born again."""
        if self._has_begun:
            facts = {"process": child.number, "pid": child.process}
            _LOG.info("a process serves again", extra={"facts": facts})
        elif self.are_ready:
            self._has_begun = True
        elif child.number == _FIRST:
            for other in self._living.values():
                if other is not child:
                    other.end.say(Kind.OPEN)

    def _bury(self, child: Born) -> None:
        """A child is dead. Have it born again, unless that leads nowhere."""
        self._selector.unregister(child.end)
        child.end.close()
        del self._living[child.number]
        code = os.waitstatus_to_exitcode(os.waitpid(child.process, 0)[1])
        self._tally.forget(child.number)
        if self._is_ending:
            self.collects |= code == COLLECTS
            return
        if not self._has_begun:
            raise child.failure or Error("a process died before it was ready; the log says why")
        facts: dict[str, object] = {"process": child.number, "pid": child.process}
        facts |= {"signal": -code} if code < 0 else {"code": code}
        if child.failure is not None:
            facts["error"] = child.failure
        _LOG.error("a process has died", extra={"facts": facts})
        self._check_deaths(child.number)
        self._bear(child.number)
        self._living[child.number].end.say(Kind.OPEN)

    def _check_deaths(self, number: int) -> None:
        deaths, now = self._deaths[number], time.monotonic()
        deaths.append(now)
        if len(deaths) == DEATHS_LIMIT and now - deaths[0] < DEATHS_SECONDS:
            raise FailedPrecondition(
                f"process {number} died {DEATHS_LIMIT} times within {DEATHS_SECONDS:.0f} seconds; "
                "the log says how"
            )

    def _bear(self, number: int) -> None:
        parents, childs = channel()
        process = os.fork()
        if not process:
            _live(self._settings, number, childs, self._tally)
        childs.close()
        self._living[number] = born = Born(number, process, parents)
        self._selector.register(parents, born.watched, born)


def _live(settings: Settings, number: int, end: ChildsEnd, tally: Tally) -> NoReturn:
    """Be a child. What the parent had stays in the frames below, and nobody comes back to them."""
    code = 1
    try:
        _leave_home(end)
        for handler in list(logging.getLogger().handlers):
            logging.getLogger().removeHandler(handler)
        keep_journal(settings.log_level, settings.log_format, process=number)
        code = _serve(settings, number, end, tally)
    except BaseException:  # noqa: BLE001 - nothing may come back into the parent's frames
        _LOG.exception("a process failed in a way that it should not")
    finally:
        os._exit(code)


def _leave_home(end: ChildsEnd) -> None:
    """Leave to the parent what is its own: signals, and every file but one.

    A lock on a path would outlive the parent in us, and so would its end of another's channel.
    """
    signal.set_wakeup_fd(-1)
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
    kept = end.fileno()
    os.closerange(_STREAMS, kept)
    most = os.sysconf("SC_OPEN_MAX")
    os.closerange(kept + 1, most if most > 0 else _FILES)


def _serve(settings: Settings, number: int, end: ChildsEnd, tally: Tally) -> int:
    try:
        # What is served is loaded here, and never in the parent.
        from lading.daemon.child import Child  # noqa: PLC0415 - as said

        return COLLECTS if Child(settings, number, end, tally).run() else 0
    except (Error, OSError, ImportError) as error:
        # The parent ends with it as if it were its own, or tells of it before it tries again; and
        # where it is dead it is nobody's.
        with suppress(OSError):
            end.say(Kind.FAILED, pickle.dumps(error))
        return 1
