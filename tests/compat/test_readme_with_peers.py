"""What the README says of `ctr`, of containerd and of registries works as it stands there."""

import os
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.pages import ROOT, blocks
from tests.compat.ctr import Ctr
from tests.compat.daemon import running_lading
from tests.support.containerd import Containerd
from tests.support.peers import peer
from tests.support.registry import digest, image, running_registry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("readme with peers")]

HEADING = "## Under ctr, under containerd\n"
REGISTRIES = "## From registries, to registries, in archives\n"
SOCKET = "/run/lading/containerd.sock"


def section():
    _, _, text = (ROOT / "README.md").read_text().partition(HEADING)
    assert text, f"README.md has no {HEADING.strip()!r}"
    return {block.language: block.code for block in blocks(text.partition("\n## ")[0])}


def test_the_readmes_commands_put_ctr_on_lading(own_environment, tmp_path_factory):
    peer("ctr")
    folder = tmp_path_factory.mktemp("r")  # a socket's path has to be short
    (folder / "greeting").write_bytes(b"hello, world")
    commands = section()["sh"]
    assert len(commands.splitlines()) == 5
    shell = subprocess.Popen(
        ["/bin/sh", "-eu", "-c", f"{commands}\nkill $!\nwait $!"],
        cwd=folder,
        env=own_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert shell.returncode == 0, err
    assert digest(b"hello, world") in out
    assert out.splitlines()[-1] == "keep"


def test_the_readmes_configuration_puts_containerd_on_lading(tmp_path):
    text = section()["toml"]
    assert len(text.splitlines()) == 5
    assert tomllib.loads(text)["proxy_plugins"]["lading"]["address"] == SOCKET
    with running_lading(tmp_path / "lading") as lading:
        configuration = text.replace(SOCKET, lading.pinned.removeprefix("unix://"))
        # Its collector would take what nothing holds, at its start or a moment later.
        containerd = Containerd(
            tmp_path / "containerd", configuration=configuration, collects=False
        )
        try:
            containerd.start()
            ctr = Ctr(containerd.address)
            assert ctr("content", "ingest", "a", data=b"hello").code == 0
            listed = Ctr(lading.address)("content", "ls", "-q", namespace="containerd")
            assert listed.out.split() == [digest(b"hello")]
        finally:
            containerd.close()


def registry_blocks():
    _, _, text = (ROOT / "README.md").read_text().partition(REGISTRIES)
    assert text, f"README.md has no {REGISTRIES.strip()!r}"
    found = blocks(text.partition("\n## ")[0])
    return {block.language: block.code for block in found if block.mark == "peers"}


@pytest.fixture
def registry(tmp_path):
    with running_registry(tmp_path / "registry") as running:
        running.push(image({"model": b"weights"}), "team/model:1")
        yield running.host


def test_the_readmes_commands_pull_and_push(registry, own_environment, tmp_path):
    commands = registry_blocks()["sh"].replace("localhost:5000", registry)
    assert len(commands.splitlines()) == 9
    ran = subprocess.run(
        ["/bin/sh", "-eu", "-c", commands],
        cwd=tmp_path,
        env=own_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert f"{registry}/mirror/model@{digest_of_model()}" in ran.stdout.splitlines()
    assert {"2", "3"} <= set(ran.stdout.splitlines())


def test_the_readmes_python_pulls_and_pushes(registry, own_environment, tmp_path):
    program = f"""
from pathlib import Path
from lading import LocalStore
from lading.metadata import Metadata
metadata = Metadata("sqlite:///metadata.db", content=LocalStore("content"))
team = metadata.namespace("team")
{registry_blocks()["python"].replace("localhost:5000", registry)}
assert model.digest in team
metadata.close()
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=own_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "model.tar").stat().st_size > 0


def digest_of_model():
    return image({"model": b"weights"}).digest
