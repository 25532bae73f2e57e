"""Images go from lading to skopeo, to ctr and to containerd, over a real registry, and back.

And transfers do: what ctr began in a store, lading finishes there, and the other way about.
"""

import contextlib
import json
import random
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from lading import Digest, LocalStore
from lading.errors import NotFound
from lading.metadata import Metadata
from lading.model.descriptor import Descriptor
from lading.oci.access.credentials import GivenCredentials
from lading.oci.access.hosts import Hosts
from lading.oci.client import RegistryClient
from lading.oci.progress import Mounted
from lading.rpc.client import RemoteCatalog
from tests.compat.ctr import Ctr
from tests.compat.daemon import LADING, running_lading
from tests.support.containerd import running_containerd
from tests.support.link import link
from tests.support.lying import lying
from tests.support.peers import peer
from tests.support.registry import digest, image

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("registry peers")]

MIB = 1 << 20
OCI = "application/vnd.oci.image.{}.v1+json"
APP = image({"bin/app": b"app" * 10_000}, {"etc/app": b"settings"})
ARM = image({"bin/app": b"arm" * 10_000}, env="MACHINE=arm64")
LONG = timedelta(minutes=1)
HELD = 9 * MIB + 4_321
"""Bytes that come before everything waits: most of some mebibytes of the layer."""


@pytest.fixture(scope="module")
def containerd(tmp_path_factory):
    with running_containerd(tmp_path_factory.mktemp("containerd"), collects=False) as address:
        yield address


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with running_lading(tmp_path_factory.mktemp("lading"), collects=False) as daemon:
        yield daemon.address


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


@pytest.fixture
def namespace(store, tmp_path):
    with Metadata(f"sqlite:///{tmp_path}/metadata.db", content=store) as metadata:
        yield metadata.namespace("default")


@pytest.fixture
def client(tmp_path):
    with RegistryClient(
        credentials=GivenCredentials(None), hosts=Hosts([]), uploads=tmp_path / "uploads"
    ) as client:
        yield client


@pytest.fixture
def repository(request):
    """A repository of the test's own."""
    name = request.node.name.removeprefix("test_")
    return "".join(each if each.isalnum() else "-" for each in name)[:80].strip("-").lower()


def skopeo(*words, code=0):
    run = subprocess.run(
        [peer("skopeo"), "--insecure-policy", *words], capture_output=True, text=True, check=False
    )
    assert run.returncode == code, run.stderr
    return run.stderr if code else run.stdout


def copied(reference, folder, *options):
    """What skopeo gets of an image: each blob, and the manifest it is named by."""
    source = ("--src-tls-verify=false", f"docker://{reference}")
    skopeo("copy", "--preserve-digests", *options, *source, f"dir:{folder}")
    files = [path for path in Path(folder).iterdir() if path.name != "version"]
    return {digest(path.read_bytes()) for path in files}


def added(store, made):
    """Put an image into a store, and describe it."""
    for blob in made.blobs.values():
        store.add(blob)
    return described(made.manifest, OCI.format("manifest"))


def described(data, media_type):
    return Descriptor(media_type, Digest.of(data), len(data))


