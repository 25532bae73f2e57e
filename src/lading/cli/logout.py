"""`lading logout`: forget the credentials for a registry."""

from pathlib import Path

from lading.cli.options import verb
from lading.cli.outcome import Complaint, Outcome, say
from lading.cli.registry import authfile_option, extra_is_there, registry_argument
from lading.cli.session import Session


@verb
@registry_argument
@authfile_option
def command(session: Session, host: str, authfile: Path | None) -> None:
    """Forget the credentials for a registry.

    They are forgotten wherever they would be found: in every file of docker and podman, and by the
    credential helper that is configured for HOST.
    """
    with extra_is_there():
        from lading.oci.access.credentials import FileCredentials  # noqa: PLC0415 - not for `--help`
    files = FileCredentials(file=authfile).forget(host)
    if not files:
        raise Complaint(f"there are no credentials for {host}", Outcome.NOT_FOUND)
    for file in files:
        say(f"forgot the credentials for {host} of {file}")
