"""Real peers: other people's programs and sources that tests run against.

A test whose peer is not installed skips and says so. Where `CI` is true it fails instead: a skip
there would pass for a comparison that was made.

Run as a program, this prints the Debian packages of the peers that are missing.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
GO_PATH = Path("/usr/share/gocode")
"""Where Debian's packages of Go sources lie, laid out for builds without modules."""


class Peer(NamedTuple):
    """What a peer is found by, a program's name or a path, and the package that brings it."""

    sought: str
    package: str

    def find(self) -> Path | None:
        """Where the peer is. The system's own programs come before those of a user's PATH."""
        path = SYSTEM_PATH + os.pathsep + os.environ.get("PATH", "")
        found = shutil.which(self.sought, path=path)
        if found is None and not Path(self.sought).exists():
            return None
        return Path(found or self.sought)


PEERS = {
    "containerd": Peer("containerd", "containerd"),
    "containerd's sources": Peer(
        str(GO_PATH / "src/github.com/containerd/containerd/content/local"),
        "golang-github-containerd-containerd-dev",
    ),
    "ctr": Peer("ctr", "containerd"),
    "docker-registry": Peer("docker-registry", "docker-registry"),
    "go": Peer("go", "golang-go"),
    "openssl": Peer("openssl", "openssl"),
    "postgresql": Peer("initdb", "postgresql"),
    "skopeo": Peer("skopeo", "skopeo"),
    "systemd-analyze": Peer("systemd-analyze", "systemd"),
}


def peer(name: str) -> Path:
    """Where the peer is; or skip the test, or fail it where `CI` is true."""
    known = PEERS[name]
    found = known.find()
    if found is not None:
        return found
    reason = f"not installed: {name} (Debian package {known.package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


if __name__ == "__main__":
    print(*sorted({known.package for known in PEERS.values() if known.find() is None}))  # noqa: T201 - its answer
