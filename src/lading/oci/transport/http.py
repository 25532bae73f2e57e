"""HTTP as this room needs it: one request, one answer, errors in our words.

The one module that knows urllib3. It follows no redirect, repeats nothing, and undoes no encoding:
whoever asks decides about that, since each can lose or poison a transfer. Proxies come from the
environment (`oci/transport/proxies.py`), and so do authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
"""

import contextlib
import re
import select
import ssl
import threading
from collections.abc import Iterable, Mapping
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit

from lading.errors import ConnectionFailed, InvalidArgument, Untrusted
from lading.model.closing import Closing
from lading.oci.transport.patience import Patience
from lading.oci.transport.proxies import proxy_for
from lading.oci.transport.tls import Tls, context_of
from lading.oci.transport.waits import waiting_at

try:
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        IncompleteRead,
        ProxyError,
        ProxySchemeUnknown,
        ReadTimeoutError,
        SSLError,
    )
except ImportError as error:
    if (error.name or "").partition(".")[0] != "urllib3":
        raise
    raise ImportError(
        "registries need the package urllib3, which is not here; run: pip install 'lading[oci]'",
        name=error.name,
    ) from error

__all__ = ["BLOCK", "Body", "Http", "Response", "SpeaksNoTls", "Tls"]

BLOCK = 256 << 10
"""Bytes that are sent at once."""
_POOLED = 32
"""Connections that are kept open to one host."""
_HOSTS = 64
"""Hosts to which connections are kept open."""
_DRAINED = 64 << 10
"""A rest of a body that is read for the sake of its connection."""

_WHO = re.compile(r"^\w+\(host=.*?, port=\d+\): ")
_PROXY_ANSWER = re.compile(r"Tunnel connection failed: (\d+)")
Body = bytes | IO[bytes] | Iterable[bytes]


class SpeaksNoTls(ConnectionFailed):
    """What answers at `host` is no TLS, and will not be; it may be plain HTTP."""

    retryable = False


class Response(Closing):
    """An answer whose body has not been read. Belongs to one thread at a time."""

    def __init__(self, host: str, url: str, answer: urllib3.BaseHTTPResponse) -> None:
        self.host, self.url = host, url
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        """By name, in any case."""
        self._answer = answer
        self._ready: select.poll | None = None

    def every(self, name: str) -> list[str]:
        """All values of a header that came more than once, in their order."""
        return list(self._answer.headers.getlist(name))

    def read1(self, size: int) -> bytes:
        """Some bytes of the body, as soon as there are any; none at its end.

        Raises `ConnectionFailed` where it breaks off, also where it is shorter than it said.
        """
        try:
            return self._answer.read1(size, decode_content=False)
        except (HTTPError, OSError) as error:
            raise _failed(self.host, error) from error
        except ValueError as error:
            raise ConnectionFailed(self.host, "its answer has been closed") from error

    @property
    def is_ready(self) -> bool:
        """Whether `read1` would give something, or fail, without waiting; no if nobody knows."""
        try:
            if self._ready is None:
                self._ready = select.poll()
                self._ready.register(self._answer.fileno(), select.POLLIN)
            return bool(self._ready.poll(0))
        except (HTTPError, OSError, ValueError, AttributeError):
            return False  # it was read to its end

    def read_up_to(self, size: int) -> bytes:
        """The first bytes of the body, all of it where it has no more than `size`."""
        pieces: list[bytes] = []
        while size > 0 and (piece := self.read1(min(size, BLOCK))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def read(self, limit: int) -> bytes:
        """The whole body, which may not have more than `limit` bytes: else `ConnectionFailed`."""
        data = self.read_up_to(limit + 1)
        if len(data) > limit:
            self.close()
            raise ConnectionFailed(self.host, f"its answer is longer than {limit} bytes")
        return data

    def drain(self) -> None:
        """Read what is left, where that is little, so that the connection can be used again."""
        with contextlib.suppress(ConnectionFailed):
            self.read_up_to(_DRAINED)

    def cut(self) -> None:
        """End the connection under whoever reads from it: that fails now. From any thread."""
        with contextlib.suppress(HTTPError, OSError, ValueError, RuntimeError):
            self._answer.shutdown()  # or nobody reads any more

    def close(self) -> None:
        """Let go. The connection is kept for the next request where the body was read."""
        with contextlib.suppress(HTTPError, OSError):  # what is broken is closed by that
            if getattr(self._answer, "length_remaining", None) == 0:
                self._answer.read1(1, decode_content=False)  # which gives back the connection
            # One that was read to its end has gone back to the others by itself.
            self._answer.close()


class Http:
    """Connections to whichever hosts are asked for. Any method may be called from any thread."""

    def __init__(self, patience: Patience | None = None, *, agent: str = "lading") -> None:
        patience = patience or Patience()
        self._agent = agent
        self._timeout = urllib3.Timeout(
            connect=patience.connect.total_seconds(), read=patience.idle.total_seconds()
        )
        self._pools: dict[tuple[str, Tls, str | None], urllib3.PoolManager] = {}
        self._guard = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        tls: Tls = Tls(),  # noqa: B008 - a value
    ) -> Response:
        """Ask, and return when the head of the answer is here, whatever its status.

        Raises `ConnectionFailed`, which may be tried again; `Untrusted`, which may not;
        `InvalidArgument` for a URL that is not for us, and for files of `tls` or a proxy that
        cannot be used.
        """
        parts = _parts_of(url)
        host = parts.netloc.rpartition("@")[2]
        pool = self._pool(parts, tls)
        sent = {"User-Agent": self._agent, "Accept-Encoding": "identity", **(headers or {})}
        try:
            answer = pool.request(
                method,
                url,
                headers=sent,
                body=body,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            raise _failed(host, error) from error
        return Response(host, url, answer)

    def close(self) -> None:
        """Close what is kept open. Safe to call twice."""
        with self._guard:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.clear()

    def _pool(self, parts: SplitResult, tls: Tls) -> urllib3.PoolManager:
        proxy = proxy_for(parts)
        # Plain http through a plain proxy has nothing to trust.
        needs_tls = parts.scheme == "https" or (proxy or "").startswith("https:")
        key = parts.scheme, tls if needs_tls else Tls(), proxy
        with self._guard:
            if key not in self._pools:
                self._pools[key] = _new_pool(tls if needs_tls else None, proxy)
            return self._pools[key]


_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"}
)
"""OpenSSL's words for an answer that is no TLS. Which one depends on its version."""


