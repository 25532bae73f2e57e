"""TLS: whom we trust, and who we are."""

import contextlib
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from lading.errors import InvalidArgument
from lading.oci.transport.records import RecordsSocket


class Tls(NamedTuple):
    """Whom to trust, and who to be."""

    authorities: tuple[str, ...] = ()
    """Files of certificates that are trusted beside the system's."""
    identities: tuple[tuple[str, str | None], ...] = ()
    """Our certificates, each with the file of its key where that is another one."""
    verifies: bool = True


def context_of(tls: Tls) -> ssl.SSLContext:
    """Make what a connection begins with, or raise `InvalidArgument` for files that are none."""
    context = ssl.create_default_context()
    context.sslsocket_class = RecordsSocket
    # As docker and containerd have it: what private authorities make is seldom that strict.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for file in tls.authorities:
        with _read_from(file):
            context.load_verify_locations(cafile=file)
    for certificate, key in tls.identities:
        with _read_from(certificate, key):
            # Without a password it would ask for one at the terminal.
            context.load_cert_chain(certificate, key, password="")
    if not tls.verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _read_from(*files: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        names = " and ".join(filter(None, files))
        raise InvalidArgument(f"{names}: {_pem_problem(error)}") from error


def _pem_problem(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no certificate and key in PEM that fit, without a password ({error.reason})"
    return error.strerror or str(error)
