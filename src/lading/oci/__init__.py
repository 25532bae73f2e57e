"""Registries, archives and plain URLs: how blobs come from elsewhere and go there.

    RegistryClient      any registry: pull, push, copy, resolve, tags, referrers, delete
    import_archive      images out of archives and image layouts, of OCI and of docker
    export_archive      and into them
    fetch_url           a file from a plain URL
    the others          what a client may be given

The room knows HTTP, and no other room does. Archives need the standard library only; whatever
speaks to a server needs the extra `oci`, and loads it when it is named here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lading.oci.access.credential import Credential
    from lading.oci.access.credentials import FileCredentials, GivenCredentials
    from lading.oci.access.hosts import Hosts
    from lading.oci.archives.exporting import export_archive
    from lading.oci.archives.importing import import_archive
    from lading.oci.client import RegistryClient
    from lading.oci.transport.patience import Patience
    from lading.oci.urls import fetch_url

__all__ = [
    "Credential",
    "FileCredentials",
    "GivenCredentials",
    "Hosts",
    "Patience",
    "RegistryClient",
    "export_archive",
    "fetch_url",
    "import_archive",
]

_HOMES = {
    "Credential": "access.credential",
    "FileCredentials": "access.credentials",
    "GivenCredentials": "access.credentials",
    "Hosts": "access.hosts",
    "Patience": "transport.patience",
    "RegistryClient": "client",
    "export_archive": "archives.exporting",
    "fetch_url": "urls",
    "import_archive": "archives.importing",
}


def __getattr__(name: str) -> Any:
    """Import what is named."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - for those who name something

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
