"""A server of this process, on a socket of its own, as a daemon would have it."""

from collections.abc import Iterator
from contextlib import contextmanager

from lading.content.catalog import Catalog
from lading.content.events import Events
from lading.rpc.file_socket import SUFFIX
from lading.rpc.files_service import FileSocket
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.tickets import Tickets


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
