"""Images go to archives: the same bytes each time, verified, and nothing that is not whole."""

import gzip
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading

import pytest

from lading import Digest, LocalStore
from lading.content.catalog import Image
from lading.errors import DataLoss, FailedPrecondition, InvalidArgument, InvalidManifest, NotFound
from lading.model.descriptor import Descriptor
from lading.model.platform import Platform
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.importing import import_archive
from lading.oci.archives.tar import header
from lading.oci.progress import Done, Planned
from tests.archives.building import (
    APP,
    INDEX_TYPE,
    MANIFEST_TYPE,
    archive,
    descriptor,
    digest,
    index,
    path_of,
)
from tests.support.memory import MemoryStore
from tests.support.registry import image

REDIS = "docker.io/library/redis:7"
BIG = image({"model": bytes(range(251)) * 20_000}, {"etc/app": b"settings"})
MACHINE = Platform.of_this_machine()
OURS, THEIRS = image({"a": b"ours"}, env="P=ours"), image({"a": b"theirs"}, env="P=theirs")
BOTH = index(
    descriptor(OURS.manifest, platform={"os": "linux", "architecture": MACHINE.architecture}),
    descriptor(THEIRS.manifest, platform={"os": "linux", "architecture": "s390x"}),
)


def put(store, *images):
    for made in images:
        for data in made.blobs.values():
            store.add(data)


def target(made=APP):
    return Descriptor(MANIFEST_TYPE, Digest(made.digest), len(made.manifest))


def named(name=REDIS, made=APP):
    return Image(name, target(made), 0, 0)


@pytest.fixture
def filled(store):
    put(store, APP)
    return store


@pytest.fixture
def both(store):
    put(store, OURS, THEIRS)
    store.add(BOTH)
    return Descriptor(INDEX_TYPE, Digest.of(BOTH), len(BOTH))


def exported(targets, source, **options):
    buffer = io.BytesIO()
    export_archive(targets, buffer, source=source, **options)
    return buffer.getvalue()


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def part(data, name):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.extractfile(name).read()


def test_a_descriptor_goes_to_a_file(filled, tmp_path):
    to = tmp_path / "redis.tar"
    assert export_archive(target(), to, source=filled) == (target(),)
    assert [path.name for path in tmp_path.iterdir() if path.name != "root"] == ["redis.tar"]
    other = LocalStore(tmp_path / "other")
    (imported,) = import_archive(to, into=other)
    assert imported.target == target()
    assert {each.digest for each in other.blobs()} == set(APP.blobs)


def test_a_name_goes_with_an_image_as_containerd_and_skopeo_look_for_it(filled):
    (entry,) = json.loads(part(exported(named(), filled), "index.json"))["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": REDIS,
        "org.opencontainers.image.ref.name": "7",
    }


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("me", "me"),
        ("ghcr.io/me/model", "latest"),
        (f"a/b@{APP.digest}", APP.digest),
        ("a//b", "a//b"),
    ],
)
def test_the_tag_in_a_name_is_found(filled, name, tag):
    (entry,) = json.loads(part(exported(named(name), filled), "index.json"))["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == tag


def test_the_same_images_make_the_same_bytes(tmp_path, filled):
    put(filled, BIG)
    memory = MemoryStore()
    for data in [*reversed([*APP.blobs.values()]), *BIG.blobs.values(), b"and another"]:
        memory.add(data)
    one = exported([named(), named("me/big:1", BIG)], filled)
    to = tmp_path / "out.tar"
    export_archive([named("me/big:1", BIG), named(), named()], to, source=memory)
    assert one == to.read_bytes()
    assert len(one) % 10_240 == 0


def test_nothing_in_an_archive_says_when_where_or_by_whom_it_was_made(filled):
    with tarfile.open(fileobj=io.BytesIO(exported(named(), filled, format="docker"))) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "blobs",
        "blobs/sha256",
        *sorted(path_of(name) for name in APP.blobs),
        "index.json",
        "manifest.json",
        "oci-layout",
    ]
    for member in members:
        assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
        assert (member.uname, member.gname, member.pax_headers) == ("", "", {})


def test_gnu_tar_reads_what_is_written(filled, tmp_path):
    export_archive(named(), tmp_path / "a.tar", source=filled)
    done = subprocess.run(
        ["tar", "--extract", "--file", tmp_path / "a.tar", "--directory", tmp_path],  # noqa: S607 - the system's
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    for name, data in APP.blobs.items():
        assert (tmp_path / path_of(name)).read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 1 << 50])
def test_every_size_is_written_so_that_it_can_be_read(size):
    found = tarfile.TarInfo.frombuf(header("a", size, mode=0o644), "utf-8", "strict")
    assert (found.name, found.size, found.mode) == ("a", size, 0o644)


