"""What `lading push` and `lading copy` share: where to, and what is there when they stop."""

from lading.cli.outcome import Complaint, Outcome
from lading.cli.quantities import size_text
from lading.cli.transfers import Transfers

_ARCHIVES = ("oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "dir:", "ocidir://")


def check_is_at_registry(text: str, *, instead: str) -> None:
    """Say which verb is meant, where somebody's fingers know skopeo."""
    if text.startswith(_ARCHIVES):
        raise Complaint(
            f"{text}: is no registry; archives and image layouts are for: {instead}",
            Outcome.USAGE,
        )


def kept_there(report: Transfers, again: str) -> str:
    """Say how much was sent, and how to go on."""
    if not report.offset:
        return f"nothing was sent yet; start over with: {again}"
    kept, total = size_text(report.offset), size_text(report.total)
    return f"{kept} of {total} were sent; go on with: {again}"
