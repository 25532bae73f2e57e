"""Authorization: how a registry is shown who asks.

    request → 401 with a challenge → `renew` → the same request with `header`

Two ways are known, and bearer comes before basic. For a bearer token one asks the *realm*, a server
that the registry names. Our credentials for a registry go to its realm because it named it: whoever
runs a registry gets its passwords anyway. For that reason they are those of that host and of no
other one, and an https registry cannot have them sent over plain http. Sources: distribution's
"Token Authentication Specification" and "OAuth2 Token Authentication".
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lading.errors import Error, PermissionDenied, Unauthenticated
from lading.oci.access.challenges import Challenge, read_challenges
from lading.oci.access.credential import basic
from lading.oci.access.credentials import Credentials
from lading.oci.access.hosts import Host
from lading.oci.access.realm import Realm, Token
from lading.oci.transport.http import Http

KEPT_LIMIT = 1000
"""Tokens, and other things that a registry could make many of, that are remembered."""

_BEARER, _BASIC = "bearer", "basic"


class _Wanted(NamedTuple):
    """What a token is for."""

    account: str
    url: str
    repository: str
    realm: Realm | None
    """None for what needs no token: a password, or a token that we were given."""
    scopes: tuple[str, ...]


class _Slot:
    """Where a token is kept. Whoever fetches it holds the lock, and the others wait for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failures = 0
        self._failure: Error | None = None

    def get(self, is_good: Callable[[Token], bool], fetch: Callable[[], Token]) -> Token:
        """The token, fetched where there is none or it is not good.

        Who has waited for a fetch that failed has failed with it: were each to try for itself, one
        after the other, a server that does not answer would be waited for as often.
        """
        failures = self._failures
        with self._lock:
            if self._token is None or not is_good(self._token):
                if self._failure is not None and self._failures != failures:
                    raise self._failure.with_traceback(None)
                try:
                    self._token = fetch()
                except Error as error:
                    self._failure, self._failures = error, self._failures + 1
                    raise
            return self._token


