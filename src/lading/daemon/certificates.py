"""Certificates: what a TLS listener shows, and whose it accepts. Renewed ones need no restart."""

from pathlib import Path

import grpc

from lading.daemon.listeners import Files
from lading.errors import FailedPrecondition, PermissionDenied

Stamp = tuple[tuple[int, int], ...]


def credentials(files: Files) -> grpc.ServerCredentials:
    """Credentials that want a certificate from every client, signed by the authority.

    Reads the files, or raises an error that names one. Files that change are read again with the
    next connection; as long as what they hold makes no sense, what they held before counts.
    """
    stamp = _stamp(files)
    loaded = _configuration(files)

    def current() -> grpc.ServerCertificateConfiguration | None:
        nonlocal stamp, loaded
        try:
            found = _stamp(files)
            if found != stamp:
                loaded, stamp = _configuration(files), found
        except (FailedPrecondition, PermissionDenied, OSError):
            return None  # grpc goes on with what it has
        return loaded

    return grpc.dynamic_ssl_server_credentials(
        loaded,
        current,  # type: ignore[arg-type]  # None is allowed, which the stubs do not know
        require_client_authentication=True,
    )


def _stamp(files: Files) -> Stamp:
    return tuple((found.st_mtime_ns, found.st_ino) for found in map(Path.stat, files))


def _configuration(files: Files) -> grpc.ServerCertificateConfiguration:
    certificate = _read(files.certificate, b"CERTIFICATE")
    key = _read(files.key, b"PRIVATE KEY")
    authority = _read(files.authority, b"CERTIFICATE")
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _read(path: Path, what: bytes) -> bytes:
    try:
        text = path.read_bytes()
    except PermissionError as error:
        raise PermissionDenied(path, error.strerror or str(error)) from error
    except OSError as error:
        raise FailedPrecondition(f"{path}: {error.strerror}") from error
    # grpc would say no more than that it cannot listen.
    if b"-----BEGIN " not in text or what not in text:
        raise FailedPrecondition(f"{path} holds no {what.decode()} in PEM")
    return text
