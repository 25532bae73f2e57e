"""What the README says of `ctr` and of containerd works as it stands there."""

import os
import signal
import subprocess
import tomllib

import pytest

from tests.architecture.pages import ROOT, blocks
from tests.compat.ctr import Ctr
from tests.compat.daemon import running_lading
from tests.support.containerd import Containerd
from tests.support.peers import peer
from tests.support.registry import digest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("readme with peers")]

HEADING = "## Under ctr, under containerd\n"
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
