"""Every verb through a daemon: `--address` in place of `--root`."""

import json
import os
import sys

import pytest

from lading import Digest
from lading.cli.program import VERBS
from lading.cli.session import address_of
from tests.conformance.samples import ABSENT, begin
from tests.support.served import served

BYTES = b"bytes"
DIGEST = Digest.of(BYTES)


@pytest.fixture
def address(metadata, tmp_path):
    with served(metadata, metadata.events, tmp_path / "s") as address:
        yield address


@pytest.fixture
def through(run, address):
    """Run a command line through the daemon, in the namespace `images`."""
    return lambda *words, **options: run(
        "--address", address, "--namespace", "images", *words, **options
    )


# What a verb does


def test_a_file_is_stored_shown_read_and_deleted(through, images, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(BYTES)
    done = through("ingest", file)
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert images.blob(DIGEST).labels.keys() == {"containerd.io/gc.root"}
    assert through("ingest", file).stdout == f"{DIGEST}\n"
    assert through("ls", "-q").stdout == f"{DIGEST}\n"
    assert json.loads(through("ls", "--json").stdout)["digest"] == DIGEST
    assert through("ls", "-q", "labels.team==red").stdout == ""
    assert json.loads(through("info", DIGEST, "--json").stdout)["path"] is None
    assert through("get", DIGEST, "-o", tmp_path / "copy").exit_code == 0
    assert (tmp_path / "copy").read_bytes() == BYTES
    assert through("get", DIGEST, "--offset", "1", "--size", "3").stdout == "yte"
    assert through("rm", DIGEST).stdout == f"{DIGEST}\n"
    assert through("get", DIGEST).exit_code == 3
    assert list(images.blobs()) == []


def test_an_ingest_stops_goes_on_and_is_aborted(through, images, address):
    done = through("ingest", "--ref", "r", "--keep-open", stdin=b"hello, ")
    assert (done.exit_code, done.stdout) == (0, "7\n")
    assert json.loads(through("active", "--json").stdout)["offset"] == 7
    assert json.loads(through("info", "r", "--json").stdout)["ref"] == "r"
    done = through("ingest", "--ref", "r", "--expected-digest", ABSENT, "--append", stdin=b"world")
    assert done.exit_code == 5
    assert f"lading --address {address} --namespace images abort -- r" in done.stderr
    assert through("abort", "r").stdout == "r\n"
    assert list(images.ingests()) == []
    assert through("abort", "r").exit_code == 3


def test_a_ref_that_is_held_is_exit_6(through, images):
    with images.writer("r"):
        assert through("ingest", "--ref", "r", stdin=BYTES).exit_code == 6
        done = through("ingest", "--ref", "r", "--wait", "10ms", stdin=BYTES)
        assert done.exit_code == 6


def test_labels_leases_images_and_namespaces_are_the_daemons(through, images):
    images.add(BYTES)
    assert through("label", DIGEST, "team=web").stdout == "team=web\n"
    assert images.blob(DIGEST).labels == {"team": "web"}
    assert through("leases", "create", "--id", "l").stdout == "l\n"
    assert through("leases", "add", "l", DIGEST).exit_code == 0
    assert through("leases", "resources", "l").stdout.split()[2:] == ["content", DIGEST]
    assert through("leases", "renew", "l", "--expires-in", "7d").exit_code == 0
    assert through("leases", "ls", "-q").stdout == "l\n"
    assert through("ingest", "--lease", "l", stdin=b"more").exit_code == 0
    assert len(images.leased("l").resources()) == 2
    assert through("leases", "rm", "l").stdout == "l\n"
    assert through("images", "create", "name", DIGEST).stdout == f"{DIGEST}\n"
    assert through("images", "tag", "name", "another").exit_code == 0
    assert through("images", "label", "name", "a=1").stdout == "a=1\n"
    assert through("images", "ls", "-q").stdout == "another\nname\n"
    assert through("images", "rm", "name", "another").exit_code == 0
    assert through("namespaces", "label", "fresh", "a=1").stdout == "a=1\n"
    assert through("namespaces", "ls", "-q").stdout == "fresh\nimages\n"
    assert through("namespaces", "rm", "fresh").stdout == "fresh\n"


def test_collecting_and_mending_is_done_by_the_daemon(through, images, store):
    images.add(BYTES)
    orphan = store.add(b"orphan").digest
    done = through("gc", "--dry-run", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line.get("digest"): line.get("goes") for line in lines} == {
        DIGEST: True,
        orphan: False,
        None: None,
    }
    assert through("gc").stderr == "lading: freed 5 B of 1 blob, namespaces lost 1 blob\n"
    assert through("metadata", "rebuild").stdout == f"adopted {orphan}\n"
    assert [blob.digest for blob in images.blobs()] == [orphan]


def test_all_is_verified_but_what_only_a_root_has(through, images, store):
    digest = images.add(BYTES).digest
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(b"bytez")
    orphan = store.add(b"orphan").digest
    done = through("verify", "--all")
    assert done.exit_code == 5
    bad, other = done.stdout.splitlines()
    assert bad.startswith(f"bad {digest}: ")
    assert other.startswith(f"orphan {orphan}: ")
    assert "stray files are not looked for through a daemon" in done.stderr
    assert through("verify", ABSENT).exit_code == 3


def test_the_store_is_the_daemon(through, address):
    about = json.loads(through("info", "--store", "--json").stdout)
    assert (about["address"], about["namespace"]) == (address, "images")
    assert "root" not in about


def test_a_real_daemon_serves_a_real_command(start, tmp_path, metadata):
    words = ["serve", "--listen", f"unix://{tmp_path}/d"]
    daemon = start(*words)
    assert b"listening on" in daemon.stdout.readline()
    file = tmp_path / "layer"
    file.write_bytes(os.urandom(1 << 20))
    digest = Digest.of(file.read_bytes())
    done = start("--address", f"{tmp_path}/d", "ingest", file)
    out, error = done.communicate()
    assert (done.returncode, out.decode()) == (0, f"{digest}\n"), error
    done = start("get", digest, "--address", f"{tmp_path}/d")
    assert done.communicate()[0] == file.read_bytes()
    daemon.terminate()
    assert daemon.wait() == 0


# Where it works


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ({}, {}, None),
        ({"address": "a"}, {}, "a"),
        ({"address": "a"}, {"LADING_ADDRESS": "b", "LADING_ROOT": "r"}, "a"),
        ({}, {"LADING_ADDRESS": "b", "CONTAINERD_ADDRESS": "c"}, "b"),
        ({}, {"LADING_ADDRESS": "b", "LADING_ROOT": "r"}, "b"),
        ({}, {"LADING_ADDRESS": "", "CONTAINERD_ADDRESS": ""}, None),
        ({}, {"CONTAINERD_ADDRESS": "c"}, "c"),
        ({}, {"CONTAINERD_ADDRESS": "c", "LADING_ROOT": "r"}, None),
        ({}, {"CONTAINERD_ADDRESS": "c", "LADING_METADATA": "m"}, None),
        ({"root": "r"}, {"LADING_ADDRESS": "b", "CONTAINERD_ADDRESS": "c"}, None),
        ({"metadata": "m"}, {"LADING_ADDRESS": "b"}, None),
    ],
)
def test_the_command_line_comes_first_and_containerds_own_variable_last(
    given, environment, expected
):
    assert address_of(given, environment) == expected


