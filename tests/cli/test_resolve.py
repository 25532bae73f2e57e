"""`lading resolve`: what a reference stands for; and the options of all verbs for registries."""

import json
import os
import re
import shutil
import ssl

import pytest

from tests.support.certificates import Authority
from tests.support.lies import Always, Status, WrongBytes
from tests.support.lying import Quirks, lying
from tests.support.registry import image

MADE = image({"a.txt": b"bytes"})
TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home with nobody's files, and no proxies."""
    names = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "LADING_HOSTS", "HTTP_PROXY", "HTTPS_PROXY")
    for name in (*names, *map(str.lower, names[3:]), "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def registry():
    with lying({"me/app:1": MADE}, quirks=Quirks(referrers=True)) as running:
        yield running


def attach(registry, kind):
    """Attach something of a type to the image; gives its digest."""
    value = json.loads(MADE.manifest) | {
        "artifactType": kind,
        "subject": {"mediaType": TYPE, "digest": MADE.digest, "size": len(MADE.manifest)},
    }
    return registry.add_manifest("me/app", kind.replace("/", "-"), json.dumps(value).encode(), TYPE)


def test_the_digest_is_printed_alone(run, registry, root):
    done = run("resolve", f"{registry.host}/me/app:1")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{MADE.digest}\n", "")
    assert not root.exists()


def test_a_program_gets_everything(run, registry):
    done = run("resolve", f"{registry.host}/me/app:1", "--json")
    assert json.loads(done.stdout) == {
        "reference": f"{registry.host}/me/app@{MADE.digest}",
        "digest": MADE.digest,
        "media_type": TYPE,
        "size": len(MADE.manifest),
        "platform": None,
        "artifact_type": None,
        "annotations": {},
    }


def test_a_platform_chooses_in_an_index(run, registry):
    pointer = {"mediaType": TYPE, "digest": MADE.digest, "size": len(MADE.manifest)}
    platform = {"os": "linux", "architecture": "arm64"}
    value = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [pointer | {"platform": platform}],
    }
    index = registry.add_manifest("me/app", "index", json.dumps(value).encode(), INDEX)
    reference = f"{registry.host}/me/app:index"
    assert run("resolve", reference).stdout == f"{index}\n"
    assert run("resolve", reference, "--platform", "linux/arm64/v8").stdout == f"{MADE.digest}\n"
    found = json.loads(run("resolve", reference, "--platform", "linux/arm64", "--json").stdout)
    assert found["platform"] == "linux/arm64"
    done = run("resolve", reference, "--platform", "linux/s390x")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "linux/s390x" in done.stderr
    assert "linux/arm64" in done.stderr
    assert "lading ls" not in done.stderr
    done = run("resolve", reference, "--platform", "linux/arm64/v8/x")
    assert done.exit_code == 2
    assert "lading: --platform: 'linux/arm64/v8/x' is no platform" in done.stderr


