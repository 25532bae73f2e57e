"""A daemon's life: it opens what it serves, answers, and ends so that nothing is lost.

    begin    paths, store, metadata, collections, listeners; then it is ready, and says so
    end      it is ready no more, takes no calls, lets those in flight end for a while, cancels the
             rest and closes their writers, then collections, metadata, paths

A kill at any point loses nothing either: writers resume at an offset that was told before, and the
next daemon takes the paths over. Several daemons may serve one root at a time; the locks are the
store's and the database's, as for the command.
"""

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from lading.content.catalog import ADOPTED, OWNER
from lading.daemon.certificates import credentials
from lading.daemon.identity import identity_of
from lading.daemon.listeners import Listener, TcpListener, UnixListener
from lading.daemon.notices import READY, STOPPING, notify
from lading.daemon.settings import Settings
from lading.daemon.sockets import SocketPath
from lading.errors import FailedPrecondition, PermissionDenied, Unavailable
from lading.metadata.catalog import Metadata
from lading.metadata.rebuild import finish_adoption
from lading.metadata.timer import CollectionTimer
from lading.rpc.file_socket import SUFFIX
from lading.rpc.files_service import FileSocket
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.standard import Health
from lading.rpc.tickets import Tickets
from lading.stores.local.store import LocalStore

_LOG = logging.getLogger(__name__)
_DEFAULT_NAMESPACE = "default"


class Daemon:
    """Serves while its `with` block runs. What stands in the way is raised by entering it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.addresses: tuple[str, ...] = ()
        """Where it listens, in the order of the settings, with the ports that it has got."""
        self._health = Health()
        self._tickets = Tickets()
        self._servers: list[Server] = []
        self._file_sockets: list[FileSocket] = []
        self._collects = False
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as begun:
            # The paths come first: a second daemon by mistake shall not begin to adopt or collect.
            paths: dict[Listener, SocketPath] = {
                each: begun.enter_context(SocketPath(each.path))
                for each in self.settings.listen
                if isinstance(each, UnixListener)
            }
            metadata = self._metadata(begun)
            identity = identity_of(self.settings.root)
            timer = metadata.collecting(self.settings.thresholds)
            begun.callback(self._end_collecting, timer)
            timer.start()
            beside = begun.enter_context(ExitStack())
            begun.callback(self._end_calls)
            self.addresses = tuple(
                self._listen(each, paths.get(each), metadata, identity, beside)
                for each in self.settings.listen
            )
            for server in self._servers:
                server.start()
            begun.callback(self._tell_end)
            # Each listener's services have told what there is to be ready for.
            self._health.begin()
            notify(READY, f"STATUS=listening on {', '.join(self.addresses)}")
            _LOG.info(
                "ready",
                extra={"facts": {"root": self.settings.root, "listen": ", ".join(self.addresses)}},
            )
            self._ending = begun.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()
        _LOG.info("stopped", extra={"facts": {"collects": self._collects}})

    def _metadata(self, begun: ExitStack) -> Metadata:
        """Open the store and its metadata, which a first start makes; orphans are adopted then."""
        content = LocalStore(self.settings.root)
        reason = content.facts()["why_not_writable"]
        if reason is not None:
            raise PermissionDenied("nothing can be served", str(reason))
        self.settings.root.mkdir(parents=True, exist_ok=True)
        metadata = Metadata(self.settings.metadata, content=content, sharing=self.settings.sharing)
        begun.callback(self._close, metadata)
        adopted = finish_adoption(metadata, _DEFAULT_NAMESPACE, now_ns=time.time_ns())
        if adopted:
            facts = {"namespace": _DEFAULT_NAMESPACE, "count": len(adopted), "lease": ADOPTED}
            _LOG.info("adopted", extra={"facts": facts})
        return metadata

    def _listen(
        self,
        listener: Listener,
        path: SocketPath | None,
        metadata: Metadata,
        identity: str,
        begun: ExitStack,
    ) -> str:
        pinned = listener.namespace
        if pinned is not None:
            # Who is pinned brings neither labels nor leases, and has a collector of its own.
            metadata.label_namespace(pinned, {OWNER: "listener"})
        server = Server(
            metadata,
            services=all_services(
                metadata,
                metadata.events,
                tickets=self._tickets,
                health=self._health,
                identity=identity,
                files=None if path is None else self._handed_over_at(path.path, begun),
            ),
            pinned=pinned,
            workers=self.settings.workers,
        )
        self._servers.append(server)
        if isinstance(listener, TcpListener):
            tls = credentials(listener.tls) if listener.tls else None
            port = server.listen(listener.target, tls)
            return str(TcpListener(listener.host, port, listener.tls))
        assert path is not None
        with path.binding():
            server.listen(f"unix:{path.path}")
        return str(listener)

    def _handed_over_at(self, path: Path, begun: ExitStack) -> str | None:
        """Have files handed over beside a listener; None where that cannot be, and bytes flow."""
        beside = path.with_name(f"{path.name}{SUFFIX}")
        try:
            with ExitStack() as taken:
                taken.enter_context(SocketPath(beside))
                handing = FileSocket(str(beside), self._tickets)
                handing.start()
                begun.push(taken.pop_all())
        except (FailedPrecondition, PermissionDenied, Unavailable) as error:
            _LOG.warning("no files are handed over", extra={"facts": {"error": str(error)}})
            return None
        self._file_sockets.append(handing)
        return str(beside)

    # The end, in this order

    def _tell_end(self) -> None:
        _LOG.info("stopping", extra={"facts": {"grace": self.settings.grace.total_seconds()}})
        notify(STOPPING)
        self._health.end()

    def _end_calls(self) -> None:
        """Let calls end, all listeners at one time; then their writers are closed."""
        grace = self.settings.grace.total_seconds()
        ends = [threading.Thread(target=server.stop, args=(grace,)) for server in self._servers]
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
        end.join(self.settings.grace.total_seconds())
        self._collects = end.is_alive()

    def _close(self, metadata: Metadata) -> None:
        if not self._collects:
            metadata.close()
