"""skopeo and containerd read what lading writes, and lading what they write."""

import gzip
import io
import json
import subprocess

import pytest

from lading import Digest
from lading.content.catalog import Image
from lading.model.descriptor import Descriptor
from lading.model.platform import Platform
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.importing import import_archive
from tests.archives.building import (
    APP,
    INDEX_TYPE,
    MANIFEST_TYPE,
    archive,
    descriptor,
    digest,
    index,
    named,
    path_of,
    saved,
)
from tests.compat.ctr import Ctr
from tests.support.containerd import running_containerd
from tests.support.peers import peer
from tests.support.registry import image, write_layout

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("archives, peers")]

REDIS = "docker.io/library/redis:7"
OTHER = image({"etc/other": b"other"}, env="O=1")
MACHINE = Platform.of_this_machine()
BOTH = index(
    descriptor(APP.manifest, platform={"os": "linux", "architecture": MACHINE.architecture}),
    descriptor(OTHER.manifest, platform={"os": "linux", "architecture": "s390x"}),
)


def skopeo(source, target, *options):
    done = subprocess.run(
        [peer("skopeo"), "--insecure-policy", "copy", *options, source, target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def target(made=APP):
    return Descriptor(MANIFEST_TYPE, Digest(made.digest), len(made.manifest))


@pytest.fixture
def filled(store):
    for made in (APP, OTHER):
        for data in made.blobs.values():
            store.add(data)
    store.add(BOTH)
    return store


@pytest.fixture
def both():
    return Descriptor(INDEX_TYPE, Digest.of(BOTH), len(BOTH))


def held(store):
    return {blob.digest: store.read(blob.digest) for blob in store.blobs()}


def files(folder):
    """What skopeo's plain folder has, by digest."""
    return {digest(path.read_bytes()) for path in folder.iterdir() if path.name != "version"}


@pytest.mark.parametrize(
    ("to", "source"),
    [("a.tar", "oci-archive:{}:7"), ("a.tar", "oci-archive:{}"), ("a/", "oci:{}:7")],
)
def test_skopeo_reads_layouts_and_archives(filled, tmp_path, to, source):
    export_archive(Image(REDIS, target(), 0, 0), f"{tmp_path}/{to}", source=filled)
    skopeo(source.format(tmp_path / to.strip("/")), f"dir:{tmp_path}/out", "--preserve-digests")
    assert files(tmp_path / "out") == set(APP.blobs)


def test_skopeo_reads_every_platform(filled, both, tmp_path):
    export_archive(Image(REDIS, both, 0, 0), tmp_path / "a.tar", source=filled)
    skopeo(f"oci-archive:{tmp_path}/a.tar:7", f"dir:{tmp_path}/out", "--all", "--preserve-digests")
    assert files(tmp_path / "out") >= {*APP.blobs, *OTHER.blobs}


def test_skopeo_reads_archives_for_docker(filled, tmp_path):
    images = [Image(REDIS, target(), 0, 0), Image("ghcr.io/me/other:1", target(OTHER), 0, 0)]
    export_archive(images, tmp_path / "a.tar", source=filled, format="docker")
    for name, made in (("redis:7", APP), ("ghcr.io/me/other:1", OTHER)):
        out = tmp_path / made.digest[7:]
        skopeo(f"docker-archive:{tmp_path}/a.tar:{name}", f"dir:{out}")
        # Unpacked, as docker has layers.
        layers = {digest(gzip.decompress(layer)) for layer in made.layers}
        assert files(out) >= {digest(made.config), *layers}


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_what_skopeo_writes_is_read(store, tmp_path, opened, kind):
    layout = write_layout(APP, tmp_path / "layout")
    out = tmp_path / "out"
    skopeo(f"oci:{layout}:latest", f"{kind}:{out}:redis:7")
    if kind == "oci":
        (imported,) = import_archive(out, into=store)
    else:
        with opened(out.read_bytes()) as source:
            (imported,) = import_archive(source, into=store)
    assert imported.name == (REDIS if kind == "docker-archive" else "redis:7")
    assert digest(APP.config) in held(store)
    assert list(store.ingests()) == []
    if kind != "docker-archive":
        assert held(store) == APP.blobs


def test_skopeo_and_lading_write_to_one_layout(filled, tmp_path):
    layout = tmp_path / "layout"
    skopeo(f"oci:{write_layout(OTHER, tmp_path / 'in')}:latest", f"oci:{layout}:theirs")
    export_archive(Image("ours", target(), 0, 0), layout, source=filled)
    skopeo(f"oci:{tmp_path / 'in'}:latest", f"oci:{layout}:theirs-too")
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in entries]
    assert sorted(names) == ["ours", "theirs", "theirs-too"]
    for name in names:
        skopeo(f"oci:{layout}:{name}", f"dir:{tmp_path}/{name}")


@pytest.fixture(scope="module")
def ctr(tmp_path_factory):
    with running_containerd(tmp_path_factory.mktemp("containerd"), collects=False) as address:
        yield Ctr(address)


def got(ctr, namespace, name):
    command = ctr.command("content", "get", name, namespace=namespace)
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_containerd_imports_what_lading_exports(ctr, filled, both, tmp_path, form):
    images = [Image(REDIS, target(), 0, 0), Image("ghcr.io/me/other:1", target(OTHER), 0, 0)]
    images.append(Image("ghcr.io/me/both:1", both, 0, 0))
    export_archive(images, tmp_path / "a.tar", source=filled, format=form)
    said = ctr(
        "images", "import", "--no-unpack", "--all-platforms", tmp_path / "a.tar", namespace=form
    )
    assert said.code == 0, said
    listed = ctr("images", "ls", "-q", namespace=form).out.split()
    assert sorted(listed) == [REDIS, images[2].name, images[1].name]
    for name, data in {**APP.blobs, **OTHER.blobs, digest(BOTH): BOTH}.items():
        assert got(ctr, form, name) == data


def test_lading_imports_what_containerd_exports(ctr, store, tmp_path, opened):
    (tmp_path / "in.tar").write_bytes(
        archive(
            APP, OTHER, roots=[named(APP, "docker.io/me/a:1"), named(OTHER, "docker.io/me/b:1")]
        )
    )
    name = "exports"
    said = ctr("images", "import", "--no-unpack", tmp_path / "in.tar", namespace=name)
    assert said.code == 0, said
    out = tmp_path / "out.tar"
    said = ctr("images", "export", out, "docker.io/me/a:1", "docker.io/me/b:1", namespace=name)
    assert said.code == 0, said
    with opened(out.read_bytes()) as source:
        imported = import_archive(source, into=store)
    assert {each.name: each.target.digest for each in imported} == {
        "docker.io/me/a:1": APP.digest,
        "docker.io/me/b:1": OTHER.digest,
    }
    assert held(store) == {**APP.blobs, **OTHER.blobs}


@pytest.mark.parametrize("old", [False, True])
def test_containerd_makes_the_same_manifest_of_what_docker_saved(ctr, store, tmp_path, old):
    data = saved(old=old, names=["app:1"])
    (tmp_path / "saved.tar").write_bytes(data)
    name = f"saved-{old}"
    said = ctr("images", "import", "--no-unpack", tmp_path / "saved.tar", namespace=name)
    assert said.code == 0, said
    (imported,) = import_archive(io.BytesIO(data), into=store)
    listed = ctr("images", "ls", f"name=={imported.name}", namespace=name).out
    assert imported.target.digest in listed
    assert got(ctr, name, imported.target.digest) == store.read(imported.target.digest)


def test_an_exported_tar_is_containerds_own_but_for_its_index(ctr, filled, tmp_path):
    """The order, the modes, and the times: whoever compares archives sees one difference."""
    ours = tmp_path / "ours.tar"
    export_archive(Image(REDIS, target(), 0, 0), ours, source=filled, format="docker")
    said = ctr("images", "import", "--no-unpack", ours, namespace="same")
    assert said.code == 0, said
    theirs = tmp_path / "theirs.tar"
    assert ctr("images", "export", theirs, REDIS, namespace="same").code == 0
    listing = [
        subprocess.run(
            ["tar", "--list", "--verbose", "--full-time", "--utc", "--file", path],  # noqa: S607 - the system's
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for path in (ours, theirs)
    ]
    differing = {a.split()[-1] for a, b in zip(*listing, strict=True) if a.split() != b.split()}
    assert differing <= {"index.json"}
    assert path_of(APP.digest) in "".join(listing[0])
