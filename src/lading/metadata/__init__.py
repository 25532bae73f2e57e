"""Who owns what: namespaces, labels, leases, images, and the collector that follows them."""

from lading.content.catalog import Image, Lease
from lading.content.collection import Collection, LedgerLine
from lading.metadata.catalog import Metadata
from lading.metadata.namespace import Namespace
from lading.model.descriptor import Descriptor

__all__ = ["Collection", "Descriptor", "Image", "Lease", "LedgerLine", "Metadata", "Namespace"]
