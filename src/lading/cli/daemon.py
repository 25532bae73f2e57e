"""The daemon that a run works through: the connection to it."""

from typing import TYPE_CHECKING

from lading.cli.outcome import Complaint, Outcome

if TYPE_CHECKING:
    from lading.rpc.client.catalog import RemoteCatalog

_EXTRA = {"grpc", "google", "grpc_status"}


def connected(address: str) -> "RemoteCatalog":
    """Open the connection, over which nothing is said before the first call."""
    try:
        from lading.rpc.client.catalog import RemoteCatalog  # noqa: PLC0415 - an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise Complaint(
            "reaching a daemon needs packages that are not installed; "
            "run: pip install 'lading[rpc]'",
            Outcome.FAILED,
        ) from error
    return RemoteCatalog(address)
