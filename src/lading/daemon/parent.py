"""A daemon of several processes: the parent lets clients in, and its children answer them.

    begin    paths; children, of which the first opens the rooms before the others; addresses;
             then it is ready, and says so
    life     a client goes to the child that has the fewest, an event to the children that listen;
             a child that dies is born again
    end      nobody is let in any more, the children let their calls end, then the paths go

The parent has one thread, and waits for all of this at a time. What a supervisor knows is the
parent: its process, its word that it is ready, its exit code.
"""

import errno
import logging
import os
import selectors
import signal
import socket
import time
from contextlib import ExitStack, suppress
from typing import Final, NoReturn

from lading.daemon.children import ENDINGS, Born, Children
from lading.daemon.life import Life
from lading.daemon.listeners import Listener, TcpListener, UnixListener
from lading.daemon.settings import Settings
from lading.daemon.sockets import SocketPath, beside, sweep, taken_paths
from lading.rpc.http2.binding import AT_ONCE, bound, take_away

_LOG = logging.getLogger(__name__)
_REST_SECONDS: Final = 1.0
"""How long nobody is let in where there are no more files to be had."""
_NOBODY: Final = {errno.EAGAIN, errno.EINTR, errno.ECONNABORTED}


class Parent(Life):
    """Serves while its `with` block runs, and only while that is in `wait`, from the main thread.

    What stands in the way, be it in a child, is raised by entering it.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._selector = selectors.DefaultSelector()
        self._children = Children(settings, self._selector)
        self._listening: list[socket.socket] = []
        self._lets_in = False
        self._rests_until = 0.0

    @property
    def collects(self) -> bool:
        return self._children.collects

    def _begin(self, begun: ExitStack) -> None:
        # A signal raises whatever its handler does. Where that may be is said by `_turn`: not
        # between a fork and its being put down, nor in the middle of a message.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        begun.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDINGS)
        begun.callback(self._selector.close)
        self._listen_to_signals(begun)
        paths = taken_paths(self.settings.listen, begun)
        begun.callback(self._end_children)
        self._children.begin()
        while not self._children.are_ready:
            self._turn()
        begun.callback(self._end_listening)
        self.addresses = tuple(self._listen(each, paths.get(each)) for each in self.settings.listen)

    def wait(self) -> NoReturn:
        """Serve until a signal's handler raises something.

        Raises `FailedPrecondition`, too, where a child dies again and again.
        """
        while True:
            self._turn()

    def _listen(self, listener: Listener, path: SocketPath | None) -> str:
        if isinstance(listener, TcpListener):
            listening = bound(listener.target)
            port = int(listening.getsockname()[1])
            address = str(TcpListener(listener.host, port, listener.tls))
        else:
            assert path is not None
            with path.binding():
                listening = bound(f"unix:{path.path}")
            address = str(listener)
        listening.settimeout(0)
        self._listening.append(listening)
        return address

    def _listen_to_signals(self, begun: ExitStack) -> None:
        """Have a signal end a waiting that begins just then."""
        reading, writing = socket.socketpair()
        for each in (reading, writing):
            begun.enter_context(each).settimeout(0)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        begun.callback(signal.set_wakeup_fd, before)
        self._selector.register(reading, selectors.EVENT_READ)

    # One turn

    def _turn(self) -> None:
        """Wait until something is to be done, and do it."""
        self._children.watch()
        self._watch_listening()
        for key, events in self._waited():
            match key.data:
                case Born() as child:
                    self._children.heed(child, events)
                case int(number):
                    self._let_in(number)
                case _:
                    assert isinstance(key.fileobj, socket.socket)
                    with suppress(BlockingIOError):
                        key.fileobj.recv(512)

    def _waited(self) -> list[tuple[selectors.SelectorKey, int]]:
        rests = self._rests_until - time.monotonic()
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
            return self._selector.select(rests if rests > 0 else None)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)

    def _watch_listening(self) -> None:
        """Let clients in while there is somebody to answer them; others wait in the kernel."""
        is_rested = time.monotonic() >= self._rests_until
        lets_in = bool(self._listening) and self._children.can_serve and is_rested
        if lets_in == self._lets_in:
            return
        self._lets_in = lets_in
        for number, listening in enumerate(self._listening):
            if lets_in:
                self._selector.register(listening, selectors.EVENT_READ, number)
            else:
                self._selector.unregister(listening)

    def _let_in(self, number: int) -> None:
        try:
            for _ in range(AT_ONCE):
                if not self._children.can_serve:
                    return
                client, _ = self._listening[number].accept()
                self._children.hand_over(client, number)
        except OSError as error:
            if error.errno not in _NOBODY:
                # accept also tells that all files are taken.
                _LOG.warning("nobody can be let in for a moment: %s", os.strerror(error.errno or 0))
                self._rests_until = time.monotonic() + _REST_SECONDS

    # The end, in this order

    def _end_listening(self) -> None:
        for listening in self._listening:
            if self._lets_in:
                self._selector.unregister(listening)
            take_away(listening)
        self._listening.clear()
        self._lets_in = False

    def _end_children(self) -> None:
        self._children.end()
        while not self._children.have_ended:
            self._turn()
        for each in self.settings.listen:
            if isinstance(each, UnixListener):
                for number in range(self.settings.processes):
                    sweep(beside(each.path, number))  # of those that were killed
