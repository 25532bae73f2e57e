"""Where every file lives. No other module spells a path.

    <root>/blobs/<algorithm>/<hex>            a committed blob
    <root>/ingest/<sha256 of the ref>/data    the bytes so far; its size is the offset
                                     /ref     the ref, as it is
                                     /startedat, /updatedat
                                     /total   the size it will have, if that is known
                                     /expected, /checkpoint, /lock
                                     /beginning   in place of all of these but data and lock
    <root>/scratch/…                          what one call needs while it runs

All but the last three lines are containerd's, byte for byte; docs/on-disk-format.md has the rest.
"""

import os
from pathlib import Path

from lading.model.digest import ALGORITHMS, Digest

DATA, REF, TOTAL, EXPECTED = "data", "ref", "total", "expected"
STARTED, UPDATED, CHECKPOINT, LOCK = "startedat", "updatedat", "checkpoint", "lock"
BEGINNING = "beginning"
SPARE = "spare"
"""How the name of a folder in `scratch` begins that waits for the next ingest."""

ENDING_ORDER = (DATA, CHECKPOINT, EXPECTED, TOTAL, UPDATED, STARTED, REF, BEGINNING, LOCK)
"""The files of an ingest in the order of their removal.

Bytes first, so that what a crash leaves has no data and is seen as ended; the lock last, so that
nobody can take the ref in a folder that is still being emptied.
"""


def key_of(ref: str) -> str:
    """The folder name of a ref: its hash, since a ref can be any text."""
    import hashlib  # noqa: PLC0415 - costs milliseconds that a listing can spare

    return hashlib.sha256(ref.encode()).hexdigest()


class StorePaths:
    """The paths below one root. The standing ones are made once: pathlib takes its time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.ingests = root / "ingest"
        self.scratch = root / "scratch"
        self._algorithms = {name: self.blobs / name for name in ALGORITHMS}

    def algorithm(self, name: str) -> Path:
        return self._algorithms[name]

    def blob(self, digest: Digest) -> Path:
        return self._algorithms[digest.algorithm] / digest.hex

    def blob_name(self, digest: Digest) -> str:
        """The same as text, for those who only look: a path takes longer to make than a look."""
        algorithm, _, name = digest.partition(":")
        return f"{self._algorithms[algorithm]}/{name}"

    def ingest(self, ref: str) -> Path:
        return self.ingests / key_of(ref)

    def new_scratch(self, purpose: str) -> Path:
        """A name below `scratch` that nobody else has."""
        return self.scratch / f"{purpose}-{os.getpid()}-{os.urandom(8).hex()}"
