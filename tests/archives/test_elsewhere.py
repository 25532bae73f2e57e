"""The same through a daemon, and in a process that is killed at any moment."""

import signal
import subprocess
import sys

import pytest

from lading import LocalStore
from lading.metadata import Metadata
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.importing import import_archive
from lading.rpc.client.catalog import RemoteCatalog
from tests.architecture.pages import ROOT
from tests.archives.building import archive
from tests.support.failing import FailingDisk
from tests.support.registry import image
from tests.support.served import served

BIG = image({"model": bytes(range(251)) * 20_000}, {"etc/app": b"settings"}, {"more": b"m" * 99})
MANY = image(*({f"{number}": b"x" * 999 * number} for number in range(1, 30)))


def held(store):
    return {blob.digest: store.read(blob.digest) for blob in store.blobs()}


@pytest.fixture
def remote(tmp_path, store):
    with (
        Metadata(f"sqlite:///{tmp_path}/served.db", content=store) as metadata,
        served(metadata, metadata.events, tmp_path / "s") as address,
        RemoteCatalog(address) as catalog,
    ):
        yield catalog.namespace("images")


@pytest.mark.slow
def test_images_come_and_go_through_a_daemon(remote, opened, tmp_path):
    with opened(archive(BIG, MANY)) as source:
        import_archive(source, into=remote)
    assert held(remote) == {**BIG.blobs, **MANY.blobs}
    assert [each.name for each in remote.images.list()] == ["app:1", "app:2"]
    assert list(remote.ingests()) == []
    assert list(remote.leases()) == []
    export_archive(list(remote.images.list()), tmp_path / "out.tar", source=remote)
    again = LocalStore(tmp_path / "again")
    import_archive(tmp_path / "out.tar", into=again)
    assert held(again) == {**BIG.blobs, **MANY.blobs}


KILLED = """
import os, signal, sys
from lading import LocalStore
from lading.oci.archives.importing import import_archive
from tests.support.failing import FailingDisk
class KillingDisk(FailingDisk):
    def _meet(self, name):
        super()._meet(name)
        if len(self.calls) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
source = sys.argv[2] if sys.argv[2] != "-" else open(0, "rb", buffering=0)
import_archive(source, into=LocalStore(sys.argv[1], disk=KillingDisk(0)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_an_import_that_is_killed_shows_nothing_wrong_and_the_next_one_succeeds(
    tmp_path, own_environment, way
):
    """Killed with each call in a grid, again and again, over what was left before."""
    path = tmp_path / "in.tar"
    path.write_bytes(archive(BIG, MANY))
    counting = FailingDisk(0)
    import_archive(path, into=LocalStore(tmp_path / "counted", disk=counting))
    whole = {**BIG.blobs, **MANY.blobs}
    root = tmp_path / "root"
    source = "-" if way == "pipe" else path
    for call in range(1, len(counting.calls), len(counting.calls) // 12):
        words = [sys.executable, "-c", KILLED, root, source, str(call)]
        with path.open("rb") as file:
            done = subprocess.run(
                ["sh", "-c", 'cat | "$@"', "sh", *words],  # noqa: S607 - the system's
                stdin=file,
                stderr=subprocess.DEVNULL,
                env=own_environment | {"PYTHONPATH": str(ROOT)},
                check=False,
            )
        assert done.returncode in {0, 128 + signal.SIGKILL}
        assert all(whole[name] == data for name, data in held(LocalStore(root)).items())
    store = LocalStore(root)
    import_archive(path, into=store)
    assert held(store) == whole
    assert list(store.ingests()) == []
