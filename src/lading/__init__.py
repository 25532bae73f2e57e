"""lading: a content-addressed store that survives interrupted transfers, and speaks containerd.

    model     values                      content   the contract, and moving blobs along it
    stores    where content is kept       cli       the command

Names re-exported here need the standard library only; every other room is imported by name.
"""

from typing import TYPE_CHECKING, Any

from lading.content.store import Blob, ContentStore, Ingest, Writer
from lading.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    DigestMismatch,
    Error,
    NotFound,
    RefLocked,
    ResourceExhausted,
    SizeMismatch,
)
from lading.model.digest import Digest

if TYPE_CHECKING:
    from lading.content.transfer import ingest, verify
    from lading.stores.local.store import LocalStore

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Blob",
    "ContentStore",
    "DataLoss",
    "Digest",
    "DigestMismatch",
    "Error",
    "Ingest",
    "LocalStore",
    "NotFound",
    "RefLocked",
    "ResourceExhausted",
    "SizeMismatch",
    "Writer",
    "ingest",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what not everybody needs when it is named. Windows has no local store at all."""
    if name == "LocalStore":
        from lading.stores.local.store import LocalStore  # noqa: PLC0415 - see above

        return LocalStore
    if name in {"ingest", "verify"}:
        from lading.content import transfer  # noqa: PLC0415 - listings do without

        return getattr(transfer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
