"""Realm: a server that gives tokens for a registry, in its two dialects.

POST grant_type=password|refresh_token …  OAuth2, where we have a secret
GET  ?service=…&scope=…                   docker's own, with Basic or anonymously
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lading.errors import ConnectionFailed, Unauthenticated
from lading.oci.access.credential import Credential, basic
from lading.oci.access.host import Host
from lading.oci.transport.addresses import is_loopback
from lading.oci.transport.http import Http, Response
from lading.oci.transport.redirects import follow
from lading.oci.transport.refusals import Subject, refusal

ANSWER_LIMIT = 1 << 20
"""Bytes of an answer with a token."""
TOKEN_LIMIT = 64 << 10
"""Characters of a token; a server would not take more in a header."""

_CLIENT = "lading"
_LIFETIME_S = 60.0
"""Of a token that does not say; the specification's own number."""
_MARGIN_S = 10.0
"""A token is replaced so long before its end, that it does not end on its way."""
_FOREVER_S = 10 * 365 * 86_400.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED = (
    200,
    400,
    401,
    403,
    404,
    405,
)
_SPEAKS_NO_OAUTH = {_BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _NOT_ALLOWED}
"""What servers that know GET alone answer to a POST: Azure, Artifactory, Google, others."""


class Token(NamedTuple):
    """What to send as `Authorization`, and until when. Its repr hides it."""

    header: str
    expires_at: float = math.inf
    by_get: bool = False
    """Whether it came by docker's dialect."""

    def has_expired(self, now: float) -> bool:
        """Whether it has, or is about to."""
        return now >= self.expires_at

    def __repr__(self) -> str:
        return f"Token(…, expires_at={self.expires_at})"


class Realm(NamedTuple):
    """Where tokens are to be had, and for which service, as the challenge says it."""

    url: str
    service: str

    def fetch(
        self,
        http: Http,
        host: Host,
        scopes: tuple[str, ...],
        credential: Credential | None,
        clock: Callable[[], float],
        *,
        speaks_oauth: bool = True,
    ) -> Token:
        """Ask for a token. Raises `Unauthenticated`, or `Unavailable` where it may work later.

        Where it is known that the server `speaks_oauth` not, it does not get a password by POST.
        """
        self._check(host)
        asked_at = clock()
        answer, by_get = self._ask(http, host, scopes, credential, speaks_oauth=speaks_oauth)
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            answer.close()
            whom = credential.who if credential else "whom it does not know"
            raise Unauthenticated(
                host.account,
                f"{answer.host} gives no token to {whom}; `lading login {host.account}`",
            )
        if answer.status != _OK:
            raise refusal(answer, Subject("token server", self.url), method="a token of")
        with answer:
            body = answer.read(ANSWER_LIMIT)
        return _read_token(answer, body, asked_at)._replace(by_get=by_get)

    def _check(self, host: Host) -> None:
        try:
            parts = urlsplit(self.url)
            scheme, server = parts.scheme, parts.netloc if parts.port != 0 else ""
        except ValueError:
            scheme, server = "", ""
        if scheme not in {"http", "https"} or not server or "@" in server:
            raise Unauthenticated(
                host.account, f"it sends us for a token to {self.url[:160]!r}, which is no place"
            )
        if scheme == "http" and host.url.startswith("https:") and not is_loopback(parts.hostname):
            raise Unauthenticated(
                host.account,
                f"it sends us for a token to {server} over plain http, where anybody could read"
                " the credentials",
            )

    def _ask(
        self,
        http: Http,
        host: Host,
        scopes: tuple[str, ...],
        credential: Credential | None,
        *,
        speaks_oauth: bool,
    ) -> tuple[Response, bool]:
        """The answer, and whether docker's dialect was needed for it."""
        # An identity token is for OAuth alone: there is no other way to show it.
        if credential is not None and (
            credential.identity_token or (credential.password and speaks_oauth)
        ):
            answer = self._post(http, host, scopes, credential)
            if answer.status not in _SPEAKS_NO_OAUTH or not credential.password:
                return answer, False
            answer.close()
        return self._get(http, host, scopes, credential), True

    def _post(
        self, http: Http, host: Host, scopes: tuple[str, ...], credential: Credential
    ) -> Response:
        if credential.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credential.identity_token}
        else:
            form = {
                "grant_type": "password",
                "username": credential.username,
                "password": credential.password,
            }
        form |= {"service": self.service, "client_id": _CLIENT}
        if scopes:
            form["scope"] = " ".join(scopes)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        return http.request("POST", self.url, headers=headers, body=body, tls=host.tls)

    def _get(
        self, http: Http, host: Host, scopes: tuple[str, ...], credential: Credential | None
    ) -> Response:
        query = [("scope", scope) for scope in scopes]
        if self.service:
            query.insert(0, ("service", self.service))
        headers = {}
        if credential is not None and credential.username:
            query.append(("account", credential.username))
            headers["Authorization"] = basic(credential)
        address, _, own = self.url.partition("#")[0].partition("?")
        asked = "&".join(filter(None, (own, urlencode(query))))
        url = f"{address}?{asked}" if asked else address
        answer, _ = follow(
            lambda url, at_home: http.request(
                "GET", url, headers=headers if at_home else {}, tls=host.tls
            ),
            url,
        )
        return answer


def _read_token(answer: Response, body: bytes, asked_at: float) -> Token:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ConnectionFailed(answer.host, "its answer, which should have a token, is no JSON")
    token = said.get("token") or said.get("access_token")
    if not isinstance(token, str) or len(token) > TOKEN_LIMIT or not _TOKEN.fullmatch(token):
        raise ConnectionFailed(answer.host, "it answered without a token that could be sent")
    lifetime = _lifetime_s(said) - _age_s(said, answer.headers)
    # By our own clock from before we asked: whose clock is wrong does not matter.
    return Token(f"Bearer {token}", asked_at + lifetime - min(_MARGIN_S, lifetime / 5))


def _lifetime_s(said: Mapping[str, Any]) -> float:
    value = said.get("expires_in")
    if isinstance(value, (int, float)) and 0 < value < _FOREVER_S:
        return float(value)
    return _LIFETIME_S


def _age_s(said: Mapping[str, Any], headers: Mapping[str, str]) -> float:
    """How old the token was when it was sent, both times by the clock of whoever gave it."""
    try:
        issued = datetime.fromisoformat(said["issued_at"])
        sent = parsedate_to_datetime(headers["Date"])
        age = sent.astimezone(UTC) - issued.astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(age.total_seconds(), 0.0), _lifetime_s(said))
