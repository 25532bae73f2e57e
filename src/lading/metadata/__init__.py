"""Who owns what: namespaces, labels, leases, images, and the collector that follows them."""

from lading.metadata.catalog import Metadata
from lading.metadata.collector import Collection, LedgerLine
from lading.metadata.images import Descriptor, Image
from lading.metadata.leases import Lease
from lading.metadata.namespace import Namespace

__all__ = ["Collection", "Descriptor", "Image", "Lease", "LedgerLine", "Metadata", "Namespace"]
