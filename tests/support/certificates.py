"""Certificates that openssl makes, in a folder of the test."""

import subprocess
from pathlib import Path

from tests.support.peers import peer

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"


def openssl(*words: str | Path, stdin: bytes = b"") -> bytes:
    """What openssl writes to standard output."""
    done = subprocess.run(
        [peer("openssl"), *words], input=stdin, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Somebody who vouches for others."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, folder / f"{name}.key"
        self.certificate = folder / f"{name}.crt"
        ends = ("-keyout", self._key, "-out", self.certificate, "-subj", f"/CN={name}")
        openssl("req", "-x509", *_CURVE, "-days", "2", *ends)

    def vouch(self, name: str) -> tuple[Path, Path]:
        """Make a certificate for this machine's loopback; its file, and that of its key."""
        extensions, request = self._folder / "extensions", self._folder / f"{name}.csr"
        extensions.write_text(_NAMES)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        openssl("req", *_CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        by = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        ends = ("-in", request, "-out", certificate, "-extfile", extensions)
        openssl("x509", "-req", "-days", "2", *by, *ends)
        return certificate, key