def test_the_environment_names_the_daemon(run, images, address, monkeypatch):
    images.add(BYTES)
    monkeypatch.setenv("LADING_ADDRESS", address)
    monkeypatch.setenv("LADING_NAMESPACE", "images")
    assert run("ls", "-q").stdout == f"{DIGEST}\n"
    monkeypatch.setenv("LADING_ADDRESS", f"{address}-not")
    assert run("ls", "-q").exit_code == 7
    assert run("ls", "-q", "--root", os.environ["LADING_ROOT"]).exit_code == 0


@pytest.mark.parametrize("option", ["--root", "--metadata"])
def test_a_root_and_an_address_are_one_too_many(run, address, option):
    done = run("ls", "--address", address, option, "somewhere")
    assert done.exit_code == 2
    assert done.stderr == f"lading: --address and {option} are two places; choose one\n"


@pytest.mark.parametrize("text", ["", "somewhere", "http://host:80"])
def test_an_address_that_is_none_is_wrong_usage(run, text):
    assert run("ls", "--address", text).exit_code == 2


# What goes wrong


@pytest.mark.parametrize(
    "words", [["ls"], ["get", ABSENT], ["ingest"], ["gc"], ["verify", "--all"], ["info", "--store"]]
)
def test_without_a_daemon_the_exit_code_is_7_and_the_sentence_says_how_to_start_one(
    run, tmp_path, words
):
    done = run(*words, "--address", f"{tmp_path}/none", stdin=BYTES)
    assert done.exit_code == 7
    assert f"no daemon listens on {tmp_path}/none; start one with: lading serve" in done.stderr


def test_without_its_packages_the_command_says_how_to_install_them(run, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("lading.rpc.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grpc", None)
    done = run("ls", "--address", f"{tmp_path}/s")
    assert done.exit_code == 1
    assert done.stderr.endswith("run: pip install 'lading[rpc]'\n")


def test_every_verb_takes_an_address(run):
    for name in VERBS:
        if name not in {"completion", "serve"}:
            assert "--address" in run(name, "--help").stdout, name


def test_bytes_of_a_ref_that_was_begun_before_are_seen(through, images):
    begin(images, "r", b"half")
    assert through("active").stdout.split()[4:6] == ["r", "4"]
