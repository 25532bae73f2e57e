"""Certificates: what a TLS listener shows, and whose it accepts. Renewed ones need no restart."""

import ssl
from collections.abc import Callable
from pathlib import Path

from lading.daemon.listeners import Files
from lading.errors import FailedPrecondition, PermissionDenied

Stamp = tuple[tuple[int, int], ...]


def credentials(files: Files) -> Callable[[], ssl.SSLContext]:
    """What TLS works with, for each connection anew: it wants a certificate of the authority.

    Reads the files, or raises an error that names one. Files that change are read again with the
    next connection; as long as what they hold makes no sense, what they held before counts.
    """
    stamp = _stamp(files)
    loaded = _context(files)

    def current() -> ssl.SSLContext:
        nonlocal stamp, loaded
        try:
            found = _stamp(files)
            if found != stamp:
                loaded, stamp = _context(files), found
        except (FailedPrecondition, PermissionDenied, OSError):
            pass  # what there was goes on
        return loaded

    return current


def _stamp(files: Files) -> Stamp:
    return tuple((found.st_mtime_ns, found.st_ino) for found in map(Path.stat, files))


def _context(files: Files) -> ssl.SSLContext:
    _check(files.certificate, b"CERTIFICATE")
    _check(files.key, b"PRIVATE KEY")
    authority = _check(files.authority, b"CERTIFICATE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113 §9.2
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = f"{files.certificate} and {files.key} make no pair: {error}"
        raise FailedPrecondition(reason) from error
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise FailedPrecondition(f"{files.authority}: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; write it without a password")


def _check(path: Path, what: bytes) -> bytes:
    try:
        text = path.read_bytes()
    except PermissionError as error:
        raise PermissionDenied(path, error.strerror or str(error)) from error
    except OSError as error:
        raise FailedPrecondition(f"{path}: {error.strerror}") from error
    # OpenSSL would not say which of them it is.
    if b"-----BEGIN " not in text or what not in text:
        raise FailedPrecondition(f"{path} holds no {what.decode()} in PEM")
    return text