def test_what_is_attached_is_listed(run, registry):
    signature, document = attach(registry, "a/signature"), attach(registry, "a/document")
    words = ["resolve", f"{registry.host}/me/app:1", "--referrers"]
    header, *rows = run(*words).stdout.splitlines()
    assert header.split() == ["DIGEST", "SIZE", "TYPE"]
    assert {(row.split()[0], row.split()[-1]) for row in rows} == {
        (signature, "a/signature"),
        (document, "a/document"),
    }
    assert run(*words, "-q", "--artifact-type", "a/document").stdout == f"{document}\n"
    (line,) = run(*words, "--json", "--artifact-type", "a/signature").stdout.splitlines()
    assert json.loads(line)["artifact_type"] == "a/signature"
    assert json.loads(line)["reference"] == f"{registry.host}/me/app@{signature}"
    assert run(*words, "-q", "--artifact-type", "a/nothing").stdout == ""


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["me/App"], "not a reference: 'me/App': a repository is in lower case"),
        (["me/app:"], "not a reference"),
        ([], "missing argument 'REFERENCE'"),
        (["a", "--artifact-type", "x/y"], "--artifact-type is for --referrers"),
        (["a", "--referrers", "-q", "--json"], "choose one of --quiet and --json"),
        (["a", "--username", "me"], "--password-stdin is missing"),
        (["a", "--password-stdin"], "--username is missing"),
        (["a", "--ca-file", "/nowhere.crt"], "--ca-file: File '/nowhere.crt' does not exist"),
        (["a", "--hosts-dir", "/nowhere"], "--hosts-dir: Directory '/nowhere' does not exist"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(run, words, problem):
    done = run("resolve", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_not_there_is_exit_3(run, registry):
    done = run("resolve", f"{registry.host}/me/app:2")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == (
        f"lading: manifest '{registry.host}/me/app:2': not found;"
        " `lading tags` lists the tags of a repository\n"
    )


def test_who_is_not_let_in_is_exit_4(run, registry):
    registry.lie({"HEAD manifests": [Always(Status(403, "DENIED", "not yours"))]})
    done = run("resolve", f"{registry.host}/me/app:1")
    assert done.exit_code == 4
    assert done.stderr.startswith(f"lading: {registry.host}/me/app:1: not allowed")
    assert "--root" not in done.stderr


def test_bad_bytes_are_exit_5(run, registry):
    registry.lie(
        {"HEAD manifests": [Always(Status(405))], "GET manifests": [Always(WrongBytes(5))]}
    )
    done = run("resolve", f"{registry.host}/me/app:1")
    assert (done.exit_code, done.stdout) == (5, "")


def test_a_registry_that_wants_no_requests_for_now_is_exit_7(run, registry):
    busy = Status(429, headers={"Retry-After": "3600"})
    registry.lie({"HEAD manifests": [Always(busy)]})
    done = run("resolve", f"{registry.host}/me/app:1")
    assert (done.exit_code, done.stdout) == (7, "")
    assert done.stderr == f"lading: {registry.host}: it asks for a pause of 3600 s\n"
    assert len(registry.asked("HEAD manifests")) == 1


@pytest.mark.slow
def test_a_registry_that_is_waited_for_is_named(run, registry):
    registry.lie({"HEAD manifests": [Status(503)]})
    done = run("resolve", f"{registry.host}/me/app:1")
    assert done.stdout == f"{MADE.digest}\n"
    assert re.fullmatch(
        rf"lading: waiting 0\.\d s: {registry.host}: it answered 503\n", done.stderr
    )


@pytest.fixture
def secure(tmp_path):
    """A registry with TLS, and the file of who vouches for it."""
    authority = Authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    with lying({"me/app:1": MADE}, context=context) as running:
        yield running, authority.certificate


def test_whom_to_trust_can_be_said(run, secure, tmp_path):
    registry, certificate = secure
    words = ["resolve", f"{registry.host}/me/app:1"]
    done = run(*words)
    assert done.exit_code == 4
    assert "its certificate is not trusted" in done.stderr
    assert "--ca-file FILE trusts another authority" in done.stderr
    folder = tmp_path / "certs.d" / registry.host
    folder.mkdir(parents=True)
    shutil.copy(certificate, folder / "ca.crt")
    for more in (
        ["--ca-file", certificate],
        ["--insecure"],
        ["--hosts-dir", folder.parent],
    ):
        assert run(*words, *more).stdout == f"{MADE.digest}\n", more


def test_a_mirror_is_found_in_a_folder(run, registry, tmp_path):
    folder = tmp_path / "certs.d" / "registry.example"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'[host."{registry.url}"]\ncapabilities = ["resolve"]\n')
    done = run("resolve", "registry.example/me/app:1", "--hosts-dir", folder.parent)
    assert done.stdout == f"{MADE.digest}\n"
    assert registry.asked("HEAD manifests")[0].path.endswith("?ns=registry.example")


def test_who_to_be_can_be_said_for_one_run(run, tmp_path, registry):
    registry.lie(
        {"HEAD manifests": [Status(401, headers={"WWW-Authenticate": 'Basic realm="here"'})]}
    )
    words = ["resolve", f"{registry.host}/me/app:1", "--username", "me", "--password-stdin"]
    done = run(*words, stdin=b"s3cret\n")
    assert done.stdout == f"{MADE.digest}\n"
    assert registry.asked("HEAD manifests")[-1].authorization == "Basic bWU6czNjcmV0"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("stdin", [b"", b"\n", b"a\nb\n", b"\xff", (1 << 17) * b"a"])
def test_a_password_is_one_line(run, registry, stdin):
    words = ["resolve", f"{registry.host}/me/app:1", "--username", "me", "--password-stdin"]
    done = run(*words, stdin=stdin)
    assert done.exit_code == 2
    assert "standard input has to be the password, in one line" in done.stderr
    assert registry.asked() == []


def test_without_urllib3_it_says_how_to_get_it(start, tmp_path, environment):
    (tmp_path / "urllib3.py").write_text("raise ImportError('no', name='urllib3')\n")
    path = os.pathsep.join((str(tmp_path), environment["PYTHONPATH"]))
    process = start("resolve", "a.example/b", env=environment | {"PYTHONPATH": path})
    _, told = process.communicate()
    assert process.returncode == 1
    assert told.decode() == (
        "lading: registries need packages that are not installed; run: pip install 'lading[oci]'\n"
    )
