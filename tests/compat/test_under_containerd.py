"""containerd with lading as its content store: it pulls, unpacks, exports and collects.

containerd reaches lading through a listener that is pinned to the namespace `containerd`. Its own
namespaces are its own affair: lading sees them in the refs alone.
"""

import random
import signal
import subprocess
import tarfile
import time

import pytest

from lading import Digest, LocalStore
from lading.rpc.client.catalog import RemoteCatalog
from tests.compat.ctr import Ctr
from tests.compat.daemon import Lading
from tests.compat.relay import relayed
from tests.support.containerd import Containerd
from tests.support.registry import digest, image

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("under containerd")]

APP = image({"bin/app": b"app" * 10_000}, {"etc/app": b"settings"})
OTHER = image({"bin/app": b"app" * 10_000}, {"etc/other": b"other settings"})
LARGE = image({"large": random.Random(4).randbytes(24 << 20)}, {"small": b"small"})  # noqa: S311 - the same bytes each time
MIB = 1 << 20
NATIVE = ("--snapshotter", "native")


class Pair:
    """A containerd, the lading under it, and `ctr` at each."""

    def __init__(self, folder):
        self.lading = Lading(folder / "lading")
        self.containerd = Containerd(
            folder / "containerd", content=self.lading.pinned, collects=False
        )
        self.ctr = Ctr(self.containerd.address)
        self.ours = Ctr(self.lading.address)
        self.root = folder / "lading"

    def run(self, *arguments, namespace="default"):
        said = self.ctr(*arguments, namespace=namespace)
        assert said.code == 0, said
        return said.out

    def pull(self, reference, **options):
        return self.run("images", "pull", "--plain-http", *NATIVE, reference, **options)

    def kept(self, namespace="containerd"):
        """The digests that a namespace of lading has."""
        said = self.ours("content", "ls", "-q", namespace=namespace)
        assert said.code == 0, said
        return set(said.out.split())

    def offsets(self):
        """How far lading has got with each ingest of containerd's."""
        said = self.ours("content", "active", namespace="containerd")
        assert said.code == 0, said
        return {line.split()[0]: line.split()[1] for line in said.out.splitlines()[1:]}

    def files(self):
        """The names of the files in every snapshot."""
        snapshots = self.containerd.folder / "root" / "io.containerd.snapshotter.v1.native"
        return {
            path.relative_to(path.parents[1]).as_posix(): path.read_bytes()
            for path in snapshots.glob("snapshots/*/*/*")
            if path.is_file()
        }


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    try:
        pair.lading.start()
        pair.containerd.start()
        yield pair
    finally:
        pair.containerd.close()
        pair.lading.close()


def test_an_image_is_pulled_unpacked_and_exported(pair, registry, tmp_path):
    reference = registry.push(APP, "team/app:1")

    pair.pull(reference)

    assert pair.kept() == set(APP.blobs)
    store = LocalStore(pair.root)
    assert {name: store.read(Digest(name)) for name in APP.blobs} == APP.blobs
    assert not list((pair.containerd.folder / "root").glob("*content*"))
    assert pair.files()["bin/app"] == b"app" * 10_000
    assert pair.files()["etc/app"] == b"settings"
    row = pair.run("images", "check", *NATIVE).splitlines()[1]
    assert "complete (3/3)" in row
    assert row.split()[-1] == "true"

    pair.run("images", "export", tmp_path / "app.tar", reference)
    with tarfile.open(tmp_path / "app.tar") as tar:
        for name, data in APP.blobs.items():
            assert tar.extractfile(f"blobs/sha256/{name[7:]}").read() == data


def test_an_exported_image_comes_back(pair, registry, tmp_path):
    reference = registry.push(APP, "team/app:1")
    pair.pull(reference)
    pair.run("images", "export", tmp_path / "app.tar", reference)
    pair.run("images", "import", *NATIVE, tmp_path / "app.tar", namespace="again")
    assert reference in pair.run("images", "ls", "-q", namespace="again")
    assert set(APP.blobs) <= pair.kept()


