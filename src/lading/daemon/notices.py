"""What systemd is told: that the daemon is ready, that it stops. Elsewhere nobody listens.

The protocol is a datagram of lines `KEY=VALUE` to the socket that `NOTIFY_SOCKET` names.
"""

import logging
import os
import socket
from collections.abc import Mapping

_LOG = logging.getLogger(__name__)
READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(*lines: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, if it wants to know. Never fails the daemon."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # a name in the kernel and not in the file system
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            caller.settimeout(0)
            caller.connect(address)
            caller.send("\n".join(lines).encode())
    except OSError as error:
        _LOG.warning("cannot notify systemd", extra={"facts": {"error": str(error)}})
