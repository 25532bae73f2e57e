"""A server of this process, on a socket or a port of its own, as a daemon would have it."""

from collections.abc import Iterator
from contextlib import contextmanager

from lading.content.catalog import Catalog
from lading.content.events import Events
from lading.daemon.certificates import credentials
from lading.daemon.listeners import Files
from lading.rpc.file_socket import SUFFIX
from lading.rpc.files_service import FileSocket
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.tickets import Tickets
from tests.support.certificates import Authority


@contextmanager
def served(catalog: Catalog, events: Events, path, *, hands_over=True, **options) -> Iterator[str]:
    """Serve a catalog on the socket at `path` while the block runs; gives the address."""
    tickets = Tickets()
    files = FileSocket(f"{path}{SUFFIX}", tickets) if hands_over else None
    services = all_services(
        catalog, events, tickets=tickets if files else None, files=files and files.path
    )
    server = Server(catalog, services=services, **options)
    server.listen(f"unix:{path}")
    server.start()
    if files:
        files.start()
    try:
        yield f"unix://{path}"
    finally:
        if files:
            files.stop()
        server.stop(0.5)
        tickets.close()


@contextmanager
def served_by_tls(catalog: Catalog, events: Events, authority: Authority) -> Iterator[str]:
    """Serve a catalog on a port of the loopback with mutual TLS; gives a client's address."""
    certificate, key = authority.vouch("server")
    server = Server(catalog, services=all_services(catalog, events))
    port = server.listen("127.0.0.1:0", credentials(Files(certificate, key, authority.certificate)))
    server.start()
    certificate, key = authority.vouch("client")
    try:
        yield f"tcp://127.0.0.1:{port},ca={authority.certificate},cert={certificate},key={key}"
    finally:
        server.stop(0.5)