def test_its_collector_deletes_what_it_has_let_go_of_and_nothing_of_anybody_elses(pair, registry):
    ours = b"put in by somebody else"
    layer = APP.layers[0]
    with RemoteCatalog(pair.lading.address) as catalog:
        for data in (ours, layer):
            # Labelled as it comes: lading's own collector may run at any moment.
            catalog.namespace("others").add(data, labels={"containerd.io/gc.root": "here"})
    first = registry.push(APP, "team/app:1")
    second = registry.push(OTHER, "team/other:1")
    pair.pull(first)
    pair.pull(second, namespace="another")
    assert pair.kept() == {*APP.blobs, *OTHER.blobs}

    pair.run("images", "rm", "--sync", first)

    assert pair.kept() == set(OTHER.blobs)
    assert "complete" in pair.run("images", "check", *NATIVE, namespace="another")
    assert pair.kept("others") == {digest(ours), digest(layer)}
    for data in (ours, layer):
        got = pair.ours("content", "ls", "-q", f"digest=={digest(data)}", namespace="others")
        assert got.code == 0
        assert LocalStore(pair.root).read(Digest(digest(data))) == data


def test_its_leases_keep_what_they_hold_until_they_are_deleted(pair):
    assert pair.ctr("content", "ingest", "blob", data=b"blob").code == 0
    pair.run("content", "label", digest(b"blob"), "containerd.io/gc.root=here")
    pair.run("leases", "create", "--id", "lease")
    pair.run("leases", "rm", "--sync", "lease")
    assert pair.kept() == {digest(b"blob")}
    pair.run("content", "label", digest(b"blob"), "containerd.io/gc.root=")
    pair.run("leases", "create", "--id", "lease")
    pair.run("leases", "rm", "--sync", "lease")
    assert pair.kept() == set()


def test_references_are_pruned_and_unpacked_layers_go(pair, registry):
    pair.pull(registry.push(APP, "team/app:1"))
    pair.run("content", "prune", "references")
    assert pair.kept() == {digest(APP.manifest), digest(APP.config)}
    assert pair.files()["etc/app"] == b"settings"


def test_ladings_collector_leaves_what_containerd_keeps(pair, registry):
    reference = registry.push(APP, "team/app:1")
    pair.pull(reference)
    assert pair.ours("leases", "create", "--id", "collect", namespace="others").code == 0
    assert pair.ours("leases", "rm", "--sync", "collect", namespace="others").code == 0
    assert pair.kept() == set(APP.blobs)
    assert "complete (3/3)" in pair.run("images", "check", *NATIVE)


def pull_until_it_stalls(pair, reference, deadline):
    """Begin a pull, and come back when lading has some of the large layer."""

    pull = subprocess.Popen(
        pair.ctr.command("images", "pull", "--plain-http", *NATIVE, reference),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ref = f"layer-{digest(LARGE.layers[0])}"
    while not any(key.endswith(ref) and "MB" in size for key, size in pair.offsets().items()):
        assert pull.poll() is None
        assert time.monotonic() < deadline, pair.offsets()
    return pull


@pytest.mark.parametrize("killed", ["containerd", "lading", "both"])
def test_a_pull_that_was_cut_short_by_a_kill_goes_on_where_it_was(pair, registry, killed):
    registry.push(LARGE, "team/large:1")
    deadline = time.monotonic() + 60
    with relayed(registry.host, allowed=16 * MIB) as relay:
        reference = f"{relay.host}/team/large:1"
        pull = pull_until_it_stalls(pair, reference, deadline)
        for server in (pair.containerd, pair.lading):
            if killed in {"both", type(server).__name__.lower()}:
                server.stop(signal.SIGKILL)
        pull.kill()
        pull.wait()
        relay.let_go()
        for server in (pair.lading, pair.containerd):
            if killed in {"both", type(server).__name__.lower()}:
                server.start()

        before = relay.passed
        # containerd dials a server that went away again when it pleases, within seconds.
        pull = ("images", "pull", "--plain-http", *NATIVE, reference)
        while (said := pair.ctr(*pull)).condition == "unavailable":
            assert time.monotonic() < deadline
        assert said.code == 0, said

        assert relay.passed - before < 24 * MIB
        assert pair.kept() == set(LARGE.blobs)
        assert pair.offsets() == {}
        assert LocalStore(pair.root).read(Digest(digest(LARGE.layers[0]))) == LARGE.layers[0]
        assert "complete (3/3)" in pair.run("images", "check", *NATIVE)
