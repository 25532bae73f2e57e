"""A daemon's life: it opens what it serves, answers, and ends so that nothing is lost.

    begin    paths, store, metadata, collections, listeners; then it is ready, and says so
    end      it is ready no more, takes no calls, lets those in flight end for a while, cancels the
             rest and closes their writers, then collections, metadata, paths

A kill at any point loses nothing either: writers resume at an offset that was told before, and the
next daemon takes the paths over. Several daemons may serve one root at a time; the locks are the
store's and the database's, as for the command. One that has several processes is a `Parent`.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lading.content.catalog import ADOPTED, OWNER
from lading.content.events import Events
from lading.daemon.certificates import credentials
from lading.daemon.identity import identity_of
from lading.daemon.life import Life
from lading.daemon.listeners import Listener, TcpListener
from lading.daemon.settings import Settings
from lading.daemon.sockets import SocketPath, beside, taken_paths
from lading.errors import FailedPrecondition, PermissionDenied, Unavailable
from lading.metadata.catalog import Metadata
from lading.metadata.rebuild import finish_adoption
from lading.metadata.timer import CollectionTimer
from lading.rpc.files_service import FileSocket
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.standard import Health
from lading.rpc.tickets import Tickets
from lading.stores.local.store import LocalStore

_LOG = logging.getLogger(__name__)
_DEFAULT_NAMESPACE = "default"


class Rooms:
    """The rooms put together. Each step adds to a stack what undoes it, which is then the end.

    Where they are listened for is said by whoever opens them: a daemon of one process, or each
    child of one that has several.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        events: Events | None = None,
        tickets: Tickets | None = None,
        process: int | None = None,
    ) -> None:
        """`process` is what clients are told of, where it is not this one."""
        self.health = Health()
        self.collects = False
        """Whether a collection has outlasted the end."""
        self.servers: list[Server] = []
        """In the order of the settings' listeners."""
        self._settings, self._events = settings, events
        self._process = process or os.getpid()
        self._tickets = Tickets() if tickets is None else tickets
        self._file_sockets: list[FileSocket] = []

    def open(self, begun: ExitStack) -> None:
        """Open the store and its metadata, which a first start makes."""
        content = LocalStore(self._settings.root)
        reason = content.facts()["why_not_writable"]
        if reason is not None:
            raise PermissionDenied("nothing can be served", str(reason))
        self._settings.root.mkdir(parents=True, exist_ok=True)
        self._metadata = Metadata(
            self._settings.metadata,
            content=content,
            sharing=self._settings.sharing,
            events=self._events,
        )
        begun.callback(self._close)
        self._identity = identity_of(self._settings.root)

    def adopt(self) -> None:
        """Adopt the orphans of a root that had no metadata. Once, as a daemon starts."""
        adopted = finish_adoption(self._metadata, _DEFAULT_NAMESPACE, now_ns=time.time_ns())
        if adopted:
            facts = {"namespace": _DEFAULT_NAMESPACE, "count": len(adopted), "lease": ADOPTED}
            _LOG.info("adopted", extra={"facts": facts})

    def begin_collecting(self, begun: ExitStack) -> None:
        """Collect from here on. In one process of a daemon, before anything is served."""
        timer = self._metadata.collecting(self._settings.thresholds)
        begun.callback(self._end_collecting, timer)
        timer.start()

    def own(self, listener: Listener) -> None:
        """Leave the namespace of a pinned listener to its owner. Once, as a daemon starts."""
        if listener.namespace is not None:
            # Who is pinned brings neither labels nor leases, and has a collector of its own.
            self._metadata.label_namespace(listener.namespace, {OWNER: "listener"})

    def serve(
        self,
        listener: Listener,
        files: Path | None,
        begun: ExitStack,
        over: Callable[[], object] | None = None,
    ) -> Server:
        """Make what answers at a listener; files are handed over at the socket `files`."""
        server = Server(
            self._metadata,
            services=all_services(
                self._metadata,
                self._metadata.events,
                tickets=self._tickets,
                health=self.health,
                identity=self._identity,
                process=self._process,
                files=None if files is None else self._handed_over_at(files, begun),
            ),
            pinned=listener.namespace,
            workers=self._settings.workers,
            over=over,
        )
        self.servers.append(server)
        return server

    def _handed_over_at(self, path: Path, begun: ExitStack) -> str | None:
        """Have files handed over beside a listener; None where that cannot be, and bytes flow."""
        try:
            with ExitStack() as taken:
                taken.enter_context(SocketPath(path))
                handing = FileSocket(str(path), self._tickets)
                handing.start()
                begun.push(taken.pop_all())
        except (FailedPrecondition, PermissionDenied, Unavailable) as error:
            _LOG.warning("no files are handed over", extra={"facts": {"error": str(error)}})
            return None
        self._file_sockets.append(handing)
        return str(path)

    # The end, in this order

    def end_calls(self) -> None:
        """Let calls end, all listeners at one time; then their writers are closed."""
        grace = self._settings.grace.total_seconds()
        ends = [threading.Thread(target=server.stop, args=(grace,)) for server in self.servers]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        for handing in self._file_sockets:
            handing.stop()
        self._tickets.close()

    def _end_collecting(self, timer: CollectionTimer) -> None:
        """Let a collection end, or leave it to the next one: it may be cut short anywhere."""
        end = threading.Thread(target=timer.close, daemon=True)
        end.start()
        end.join(self._settings.grace.total_seconds())
        self.collects = end.is_alive()

    def _close(self) -> None:
        if not self.collects:
            self._metadata.close()


class Daemon(Life):
    """Serves while its `with` block runs. What stands in the way is raised by entering it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._rooms = Rooms(settings)

    @property
    def collects(self) -> bool:
        return self._rooms.collects

    def _begin(self, begun: ExitStack) -> None:
        rooms = self._rooms
        # The paths come first: a second daemon by mistake shall not begin to adopt or collect.
        paths = taken_paths(self.settings.listen, begun)
        rooms.open(begun)
        rooms.adopt()
        rooms.begin_collecting(begun)
        beside = begun.enter_context(ExitStack())
        begun.callback(rooms.end_calls)
        self.addresses = tuple(
            self._listen(each, paths.get(each), beside) for each in self.settings.listen
        )
        for server in rooms.servers:
            server.start()
        # Each listener's services have told what there is to be ready for.
        rooms.health.begin()

    def _listen(self, listener: Listener, path: SocketPath | None, begun: ExitStack) -> str:
        self._rooms.own(listener)
        files = None if path is None else beside(path.path)
        server = self._rooms.serve(listener, files, begun)
        if isinstance(listener, TcpListener):
            tls = credentials(listener.tls) if listener.tls else None
            port = server.listen(listener.target, tls)
            return str(TcpListener(listener.host, port, listener.tls))
        assert path is not None
        with path.binding():
            server.listen(f"unix:{path.path}")
        return str(listener)

    def _tell_end(self) -> None:
        super()._tell_end()
        self._rooms.health.end()
