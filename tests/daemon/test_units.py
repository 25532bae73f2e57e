"""The units of systemd in `contrib/` are ones that systemd understands."""

import configparser
import re
import shutil
import subprocess
import sys

import pytest

from tests.architecture.pages import ROOT
from tests.support.peers import peer

CONTRIB = ROOT / "contrib"
UNITS = ("lading.service", "lading.socket", "lading-activated.service")
DROP_IN = "lading.service.d/activated.conf"


def settings(*names):
    """What units say, the later ones over the earlier; each key may come several times."""
    found = {}
    for name in names:
        for line in (CONTRIB / name).read_text().splitlines():
            if match := re.fullmatch(r"(\w+)=(.*)", line):
                found.setdefault(match[1], []).append(match[2])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("is_activated", [False, True])
def test_systemd_understands_every_line(tmp_path, is_activated):
    analyze = peer("systemd-analyze")
    units = UNITS if is_activated else UNITS[:1]
    for name in units:
        # It also looks whether there is such a program; any will do.
        text = (CONTRIB / name).read_text().replace("/usr/local/bin/lading", sys.executable)
        (tmp_path / name).write_text(text)
    if is_activated:
        (tmp_path / DROP_IN).parent.mkdir()
        shutil.copy(CONTRIB / DROP_IN, tmp_path / DROP_IN)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units],
        cwd=tmp_path,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    # What it says of the machine's own units is not about ours.
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "lading" in line]
    assert ours == []


@pytest.mark.slow
def test_a_line_that_systemd_does_not_understand_is_seen(tmp_path):
    text = (CONTRIB / "lading.service").read_text().replace("RestrictNamespaces", "RestrictNames")
    unit = tmp_path / "lading.service"
    unit.write_text(text.replace("/usr/local/bin/lading", sys.executable))
    done = subprocess.run(
        [peer("systemd-analyze"), "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RestrictNames" in done.stderr


@pytest.mark.slow
def test_clients_reach_the_daemon_through_the_proxy(serve, connect, folder):
    program, *words = settings("lading-activated.service")["ExecStart"][-1].split()
    activate = peer("systemd-analyze").with_name("systemd-socket-activate")
    behind = serve(listen=[f"unix://{folder}/behind.sock"])
    behind.addresses()
    words[-1] = f"{folder}/behind.sock"
    command = [activate, "-l", f"{folder}/front.sock", program, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as proxy:
        try:
            while b"Listening" not in proxy.stderr.readline():
                assert proxy.poll() is None
            client = connect(f"unix:{folder}/front.sock")
            digest = client.add("r", b"bytes" * 100_000)
            assert client.size(digest) == 500_000
        finally:
            proxy.kill()


def test_the_proxy_goes_to_where_the_activated_daemon_listens():
    behind = settings("lading.service", DROP_IN)["Environment"][-1]
    proxy = settings("lading-activated.service")["ExecStart"][-1].split()[-1]
    assert behind == f"LADING_LISTEN=unix://{proxy}"


def test_clients_find_the_daemon_at_one_path_with_activation_and_without():
    (front,) = settings("lading.socket")["ListenStream"]
    assert f"LADING_LISTEN=unix://{front}" in settings("lading.service")["Environment"]


def test_the_folder_of_the_activated_socket_is_not_the_daemons_to_remove():
    (front,) = settings("lading.socket")["ListenStream"]
    runtime = settings("lading.service", DROP_IN)["RuntimeDirectory"]
    assert runtime[-2] == ""  # which forgets the one before
    assert not front.startswith(f"/run/{runtime[-1]}/")


@pytest.mark.parametrize("name", [*UNITS, DROP_IN])
def test_a_unit_has_sections_and_nothing_outside_of_them(name):
    parser = configparser.ConfigParser(strict=False, delimiters=("=",))
    parser.read_string((CONTRIB / name).read_text())
    assert set(parser.sections()) <= {"Unit", "Service", "Socket", "Install"}
