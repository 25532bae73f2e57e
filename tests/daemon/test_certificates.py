"""TCP is for those whose certificate our authority has signed, and for nobody else."""

import os
import shutil
import subprocess

import grpc
import pytest

from lading.daemon.certificates import credentials
from lading.daemon.listeners import Files
from lading.errors import FailedPrecondition
from tests.support.peers import peer

HOST = "127.0.0.1"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@pytest.fixture(params=[1, 2])
def processes(request):
    return request.param


def openssl(folder, *words):
    command = [peer("openssl"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


class Authority:
    """Somebody who vouches for others, in a folder of his own."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.certificate = folder / f"{name}.pem"
        ends = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl(folder, "req", "-x509", *_CURVE, *ends)

    def vouch(self, name):
        """Make a certificate; its file, and that of its key."""
        (self.folder / "extensions").write_text(f"subjectAltName=IP:{HOST}\n")
        ends = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(self.folder, "req", *_CURVE[:-2], *ends)
        by = ("-CA", self.certificate, "-CAkey", f"{self.name}.key", "-CAcreateserial")
        what = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "extensions")
        openssl(self.folder, "x509", "-req", "-days", "2", *by, *what)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Ours, and one that we do not know."""
    return [Authority(tmp_path_factory.mktemp(name), name) for name in ("ours", "other")]


@pytest.fixture(scope="module")
def server_files(authorities):
    ours, _ = authorities
    return Files(*ours.vouch("server"), ours.certificate)


def shown_by(authority, name, *, trusting):
    """What a client shows, and whom it trusts."""
    certificate, key = authority.vouch(name)
    return grpc.ssl_channel_credentials(
        trusting.certificate.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )


def tls(files):
    return f"tcp://{HOST}:0,cert={files.certificate},key={files.key},client-ca={files.authority}"


def refused(client):
    """How a daemon refuses a client, which does not wait for better times."""
    with pytest.raises(grpc.RpcError) as refusal:
        client.now("r")
    return refusal.value.code()


@pytest.mark.slow
def test_only_who_has_a_certificate_of_our_authority_comes_in(
    serve, connect, authorities, server_files
):
    ours, other = authorities
    (address,) = serve(listen=[tls(server_files)]).addresses()
    client = connect(address, credentials=shown_by(ours, "client", trusting=ours))
    assert client.health() == "SERVING"
    digest = client.add("r", b"bytes")
    assert client.size(digest) == 5

    nothing_shown = grpc.ssl_channel_credentials(ours.certificate.read_bytes())
    anothers = shown_by(other, "client", trusting=ours)
    for credentials_ in (nothing_shown, anothers, None):
        stranger = connect(address, credentials=credentials_)
        assert refused(stranger) is grpc.StatusCode.UNAVAILABLE
    # And a client does not take our certificate from somebody it does not know.
    wary = connect(address, credentials=shown_by(ours, "client", trusting=other))
    assert refused(wary) is grpc.StatusCode.UNAVAILABLE
    assert client.size(digest) == 5


@pytest.mark.slow
def test_a_certificate_that_is_renewed_counts_without_a_restart(
    serve, connect, authorities, server_files, folder
):
    _, other = authorities
    files = Files(*(folder / name for name in ("cert.pem", "key.pem", "ca.pem")))
    for source, target in zip(server_files, files, strict=True):
        shutil.copy(source, target)
    (address,) = serve(listen=[tls(files)]).addresses()
    newcomer = shown_by(other, "newcomer", trusting=other)
    assert refused(connect(address, credentials=newcomer)) is grpc.StatusCode.UNAVAILABLE
    for source, target in zip((*other.vouch("renewed"), other.certificate), files, strict=True):
        shutil.copy(source, folder / "new")
        (folder / "new").replace(target)
    # Each process looks when a client comes to it. Of several that stay, each process has one.
    for _ in range(4):
        assert connect(address, credentials=newcomer).health() == "SERVING"
    # A file that makes no sense takes nothing away.
    files.certificate.write_bytes(b"half of")
    assert connect(address, credentials=newcomer).health() == "SERVING"


@pytest.mark.slow
def test_files_that_are_missing_or_mixed_up_are_a_sentence(serve, server_files):
    absent = server_files._replace(key=server_files.key.with_name("absent"))
    code, said = serve(listen=[tls(absent)]).ended()
    assert (code, said) == (1, f"lading: {absent.key}: No such file or directory\n")


@pytest.mark.parametrize("name", ["certificate", "key", "authority"])
@pytest.mark.parametrize("held", [b"", b"no PEM", b"-----BEGIN NOTHING-----\n"])
def test_a_file_that_holds_something_else_is_named(folder, server_files, name, held):
    wrong = folder / "wrong.pem"
    wrong.write_bytes(held)
    with pytest.raises(FailedPrecondition) as told:
        credentials(server_files._replace(**{name: wrong}))
    assert str(told.value).startswith(os.fspath(wrong))