class _PlainConnection(HTTPConnection):
    """A connection at which somebody else may end the wait for an answer: see `waits`."""

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        assert self.sock is not None
        with waiting_at(self.sock):
            return super().getresponse()


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _Connection(_PlainConnection, HTTPSConnection):
    """A connection whose user has said who is trusted, and needs no warning that it is nobody."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises for one that is none
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # Without its query, which can be a secret.
        raise InvalidArgument(f"{url.partition('?')[0][:200]!r} is no http or https URL")
    return parts


def _new_pool(tls: Tls | None, proxy: str | None) -> urllib3.PoolManager:
    # Not for plain http: to read the system's authorities takes its time.
    context = context_of(tls) if tls is not None else None
    settings: dict[str, Any] = {
        "num_pools": _HOSTS,
        "maxsize": _POOLED,
        "blocksize": BLOCK,
        "ssl_context": context,
    }
    if proxy is None:
        pool = urllib3.PoolManager(**settings)
    else:
        # Our certificates are for the host behind it.
        own = context_of(tls._replace(identities=())) if tls and proxy[:5] == "https" else None
        pool = _proxied(proxy, settings, own)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _Pool}
    return pool


def _proxied(
    proxy: str, settings: Mapping[str, Any], context: ssl.SSLContext | None
) -> urllib3.PoolManager:
    try:
        parts = urllib3.util.parse_url(proxy)
        user = unquote(parts.auth) if parts.auth else None
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None,
            proxy_ssl_context=context,
            **settings,
        )
    except (ProxySchemeUnknown, HTTPError, ValueError) as error:
        # Not the address itself: it may have a password.
        raise InvalidArgument(
            "the proxy that the environment names is no http or https URL;"
            " mend HTTP_PROXY or HTTPS_PROXY"
        ) from error


def _failed(host: str, error: Exception) -> ConnectionFailed | Untrusted | InvalidArgument:
    if isinstance(error, ValueError) and not isinstance(error, (HTTPError, OSError)):
        # Its own words would quote a header, which can be a secret.
        return InvalidArgument(f"{host}: a header or the address has signs that HTTP cannot carry")
    cause = _cause_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Untrusted(host, cause.verify_message or str(cause))
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        return SpeaksNoTls(host, "it does not speak TLS; --plain-http would ask it without")
    if refusal := _PROXY_ANSWER.search(str(cause)):
        return ConnectionFailed(host, f"the proxy does not let us through, with {refusal[1]}")
    return ConnectionFailed(host, _reason(cause))


def _cause_of(error: Exception) -> Exception:
    while isinstance(error, (SSLError, ProxyError)) and error.args:
        inner = error.args[-1]
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def _reason(error: Exception) -> str:
    """What happened, in words for people, and without the host: our own sentence has that."""
    inner = error.args[-1] if error.args and isinstance(error, HTTPError) else error
    for each in (inner, error.__cause__):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    if isinstance(inner, IncompleteRead) and isinstance(inner.expected, int):
        came, missing = inner.partial, inner.expected
        return f"its answer broke off after {came} bytes, and {missing} are missing"
    for kind, words in _WORDS:
        if isinstance(error, kind) or isinstance(inner, kind):
            return words
    if any(kind.__module__ == "http.client" for kind in type(inner).__mro__):
        return "what it answers is no HTTP, or broke off"
    text = "".join(sign for sign in _WHO.sub("", str(inner)) if sign.isprintable())
    return text[:300] or type(inner).__name__


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (ReadTimeoutError, "it timed out, having gone silent"),
    (ConnectTimeoutError, "it timed out before there was a connection"),
    (ConnectionError, "it hung up without an answer"),
)
"""What there are better words for than those of the libraries."""