def index_of(*parts):
    """An index of images, each for its architecture."""
    listed = [
        {
            "mediaType": OCI.format("manifest"),
            "digest": made.digest,
            "size": len(made.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, made in parts
    ]
    text = {"schemaVersion": 2, "mediaType": OCI.format("index"), "manifests": listed}
    return json.dumps(text).encode()


def test_what_lading_pushes_skopeo_pulls(store, client, registry, repository, tmp_path):
    reference = f"{registry.host}/{repository}:1"
    client.push(reference, added(store, APP), source=store)
    assert copied(reference, tmp_path / "copy") == set(APP.blobs)


def test_what_skopeo_pushes_lading_pulls(store, client, registry, repository):
    reference = registry.push(APP, f"{repository}:1")
    target = client.pull(reference, into=store)
    assert target.digest == APP.digest
    assert {blob.digest: store.read(blob.digest) for blob in store.blobs()} == APP.blobs


def test_an_image_of_several_platforms_goes_there_and_back(
    store, client, registry, repository, tmp_path
):
    added(store, APP)
    added(store, ARM)
    index = index_of(("amd64", APP), ("arm64", ARM))
    store.add(index)
    reference = f"{registry.host}/{repository}:1"
    client.push(reference, described(index, OCI.format("index")), source=store)
    everything = {*APP.blobs, *ARM.blobs, digest(index)}
    assert copied(reference, tmp_path / "copy", "--all") == everything
    # skopeo takes it to another repository, and lading brings all of that home.
    again = f"{registry.host}/{repository}/again:1"
    skopeo(
        *("copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
        *("--dest-tls-verify=false", f"docker://{reference}", f"docker://{again}"),
    )
    home = LocalStore(tmp_path / "home")
    assert client.pull(again, into=home, platform="all").digest == digest(index)
    assert {blob.digest for blob in home.blobs()} == everything


def test_an_artifact_of_any_type_goes_there_and_back(store, client, registry, repository, tmp_path):
    weights, empty = random.Random(6).randbytes(100_000), b"{}"  # noqa: S311 - the same bytes each time
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI.format("manifest"),
            "artifactType": "application/vnd.example.model",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": digest(empty),
                "size": len(empty),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.example.weights",
                    "digest": digest(weights),
                    "size": len(weights),
                }
            ],
        }
    ).encode()
    for blob in (weights, empty, manifest):
        store.add(blob)
    reference = f"{registry.host}/{repository}:1"
    client.push(reference, described(manifest, OCI.format("manifest")), source=store)
    assert copied(reference, tmp_path / "copy") == set(map(digest, (weights, empty, manifest)))
    home = LocalStore(tmp_path / "home")
    client.pull(reference, into=home)
    assert home.read(Digest.of(weights)) == weights


def test_containerd_pulls_and_unpacks_what_lading_pushed(
    store, client, registry, repository, containerd
):
    reference = f"{registry.host}/{repository}:1"
    client.push(reference, added(store, APP), source=store)
    ctr = Ctr(containerd)
    said = ctr(
        *("images", "pull", "--plain-http", "--snapshotter", "native", reference),
        namespace=repository,
    )
    assert said.code == 0, said
    assert set(ctr("content", "ls", "-q", namespace=repository).out.split()) == set(APP.blobs)


def test_lading_pulls_what_ctr_pushed(store, client, registry, repository, containerd):
    ctr = Ctr(containerd)
    given = registry.push(APP, f"{repository}/given:1")
    assert ctr("content", "fetch", "--plain-http", given, namespace=repository).code == 0
    reference = f"{registry.host}/{repository}/taken:1"
    push = ("images", "push", "--plain-http", reference, given)
    assert ctr(*push, namespace=repository).code == 0
    assert client.pull(reference, into=store).digest == APP.digest
    assert {blob.digest for blob in store.blobs()} == set(APP.blobs)


def test_what_lading_deletes_is_gone_for_skopeo(store, client, registry, repository):
    reference = f"{registry.host}/{repository}:1"
    client.push(reference, added(store, APP), source=store)
    skopeo("inspect", "--tls-verify=false", f"docker://{reference}")
    client.delete(f"{registry.host}/{repository}@{APP.digest}")
    said = skopeo("inspect", "--tls-verify=false", f"docker://{reference}", code=1)
    assert "manifest unknown" in said
    with pytest.raises(NotFound):
        client.resolve(reference)


