"""Remote: one repository, at whichever hosts answer for it.

ask       one request to one host: authorised, redirected, its refusal an error of ours
attempt   the same over all hosts, with pauses, until one answers or none will
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from lading.errors import ConnectionFailed, InvalidArgument
from lading.model.reference import Reference
from lading.oci.access.hosts import Capability, Host, Hosts
from lading.oci.access.outages import Outages
from lading.oci.access.probing import probed
from lading.oci.access.tokens import Authorizer
from lading.oci.progress import Progress, nobody
from lading.oci.registry.attempts import attempted
from lading.oci.transport.addresses import same_origin
from lading.oci.transport.http import Body, Http, Response
from lading.oci.transport.patience import Patience
from lading.oci.transport.redirects import abroad, follow
from lading.oci.transport.refusals import BodyNeeded, Subject, refusal

_UNAUTHORIZED = 401
_GOOD = range(200, 300)
_FOLLOWED = frozenset({"GET", "HEAD"})
_KINDS = {"manifests": "manifest", "blobs": "blob", "referrers": "manifest", "tags": "repository"}
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, wherever that is."""

    method: str
    headers: Mapping[str, str]
    body: Body | None
    scopes: tuple[str, ...]
    accepts: tuple[int, ...]

    @property
    def can_repeat(self) -> bool:
        """Whether the body, which one request takes, is there for another one."""
        return self.body is None or isinstance(self.body, bytes)


class Remote:
    """A repository, as a reference names it. Any method may be called from any thread."""

    def __init__(
        self,
        reference: Reference,
        *,
        http: Http,
        hosts: Hosts,
        authorizer: Authorizer,
        patience: Patience,
        outages: Outages | None = None,
    ) -> None:
        self.reference, self.http, self.patience = reference, http, patience
        self.progress: Progress = nobody
        """Whom to tell of pauses, where an attempt names nobody."""
        self._hosts, self._authorizer = hosts, authorizer
        self._outages = outages or Outages(clock=patience.clock)
        self._probed: dict[str, Host] = {}

    def hosts(self, capability: Capability) -> tuple[Host, ...]:
        """The hosts that can do something, in the order to ask them: mirrors first.

        A mirror that has just not answered comes after the registry itself. Raises
        `InvalidArgument` where the user's files leave no host.
        """
        found = [
            host for host in self._hosts.of(self.reference.host) if capability in host.capabilities
        ]
        if not found:
            raise InvalidArgument(
                f"{self.reference.host}: its hosts.toml leaves no host that may {capability}"
            )
        return tuple(sorted(found, key=lambda host: self._outages.has(host.url)))

    def ask(
        self,
        host: Host,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        actions: str = "pull",
        also: tuple[str, ...] = (),
        accepts: tuple[int, ...] = (),
        url: str | None = None,
    ) -> Response:
        """Make one request for `path` of the repository, or for `url`, which the host gave us.

        A GET or HEAD goes where it is redirected. A 401 renews the token for `actions` (and for
        `also`, more scopes) and asks once more; with a body that cannot be sent again it raises
        `BodyNeeded` instead. Returns what succeeds, and the statuses that the caller `accepts`;
        raises our error for any other. No retry otherwise, and no pause.
        """
        scopes = (f"repository:{self.reference.repository}:{actions}", *also)
        request = _Request(method, headers or {}, body, scopes, accepts)
        host = self._probe(host)
        answer, at_home = self._asked(host, url or self._url(host, path), request)
        if answer.status in _GOOD or answer.status in accepts:
            return answer
        raise refusal(answer, self._subject(path), method=method, at_home=at_home)

    def attempt(
        self,
        capability: Capability,
        call: Callable[[Host], Answer],
        *,
        progress: Progress | None = None,
        only: Host | None = None,
    ) -> Answer:
        """Call with one host after another, or with `only` one, as `attempted` does."""
        hosts = self.hosts(capability) if only is None else (only,)
        told = progress or self.progress
        return attempted(hosts, call, patience=self.patience, progress=told)

    def _asked(self, host: Host, url: str, request: _Request) -> tuple[Response, bool]:
        """The last answer, and whether it is the host's own."""
        if request.method in _FOLLOWED:
            return follow(
                lambda url, at_home: self._at(host, url, request, at_home=at_home),
                url,
                home=host.url,
            )
        # Where uploads go may be another server, which the host has named.
        at_home = same_origin(url, host.url)
        return self._at(host, url, request, at_home=at_home), at_home

    def _at(self, host: Host, url: str, request: _Request, *, at_home: bool) -> Response:
        if not at_home:
            return self._abroad(host, url, request)
        sent = self._authorizer.header(host, request.scopes)
        answer = self._at_home(host, url, request, sent)
        if answer.status != _UNAUTHORIZED:
            return answer
        with answer:
            answer.drain()
        challenges = answer.every("WWW-Authenticate")
        self._authorizer.renew(host, request.scopes, challenges, sent=sent)
        if not request.can_repeat:
            raise BodyNeeded(host.name, "it wanted a new token first; ask again")
        sent = self._authorizer.header(host, request.scopes)
        answer = self._at_home(host, url, request, sent)
        if answer.status == _UNAUTHORIZED:
            answer.close()
            raise self._authorizer.refused(host, request.scopes, challenges)
        return answer

    def _at_home(self, host: Host, url: str, request: _Request, sent: str | None) -> Response:
        headers = {**host.headers, **request.headers}
        if sent is not None:
            headers["Authorization"] = sent
        try:
            answer = self.http.request(
                request.method, url, headers=headers, body=request.body, tls=host.tls
            )
        except ConnectionFailed:
            if host.is_mirror:
                self._outages.begin(host.url)
            raise
        self._outages.end(host.url)
        return answer

    def _abroad(self, host: Host, url: str, request: _Request) -> Response:
        """Ask a server that the host has named, and that may know nothing of us."""
        is_read = request.method in _FOLLOWED
        headers = abroad(request.headers) if is_read else request.headers
        return self.http.request(
            request.method,
            url,
            headers=headers,
            body=request.body,
            tls=host.tls._replace(identities=()),
        )

    def _probe(self, host: Host) -> Host:
        known = self._probed.get(host.name, host)
        if known.falls_back:
            known = probed(known, self._hosts, within=self.patience.connect)
            self._probed[host.name] = known
        return known

    def _url(self, host: Host, path: str) -> str:
        url = f"{host.url}/{self.reference.repository}/{path}"
        if not host.is_mirror:
            return url
        return f"{url}{'&' if '?' in path else '?'}{urlencode({'ns': host.registry})}"

    def _subject(self, path: str) -> Subject:
        """What a path names, for the error that it is not there."""
        collection, _, rest = path.partition("?")[0].partition("/")
        kind, name = _KINDS.get(collection, collection), self.reference.name
        if kind == "repository":
            return Subject(kind, name)
        if rest.startswith("uploads/"):
            return Subject("upload", name)
        return Subject(kind, f"{name}{'@' if ':' in rest else ':'}{rest}")