def test_a_long_name_is_written_so_that_it_can_be_read(store):
    layer = Digest.of(b"layer", "sha512")
    with store.writer("r", expected=layer) as writer:
        writer.write(b"layer")
        writer.commit()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "layers": [{"mediaType": "text/plain", "digest": layer, "size": 5}],
        }
    ).encode()
    store.add(manifest)
    data = exported(Descriptor(MANIFEST_TYPE, Digest.of(manifest), len(manifest)), store)
    assert part(data, path_of(layer)) == b"layer"
    other = MemoryStore()
    import_archive(io.BytesIO(data), into=other)
    assert other.read(layer) == b"layer"


def test_a_pipe_takes_an_archive(filled):
    reading, writing = os.pipe()
    taken = []

    def read():
        with os.fdopen(reading, "rb") as end:
            taken.append(end.read())

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "wb", buffering=0) as end:
        export_archive(named(), end, source=filled)
    reader.join()
    assert taken == [exported(named(), filled)]


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def nameless(request, monkeypatch):
    """Files without a name, and a system that has none."""
    if not request.param:
        monkeypatch.delattr(os, "O_TMPFILE")


def rot(store, name):
    path = store.path(Digest(name))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("blob", range(4))
def test_a_blob_that_is_not_what_it_was_leaves_no_file(filled, tmp_path, nameless, blob):
    rot(filled, list(APP.blobs)[blob])
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(DataLoss):
        export_archive(named(), folder / "a.tar", source=filled)
    assert list(folder.iterdir()) == []
    layout = tmp_path / "layout"
    with pytest.raises(DataLoss):
        export_archive(named(), f"{layout}/", source=filled)
    assert not (layout / "index.json").exists()


def test_a_blob_that_became_shorter_leaves_no_file(filled, tmp_path):
    path = filled.path(Digest(digest(APP.layers[0])))
    path.chmod(0o600)

    def cut(step):
        if isinstance(step, Planned):
            os.truncate(path, 5)

    with pytest.raises(DataLoss):
        export_archive(named(), tmp_path / "a.tar", source=filled, progress=cut)
    assert not (tmp_path / "a.tar").exists()


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(filled, tmp_path, nameless):
    to = tmp_path / "a.tar"
    to.write_bytes(b"before")
    to.chmod(0o640)
    rot(filled, digest(APP.layers[0]))
    with pytest.raises(DataLoss):
        export_archive(named(), to, source=filled)
    assert to.read_bytes() == b"before"
    filled.delete(Digest(digest(APP.layers[0])))
    put(filled, APP)
    export_archive(named(), to, source=filled)
    assert to.read_bytes() == exported(named(), filled)
    assert stat.S_IMODE(to.stat().st_mode) == 0o640


def test_a_link_is_followed_and_a_device_is_written_to(filled, tmp_path):
    (tmp_path / "link.tar").symlink_to(tmp_path / "a.tar")
    export_archive(named(), tmp_path / "link.tar", source=filled)
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "a.tar").read_bytes() == exported(named(), filled)
    export_archive(named(), "/dev/null", source=filled)


def test_what_is_missing_is_said_before_anything_is_written(filled, tmp_path):
    for name in APP.blobs:
        data = filled.read(Digest(name))
        filled.delete(Digest(name))
        for to in (tmp_path / "a.tar", f"{tmp_path}/layout/"):
            with pytest.raises(NotFound, match=name):
                export_archive(named(), to, source=filled)
        filled.add(data)
    assert {path.name for path in tmp_path.iterdir()} == {"root"}
    buffer = io.BytesIO()
    filled.delete(Digest(digest(APP.layers[0])))
    with pytest.raises(NotFound):
        export_archive(named(), buffer, source=filled)
    assert buffer.getvalue() == b""


def test_a_manifest_that_says_another_size_of_a_blob_is_refused(store):
    lie = json.dumps(
        {
            "schemaVersion": 2,
            "layers": [{"mediaType": "text/plain", "digest": digest(b"layer"), "size": 6}],
        }
    ).encode()
    store.add(lie)
    store.add(b"layer")
    with pytest.raises(InvalidManifest):
        exported(Descriptor(MANIFEST_TYPE, Digest.of(lie), len(lie)), store)
    with pytest.raises(InvalidManifest):
        exported(Descriptor(MANIFEST_TYPE, Digest.of(lie), len(lie) + 1), store)


def test_every_platform_goes_or_the_one_that_is_chosen(store, both):
    every = set(names(exported(both, store)))
    assert every >= {path_of(name) for name in (*OURS.blobs, *THEIRS.blobs, both.digest)}
    one = set(names(exported(both, store, platform=None)))
    assert one >= {path_of(name) for name in (*OURS.blobs, both.digest)}
    assert not one & {path_of(digest(THEIRS.manifest)), path_of(digest(THEIRS.layers[0]))}
    theirs = set(names(exported(both, store, platform=Platform.parse("linux/s390x"))))
    assert theirs >= {path_of(name) for name in (*THEIRS.blobs, both.digest)}


