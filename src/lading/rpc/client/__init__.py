"""The other end of the wire: stores and catalogs in another process, ours or containerd's.

    RemoteStore      one namespace, a `Scope` and so a content store
    RemoteCatalog    all namespaces, a `Catalog`

An address is `unix:///path`, a bare path, or `tcp://host:port`: see `address`.
"""

from lading.rpc.client.catalog import RemoteCatalog
from lading.rpc.client.leases import RemoteLease
from lading.rpc.client.store import RemoteStore

__all__ = ["RemoteCatalog", "RemoteLease", "RemoteStore"]