class Authorizer:
    """Remembers, for each host, how it asks who we are, and what it was shown. Nothing is written.

    Any method may be called from any thread; of the same token there is one request at a time.
    """

    def __init__(
        self, http: Http, credentials: Credentials, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._http, self._credentials, self._clock = http, credentials, clock
        self._challenges: dict[str, Challenge] = {}
        self._asked: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        """Scopes that a host wanted for those that we thought of."""
        self._slots: dict[_Wanted, _Slot] = {}
        self._without_oauth: set[str] = set()
        """Realms that took docker's dialect after they had not understood the other one."""
        self._guard = threading.Lock()

    def header(self, host: Host, scopes: tuple[str, ...]) -> str | None:
        """What to send as `Authorization`; None where that host has not asked yet.

        A token that is about to expire, or is the first for these scopes, is fetched at once, so
        that no body is sent for nothing. Raises what `renew` raises.
        """
        with self._guard:
            challenge = self._challenges.get(host.url)
        if challenge is None:
            return None
        wanted = self._wanted(host, scopes, challenge)
        token = self._slot(wanted).get(
            lambda token: not token.has_expired(self._clock()), lambda: self._fetch(host, wanted)
        )
        return token.header

    def renew(
        self,
        host: Host,
        scopes: tuple[str, ...],
        challenges: Sequence[str],
        *,
        sent: str | None = None,
    ) -> None:
        """After a 401, get what `header` will give for these scopes, so that one may ask again.

        `sent` is the header that was refused. Where another thread has replaced it meanwhile, there
        is nothing to do. Raises `Unauthenticated` where there are no credentials or they are not
        accepted, and `Unavailable` where the realm does not answer.
        """
        challenge = _chosen(host, challenges)
        with self._guard:
            self._challenges[host.url] = challenge
            if len(self._asked) >= KEPT_LIMIT:
                self._asked.clear()
            asked = challenge.get("scope").split()
            self._asked[host.url, scopes] = tuple(scope for scope in asked if ":" in scope)
        wanted = self._wanted(host, scopes, challenge)
        token = self._slot(wanted).get(
            lambda token: token.header != sent and not token.has_expired(self._clock()),
            lambda: self._fetch(host, wanted),
        )
        if wanted.realm is None and token.header == sent:
            raise self.refused(host, scopes, challenges)

    def refused(self, host: Host, scopes: tuple[str, ...], challenges: Sequence[str]) -> Error:
        """Make the error of a 401 that came again after `renew`."""
        repository = _repository_of(scopes)
        credential = self._credentials.find(host.account, repository)
        what = f"{host.account}/{repository}" if repository else host.account
        if credential is None:
            return _anonymous(host, repository)
        if repository and _chosen(host, challenges).scheme == _BEARER:
            actions = " and ".join(scopes[0].rpartition(":")[2].split(","))
            return PermissionDenied(
                what,
                f"{credential.who} may not {actions} there, or there is no such repository;"
                f" `lading login {host.account}` as somebody who may",
            )
        return Unauthenticated(
            host.account,
            f"it does not accept the credentials of {credential.who};"
            f" `lading login {host.account}`",
        )

    def _wanted(self, host: Host, scopes: tuple[str, ...], challenge: Challenge) -> _Wanted:
        repository = _repository_of(scopes)
        if challenge.scheme == _BASIC:
            return _Wanted(host.account, host.url, repository, None, ())
        with self._guard:
            more = self._asked.get((host.url, scopes), ())
        realm = Realm(challenge.get("realm"), challenge.get("service"))
        return _Wanted(host.account, host.url, repository, realm, _merged((*scopes, *more)))

    def _slot(self, wanted: _Wanted) -> _Slot:
        with self._guard:
            if wanted not in self._slots and len(self._slots) >= KEPT_LIMIT:
                # The oldest first. Who holds a slot that is gone still has what is in it.
                del self._slots[next(iter(self._slots))]
            return self._slots.setdefault(wanted, _Slot())

    def _fetch(self, host: Host, wanted: _Wanted) -> Token:
        # Asked for anew each time: a helper's passwords are short-lived, too.
        credential = self._credentials.find(host.account, wanted.repository)
        if credential is not None and credential.registry_token:
            return Token(f"Bearer {credential.registry_token}")
        if wanted.realm is not None:
            realm = wanted.realm
            token = realm.fetch(
                self._http,
                host,
                wanted.scopes,
                credential,
                self._clock,
                speaks_oauth=realm.url not in self._without_oauth,
            )
            if token.by_get and credential is not None:
                with self._guard:
                    # A registry may name another realm each time.
                    if len(self._without_oauth) >= KEPT_LIMIT:
                        self._without_oauth.clear()
                    self._without_oauth.add(realm.url)
            return token
        if credential is None or not (credential.username or credential.password):
            raise _anonymous(host, wanted.repository)
        return Token(basic(credential))


def _chosen(host: Host, challenges: Sequence[str]) -> Challenge:
    offered = read_challenges(challenges)
    for scheme in (_BEARER, _BASIC):
        for challenge in offered:
            if challenge.scheme == scheme and (scheme == _BASIC or challenge.get("realm")):
                return challenge
    schemes = ", ".join(dict.fromkeys(challenge.scheme for challenge in offered))
    asks = f"it asks for {schemes[:160]}" if schemes else "it does not say how to show it"
    raise Unauthenticated(host.account, f"it wants to know who asks, and {asks}")


def _anonymous(host: Host, repository: str) -> Unauthenticated:
    about = f"nothing of {repository} without knowing" if repository else "nothing without knowing"
    return Unauthenticated(
        host.account, f"it gives {about} who asks; `lading login {host.account}`"
    )


def _merged(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Each resource once, with all that is to be done with it, always in the same order.

    docker-registry names the same actions now in one order, now in another.
    """
    wanted: dict[str, set[str]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        wanted.setdefault(resource, set()).update(actions.split(","))
    return tuple(
        f"{resource}:{','.join(sorted(actions))}" for resource, actions in sorted(wanted.items())
    )


def _repository_of(scopes: tuple[str, ...]) -> str:
    """The repository of the first scope, `repository:NAME:ACTIONS`; others are sources of it."""
    first = scopes[0].split(":") if scopes else []
    return ":".join(first[1:-1]) if first[:1] == ["repository"] else ""
