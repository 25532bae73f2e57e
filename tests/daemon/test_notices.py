"""What systemd is told, over a real datagram socket."""

import os
import socket
import uuid

import pytest

from lading.daemon.notices import READY, STOPPING, notify


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, folder):
    """Who listens, and what `NOTIFY_SOCKET` says of it."""
    name = f"{folder}/notify" if request.param == "path" else f"@lading-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listening.settimeout(10)
        yield listening, {"NOTIFY_SOCKET": name}


def test_what_is_told_arrives(supervisor):
    listening, environment = supervisor
    notify(READY, "STATUS=listening", environment=environment)
    notify(STOPPING, environment=environment)
    assert listening.recv(1024) == b"READY=1\nSTATUS=listening"
    assert listening.recv(1024) == b"STOPPING=1"


@pytest.mark.parametrize("value", [None, "", "relative", "http://there"])
def test_where_nobody_wants_to_know_nobody_is_told(value, caplog):
    notify(READY, environment={} if value is None else {"NOTIFY_SOCKET": value})
    assert caplog.records == []


def test_a_supervisor_that_is_gone_is_a_warning_and_no_failure(folder, caplog):
    notify(READY, environment={"NOTIFY_SOCKET": os.fspath(folder / "gone")})
    (warning,) = caplog.records
    assert warning.message == "cannot notify systemd"