def test_what_the_registry_has_in_another_repository_is_mounted_and_not_sent(
    namespace, client, registry, repository, tmp_path
):
    reference = registry.push(APP, f"{repository}/first:1")
    target = client.pull(reference, into=namespace)
    registry.log.clear()
    steps = []
    again = f"{registry.host}/{repository}/second:1"
    client.push(again, target, source=namespace, progress=steps.append)
    mounted = {step.blob.digest for step in steps if isinstance(step, Mounted)}
    assert mounted == set(APP.blobs) - {APP.digest}
    # Its log comes through a pipe, so a request may be there only a moment later; none was sent.
    assert not [line for line in registry.log if "PATCH" in line]
    assert copied(again, tmp_path / "copy") == set(APP.blobs)


def test_lading_copies_from_registry_to_registry(client, registry, repository, tmp_path):
    reference = registry.push(APP, f"{repository}:1")
    with lying() as other:
        client.copy(reference, f"{other.host}/{repository}:2")
        assert copied(f"{other.host}/{repository}:2", tmp_path / "copy") == set(APP.blobs)


@contextlib.contextmanager
def held_registry(large):
    """A registry with an image, a link to it on which everything waits, and its reference."""
    with (
        lying({"team/large:1": large}) as registry,
        link(registry.host, down_limit=HELD) as line,
    ):
        yield registry, line, f"{line.host}/team/large:1"


def kill_in_the_middle(command, line, environment=None):
    """Run a command until everything waits; then it gets SIGKILL."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        ) as process,
    ):
        try:
            line.wait_for(lambda line: line.down >= HELD or process.poll() is not None)
            said.seek(0)
            assert process.poll() is None, said.read().decode()
        finally:
            process.kill()
    line.let_go()


def offset_at(address, layer):
    """How far the layer's ingest is, once nobody holds it any more."""
    with RemoteCatalog(address) as catalog:
        store = catalog.namespace("default")
        # To get the ref, the one who was killed has to have let go of it.
        with store.writer(f"layer-{digest(layer)}", total=len(layer), wait=LONG) as writer:
            return writer.offset


def finish(command, registry, layer, environment=None):
    """Run a command to its end; gives where its first request for the layer began."""
    registry.log.clear()
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    first = registry.asked(f"GET {digest(layer)}")[0].range or "bytes=0-"
    return int(first.removeprefix("bytes=").partition("-")[0])


@pytest.fixture(params=["daemon", "containerd"])
def address(request):
    """A lading that runs, or a containerd: either keeps content for both clients."""
    found = request.getfixturevalue(request.param)
    return found if "://" in found else f"unix://{found}"


@pytest.fixture
def large(request):
    """An image that no other test has."""
    return image({"weights": random.Random(request.node.name).randbytes(24 * MIB)})  # noqa: S311 - the same bytes each time


@pytest.fixture
def pull(address, own_environment):
    def command(reference):
        return [
            *(str(LADING), "--address", address, "--namespace", "default"),
            *("pull", "--plain-http", "--progress", "none", reference),
        ]

    return command


@pytest.fixture
def fetch(address):
    def command(reference):
        return Ctr(address).command("content", "fetch", "--plain-http", reference)

    return command


def check_is_there(address, large):
    with RemoteCatalog(address) as catalog:
        store = catalog.namespace("default")
        for name, data in large.blobs.items():
            assert store.read(Digest.parse(name)) == data
        assert list(store.ingests()) == []


def test_a_fetch_by_ctr_that_was_killed_is_finished_by_a_pull(
    address, large, fetch, pull, own_environment
):
    (layer,) = large.layers
    with held_registry(large) as (registry, line, reference):
        kill_in_the_middle(fetch(reference), line)
        offset = offset_at(address, layer)
        assert offset > 0
        assert finish(pull(reference), registry, layer, own_environment) == offset
        check_is_there(address, large)


def test_a_pull_that_was_killed_is_finished_by_ctr(address, large, fetch, pull, own_environment):
    (layer,) = large.layers
    with held_registry(large) as (registry, line, reference):
        kill_in_the_middle(pull(reference), line, own_environment)
        offset = offset_at(address, layer)
        assert offset > 0
        assert finish(fetch(reference), registry, layer) == offset
        check_is_there(address, large)
