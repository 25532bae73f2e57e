"""A login that is tried, before its credential is written down."""

from lading.errors import InvalidArgument
from lading.oci.access.credentials import Credential, GivenCredentials
from lading.oci.access.host import Host
from lading.oci.access.hosts import Hosts
from lading.oci.access.probing import probed
from lading.oci.access.tokens import Authorizer
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience
from lading.oci.transport.refusals import Subject, refusal

_OK, _UNAUTHORIZED = 200, 401


def try_login(registry: str, credential: Credential, *, hosts: Hosts, http: Http) -> bool:
    """Show a credential to a registry, and say whether the registry asked for one at all.

    Raises `Unauthenticated` where it does not take it, and whatever else goes wrong on the way:
    one that cannot be reached may have taken it, and nothing is known.
    """
    host = hosts.of(registry)[-1]
    if host.account != registry:
        raise InvalidArgument(
            f"{registry}: by its hosts.toml {host.name} answers for it, whose credentials count;"
            f" `lading login {host.name}`"
        )
    authorizer = Authorizer(http, GivenCredentials(credential))
    host = probed(host, hosts, within=Patience().connect)
    return _is_asked_for(host, http, authorizer)


def _is_asked_for(host: Host, http: Http, authorizer: Authorizer) -> bool:
    # The first request goes without, since only its answer says what to show and to whom.
    for attempt in range(2):
        sent = authorizer.header(host, ())
        headers = {**host.headers, **({"Authorization": sent} if sent else {})}
        answer = http.request("GET", f"{host.url}/", headers=headers, tls=host.tls)
        if answer.status == _OK:
            answer.close()
            return sent is not None
        if answer.status != _UNAUTHORIZED:
            break
        challenges = answer.every("WWW-Authenticate")
        answer.close()
        if attempt:
            raise authorizer.refused(host, (), challenges)
        authorizer.renew(host, (), challenges, sent=sent)
    raise refusal(answer, Subject("registry", host.registry), method="GET")