def test_platforms_that_are_not_here_are_missing_unless_others_are_chosen(store, both):
    store.delete(Digest(THEIRS.digest))
    with pytest.raises(NotFound, match=both.digest):
        exported(both, store)
    assert path_of(OURS.digest) in names(exported(both, store, platform=None))


def test_docker_has_one_platform_of_each_name(store, both):
    data = exported([Image("me/both:1", both, 0, 0)], store, format="docker")
    (saved,) = json.loads(part(data, "manifest.json"))
    assert saved["Config"] == path_of(digest(OURS.config))
    assert saved["RepoTags"] == ["me/both:1"]
    data = exported(both, store, format="docker", platform=Platform.parse("linux/s390x"))
    assert json.loads(part(data, "manifest.json"))[0]["Layers"] == [
        path_of(digest(THEIRS.layers[0]))
    ]


def test_docker_has_each_image_once_with_all_its_names(filled):
    data = exported([named(), named("ghcr.io/me/redis:1")], filled, format="docker")
    (saved,) = json.loads(part(data, "manifest.json"))
    assert saved["RepoTags"] == ["redis:7", "ghcr.io/me/redis:1"]


def test_docker_reads_no_artifact(store):
    artifact = json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [descriptor(b"model", "application/x-model")],
        }
    ).encode()
    put(store, APP)
    for data in (artifact, b"{}", b"model"):
        store.add(data)
    artifact = Descriptor(MANIFEST_TYPE, Digest.of(artifact), len(artifact))
    assert path_of(digest(b"model")) in names(exported(artifact, store))
    with pytest.raises(InvalidArgument, match="docker reads nothing else"):
        exported(artifact, store, format="docker")


def test_a_layer_that_may_not_be_passed_on_can_be_missing(store):
    foreign = descriptor(b"windows", "application/vnd.oci.image.layer.v1.tar", urls=["https://x"])
    manifest = json.dumps({"schemaVersion": 2, "layers": [foreign]}).encode()
    store.add(manifest)
    data = exported(Descriptor(MANIFEST_TYPE, Digest.of(manifest), len(manifest)), store)
    assert import_archive(io.BytesIO(data), into=MemoryStore())


@pytest.mark.parametrize(
    ("targets", "options"),
    [([], {}), (named(), {"format": "zip"}), (named("a\nb"), {})],
)
def test_what_makes_no_sense_is_refused(filled, targets, options):
    with pytest.raises(InvalidArgument):
        exported(targets, filled, **options)


def test_a_folder_that_is_something_else_is_left_alone(filled, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letters").write_bytes(b"dear")
    with pytest.raises(FailedPrecondition, match="no image layout"):
        export_archive(named(), home, source=filled)
    with pytest.raises(InvalidArgument, match="docker reads no folders"):
        export_archive(named(), home, source=filled, format="docker")
    assert [path.name for path in home.iterdir()] == ["letters"]


def test_a_layout_is_read_back(filled, tmp_path, nameless):
    export_archive(named(), f"{tmp_path}/layout/", source=filled)
    other = MemoryStore()
    (imported,) = import_archive(tmp_path / "layout", into=other)
    assert (imported.name, imported.target) == (REDIS, target())
    assert {each.digest for each in other.blobs()} == set(APP.blobs)
    left = {path.name for path in (tmp_path / "layout").rglob("*") if path.is_file()}
    assert not any(name.startswith(".lading") for name in left)


def test_what_came_from_an_archive_goes_to_the_same_one(tmp_path, namespace):
    first = archive(APP, BIG)
    import_archive(io.BytesIO(first), into=namespace)
    once = exported(list(namespace.images.list()), namespace)
    imported = import_archive(io.BytesIO(once), into=MemoryStore())
    store = LocalStore(tmp_path / "again")
    assert import_archive(io.BytesIO(gzip.compress(once)), into=store) == imported
    assert exported(imported, store) == once


def test_progress_tells_of_every_blob(filled):
    steps = []
    exported(named(), filled, progress=steps.append)
    for kind in (Planned, Done):
        assert {step.blob.digest for step in steps if isinstance(step, kind)} == set(APP.blobs)


KILLED = """
import os, signal, sys
from lading import LocalStore
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.importing import import_archive
from lading.oci.progress import Begun
left = int(sys.argv[3])
def kill(step):
    global left
    if isinstance(step, Begun):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
store = LocalStore(sys.argv[1])
export_archive(import_archive(sys.argv[4], into=store), sys.argv[2], source=store, progress=kill)
"""


@pytest.mark.slow
@pytest.mark.parametrize("blob", [0, 1, 3])
def test_an_export_that_is_killed_leaves_nothing_behind(tmp_path, own_environment, blob):
    (tmp_path / "in.tar").write_bytes(archive(BIG))
    out = tmp_path / "out"
    out.mkdir()
    words = [tmp_path / "root", out / "a.tar", str(blob), tmp_path / "in.tar"]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], env=own_environment, check=False)
    assert done.returncode == -9
    assert list(out.iterdir()) == []
