"""Which proxy stands between us and a host: as the environment says, read as Go programs read it.

`HTTPS_PROXY` and `HTTP_PROXY`, also in lower case, which comes first. `NO_PROXY` is a list of hosts
(with all below them), of `host:port`, of addresses and of networks such as `10.0.0.0/8`. Loopback
is never behind a proxy.
"""

import ipaddress
from urllib.parse import SplitResult
from urllib.request import getproxies, proxy_bypass

from lading.oci.transport.addresses import is_loopback


def proxy_for(parts: SplitResult) -> str | None:
    """The URL of the proxy for a URL; None where there is none to go through."""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme)
    host = parts.hostname or ""
    if not proxy or is_loopback(host) or _is_excepted(host, parts.port, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    netloc = host if port is None else f"{host}:{port}"
    if proxy_bypass(netloc):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _networks(exceptions))


def _networks(exceptions: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for text in exceptions.split(","):
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            continue  # a name, which was looked at before
    return found
