"""A process that fetches one large blob, and tells by how much it has grown at its peak.

    python -m tests.memory.fetching ROOT URL DIGEST SIZE STREAMS

With more than one stream, it takes its connection for a slow one.
"""

import sys
import time
from pathlib import Path

from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.fetching.download import fetch
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience
from lading.stores.local.store import LocalStore
from tests.memory.eating import peak
from tests.oci.blob_at import At

SLOWNESS = 100


def main(root: Path, url: str, digest: Digest, size: int, streams: int) -> None:
    """Fetch it and tell."""
    http = Http()
    origin = At(http, url, size)
    patience = Patience(clock=lambda: time.monotonic() * (SLOWNESS if streams > 1 else 1))
    before = peak()
    blob = Descriptor("application/octet-stream", digest, size)
    fetch(LocalStore(root), "blob", blob, [origin], patience=patience, streams=streams)
    print(peak() - before, len(origin.opened))  # noqa: T201 - the answer
    http.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Digest(sys.argv[3]), *map(int, sys.argv[4:]))
