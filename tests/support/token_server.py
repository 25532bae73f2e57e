"""A token server for tests, whose tokens a real docker-registry takes.

    GET  ?service=…&scope=…   docker's dialect, with Basic or anonymously
    POST grant_type=…         OAuth2: a password, or a refresh token that was given before

It says what it was asked, and a test says what it does next.
"""

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import openssl

SERVICE, ISSUER = "registry.example", "the tests"
_NEW_KEY = {
    "RS256": ("rsa:2048",),
    "ES256": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
}


class Asked(NamedTuple):
    """One request: who asked in which way for what, and the status of the answer."""

    method: str
    user: str | None
    """None for nobody, whether anonymous or wrong."""
    scopes: tuple[str, ...]
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    status: int


def everything(user: str | None, kind: str, name: str, actions: list[str]) -> list[str]:
    """Grant what is asked for."""
    return actions


class TokenServer:
    """A server that runs. What is an attribute may be changed while it does."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str],
        algorithm: str = "ES256",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.users = dict(users)
        self.refresh_tokens: dict[str, str] = {}
        """Whose each is."""
        self.grants: Callable[[str | None, str, str, list[str]], list[str]] = everything
        self.speaks_oauth = True
        self.lets_anonymous = True
        self.lifetime_s = 300.0
        """How long the registry takes a token for; a negative one is past already."""
        self.expires_in: Any = 300
        """What it says of that; None for nothing."""
        self.issues: Callable[[dict[str, Any]], Any] = lambda answer: answer
        """Makes of a good answer what is sent."""
        self.failures: list[tuple[int, Mapping[str, str]]] = []
        """Statuses and headers with which to answer the next requests."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.log: list[Asked] = []
        self._algorithm = algorithm
        self._key, self.bundle = folder / "token.key", folder / "token.crt"
        ends = ("-keyout", self._key, "-out", self.bundle, "-subj", "/CN=tokens", "-days", "2")
        openssl("req", "-x509", "-nodes", "-newkey", *_NEW_KEY[algorithm], *ends)
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def scopes(self) -> list[tuple[str, ...]]:
        """What was asked for, request by request."""
        return [asked.scopes for asked in self.log]

    def stop(self) -> None:
        """End it."""
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self, user: str | None, scopes: tuple[str, ...]) -> str:
        """Make a token that the registry takes."""
        now = time.time()
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = self.grants(user, kind, name, actions.split(","))
            if granted:
                access.append({"type": kind, "name": name, "actions": granted})
        claims = {
            "iss": ISSUER,
            "sub": user or "",
            "aud": SERVICE,
            # The registry still takes a token for a minute after it has expired.
            "exp": int(now - 60 + self.lifetime_s) + (self.lifetime_s > 0),
            "nbf": int(now - 600),
            "iat": int(now - 600),
            "jti": f"{now}",
            "access": access,
        }
        certificate = "".join(self.bundle.read_text().splitlines()[1:-1])
        head = {"typ": "JWT", "alg": self._algorithm, "x5c": [certificate]}
        signed = ".".join(_packed(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{_packed(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        made = openssl("dgst", "-sha256", "-sign", self._key, stdin=signed)
        return made if self._algorithm == "RS256" else _two_numbers(made)

    def by_basic(self, header: str | None) -> tuple[str | None, bool]:
        """Who that is, and whether there is a token for them."""
        if header is None:
            return None, self.lets_anonymous
        name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        return (name, True) if self.users.get(name) == password else (None, False)

    def by_oauth(self, fields: Mapping[str, str]) -> str | None:
        """Who that is; None for nobody we know."""
        if fields["grant_type"] == "refresh_token":
            return self.refresh_tokens.get(fields["refresh_token"])
        name = fields["username"]
        return name if self.users.get(name) == fields["password"] else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is none."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, ours: TokenServer, *rest: Any) -> None:
        self._ours = ours
        super().__init__(*rest)

    def do_GET(self) -> None:
        fields = parse_qs(urlsplit(self.path).query)
        user, is_known = self._ours.by_basic(self.headers.get("Authorization"))
        self._answer(user, tuple(fields.get("scope", ())), _first(fields), is_known=is_known)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = _first(parse_qs(body))
        scopes = tuple(fields.get("scope", "").split())
        if self._ours.speaks_oauth:
            user = self._ours.by_oauth(fields)
            self._answer(user, scopes, fields, is_known=user is not None)
        else:
            self._send(Asked("POST", None, scopes, fields, dict(self.headers), 405), {})

    def _answer(self, user, scopes, fields, *, is_known) -> None:
        self._ours.may_answer.wait(60)
        asked = Asked(self.command, user, scopes, fields, dict(self.headers), 200)
        if self._ours.failures:
            status, headers = self._ours.failures.pop(0)
            self._send(asked._replace(status=status), {}, headers)
        elif not is_known:
            self._send(asked._replace(status=401), {"errors": [{"code": "UNAUTHORIZED"}]})
        else:
            answer = {"token": self._ours.token(user, scopes)}
            if self._ours.expires_in is not None:
                answer["expires_in"] = self._ours.expires_in
            self._send(asked, self._ours.issues(answer))

    def _send(self, asked: Asked, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        self._ours.log.append(asked)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(asked.status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def _first(fields: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: texts[0] for name, texts in fields.items()}


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _two_numbers(der: bytes) -> bytes:
    """An ECDSA signature as JWTs have it: r and s, 32 bytes each. RFC 7518, 3.4."""
    numbers, position = b"", 2
    for _ in range(2):
        size = der[position + 1]
        number = der[position + 2 : position + 2 + size].lstrip(b"\0")
        numbers += number.rjust(32, b"\0")
        position += 2 + size
    return numbers


@contextlib.contextmanager
def running_token_server(folder: Path, **settings: Any) -> Iterator[TokenServer]:
    """A token server that runs until the block ends."""
    server = TokenServer(folder, **settings)
    try:
        yield server
    finally:
        server.stop()
