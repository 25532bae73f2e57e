"""Where every file lives. No other module spells a path.

    <root>/blobs/<algorithm>/<hex>            a committed blob
    <root>/ingest/<sha256 of the ref>/data    the bytes so far; its size is the offset
                                     /ref     the ref, as it is
                                     /startedat, /updatedat
                                     /total   the size it will have, if that is known
                                     /expected, /checkpoint, /lock
    <root>/scratch/…                          what one call needs while it runs

All but the last two lines are containerd's, byte for byte; docs/on-disk-format.md has the rest.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from lading.model.digest import Digest

DATA, REF, TOTAL, EXPECTED = "data", "ref", "total", "expected"
STARTED, UPDATED, CHECKPOINT, LOCK = "startedat", "updatedat", "checkpoint", "lock"

ENDING_ORDER = (DATA, CHECKPOINT, EXPECTED, TOTAL, UPDATED, STARTED, REF, LOCK)
"""The files of an ingest in the order of their removal.

Bytes first, so that what a crash leaves has no data and is seen as ended; the lock last, so that
nobody can take the ref in a folder that is still being emptied.
"""


def key_of(ref: str) -> str:
    """The folder name of a ref: its hash, since a ref can be any text."""
    return hashlib.sha256(ref.encode()).hexdigest()


class StorePaths(NamedTuple):
    """The paths below one root."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def ingests(self) -> Path:
        return self.root / "ingest"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def algorithm(self, name: str) -> Path:
        return self.blobs / name

    def blob(self, digest: Digest) -> Path:
        return self.blobs / digest.algorithm / digest.hex

    def ingest(self, ref: str) -> Path:
        return self.ingests / key_of(ref)

    def new_scratch(self, purpose: str) -> Path:
        """A name below `scratch` that nobody else has."""
        return self.scratch / f"{purpose}-{os.getpid()}-{os.urandom(8).hex()}"
