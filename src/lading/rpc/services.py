"""Which services a listener answers."""

import uuid

from lading.content.catalog import Catalog
from lading.content.events import Events
from lading.rpc.collector_service import CollectorService, SharedCollections
from lading.rpc.content_service import ContentService
from lading.rpc.events_service import EventsService
from lading.rpc.files_service import FilesService
from lading.rpc.images_service import ImagesService
from lading.rpc.introspection_service import IntrospectionService, VersionService
from lading.rpc.leases_service import LeasesService
from lading.rpc.methods import Service
from lading.rpc.namespaces_service import NamespacesService
from lading.rpc.standard import Health, ReflectionService
from lading.rpc.tickets import Tickets


def all_services(
    catalog: Catalog,
    events: Events,
    *,
    tickets: Tickets | None = None,
    health: Health | None = None,
    identity: str | None = None,
    process: int | None = None,
    files: str | None = None,
) -> list[Service]:
    """Every service, over one catalog; with `tickets`, files may be handed over.

    `files` is where the listener's `FileSocket` is; without one, bytes go through the streams.

    `health` answers for all of them; without one they are ready at once. `identity` is the UUID by
    which clients know the root again; `process` the one that they are told, where it is not this.
    """
    collections = SharedCollections(catalog)
    services: list[Service] = [
        ContentService(events, tickets),
        LeasesService(collections),
        NamespacesService(),
        ImagesService(collections),
        EventsService(events),
        IntrospectionService(identity or str(uuid.uuid4()), process),
        VersionService(),
        CollectorService(),
    ]
    if tickets is not None:
        services.append(FilesService(tickets, files))
    names = [service.name for service in services]
    if health is None:
        health = Health()
        health.cover(names)
        health.begin()
    else:
        health.cover(names)
    return [*services, health, ReflectionService([*names, health.name])]
