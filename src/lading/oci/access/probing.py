"""Whether a server speaks TLS: asked of a registry on this machine, whose scheme nobody named."""

import socket
import ssl
from datetime import timedelta
from urllib.parse import urlsplit

from lading.oci.access.hosts import Host, Hosts
from lading.oci.transport.addresses import PORTS


def probed(host: Host, hosts: Hosts, *, within: timedelta) -> Host:
    """The host, with the scheme that it speaks where nobody has named one."""
    if not host.falls_back:
        return host
    answer = speaks_tls(host.url, within=within)
    # Where nobody is there, the request itself will tell that.
    return host if answer is None else hosts.learn(host, plain=not answer)


def speaks_tls(url: str, *, within: timedelta) -> bool | None:
    """Begin a connection, and say whether it is TLS; None where nobody answers within the time.

    Nothing is sent but the greeting, and nobody is trusted. It takes a tenth of the time of a
    connection that would trust somebody, who are to be read from files first.
    """
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = parts.hostname or "", parts.port or PORTS["https"]
    try:
        with socket.create_connection(address, within.total_seconds()) as connection:
            try:
                context.wrap_socket(connection, server_hostname=parts.hostname).close()
            except ssl.SSLError as error:
                # Who refuses us by an alert speaks it.
                return "ALERT" in (error.reason or "")
            except (ConnectionResetError, BrokenPipeError):
                return False
            return True
    except OSError:
        return None
