"""Go programs of this folder, built on containerd's sources as Debian packages them."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.peers import GO_PATH, peer

SOURCES = Path(__file__).parent / "containerd"


def built(name: str, command: list[str], config: pytest.Config, folder: Path) -> Path:
    """The program that `go` makes of a file in `containerd/`; workers share it, in `folder`."""
    peer("containerd's sources")
    source = SOURCES / name
    program = folder / f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOCACHE": str(config.cache.mkdir("go-build")),
        "GOFLAGS": "",
        "GOPATH": str(GO_PATH),
    }
    with program.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            build = [peer("go"), *command, "-o", program, source]
            made = subprocess.run(
                build, env=environment, cwd=folder, capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stderr
    return program


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that every worker of this run sees."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
