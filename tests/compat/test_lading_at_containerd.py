"""The command `lading` at a containerd: what it puts in, `ctr` sees, and the other way about."""

import json
import signal
import subprocess

import pytest

from tests.compat.ctr import Ctr
from tests.compat.daemon import LADING
from tests.support.containerd import running_containerd
from tests.support.registry import digest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lading at containerd")]

HELLO = b"hello, world\n"
LARGE = bytes(range(251)) * 40_000
NOT_FOUND = 3


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_containerd(tmp_path_factory.mktemp("containerd"), collects=False) as address:
        yield address


@pytest.fixture
def ctr(address):
    return Ctr(address)


@pytest.fixture
def namespace(request):
    return request.node.name.removeprefix("test_")[:70].strip("_").replace("_", "-")


@pytest.fixture
def command(address, namespace):
    return [LADING, "--address", f"unix://{address}", "--namespace", namespace]


@pytest.fixture
def lading(command, own_environment, tmp_path):
    def run(*arguments, data=b"", code=0):
        done = subprocess.run(
            [*command, *map(str, arguments)],
            input=data,
            cwd=tmp_path,
            env=own_environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    return run


def rows(listing):
    return [json.loads(line) for line in listing.splitlines()]


def test_what_lading_ingests_ctr_lists_and_reads(lading, ctr, namespace, tmp_path):
    (tmp_path / "large").write_bytes(LARGE)
    for source, data in (("-", HELLO), ("large", b""), ("-", b"")):
        blob = lading("ingest", source, "--ref", "a", data=data).decode().strip()
        assert blob == digest(LARGE if source == "large" else data)
        assert blob in ctr("content", "ls", "-q", namespace=namespace).out.split()
    got = ctr.command("content", "get", digest(LARGE), namespace=namespace)
    assert subprocess.run(got, capture_output=True, check=True).stdout == LARGE


def test_what_ctr_ingests_lading_lists_reads_and_verifies(lading, ctr, namespace):
    for ref, data in (("a", HELLO), ("b", LARGE)):
        assert ctr("content", "ingest", ref, namespace=namespace, data=data).code == 0
    listed = rows(lading("ls", "--format", "json"))
    assert {digest(HELLO): len(HELLO), digest(LARGE): len(LARGE)} == {
        each["digest"]: each["size"] for each in listed
    }
    assert lading("get", digest(HELLO)) == HELLO
    assert lading("get", digest(LARGE)) == LARGE
    lading("verify", "--all")


def test_labels_and_deletions_are_seen_by_both(lading, ctr, namespace):
    blob = digest(HELLO)
    lading("ingest", "-", "--ref", "a", data=HELLO)
    lading("label", blob, "team=web")
    labels = ctr("content", "label", blob, namespace=namespace).out.strip()
    assert "team=web" in labels.split(",")
    lading("rm", blob)
    assert ctr("content", "ls", "-q", namespace=namespace).out == ""
    lading("get", blob, code=NOT_FOUND)


def test_an_ingest_that_is_killed_is_seen_by_ctr_and_resumed(
    lading, ctr, command, namespace, tmp_path
):
    (tmp_path / "large").write_bytes(LARGE)
    half = subprocess.Popen([*command, "ingest", "-", "--ref", "half"], stdin=subprocess.PIPE)
    half.stdin.write(LARGE[: len(LARGE) // 2])
    half.stdin.flush()
    while "MB" not in ctr("content", "active", namespace=namespace).out:
        assert half.poll() is None
    half.send_signal(signal.SIGKILL)
    half.wait()
    half.stdin.close()

    active = rows(lading("active", "--format", "json"))
    assert [each["ref"] for each in active] == ["half"]
    assert 0 < active[0]["offset"] <= len(LARGE) // 2
    lading("ingest", "large", "--ref", "half")
    assert lading("get", digest(LARGE)) == LARGE
    assert rows(lading("active", "--format", "json")) == []


def test_leases_and_images_are_seen_by_both(lading, ctr, namespace):
    lease = lading("leases", "create", "--expires-in", "2h").decode().strip()
    assert ctr("leases", "ls", "-q", namespace=namespace).out.split() == [lease]
    blob = lading("ingest", "-", "--ref", "a", "--lease", lease, data=HELLO).decode().strip()
    lading("images", "create", "greeting:1", blob)
    assert ctr("images", "ls", "-q", namespace=namespace).out.split() == ["greeting:1"]
    assert namespace in lading("namespaces", "ls").decode()
    assert ctr("leases", "rm", "--sync", lease, namespace=namespace).code == 0
    assert lading("get", blob) == HELLO
    lading("images", "rm", "greeting:1")
    assert ctr("images", "ls", "-q", namespace=namespace).out == ""
