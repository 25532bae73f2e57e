"""`lading export`: to files, folders and pipes; names as people type them, and what is missing."""

import io
import json
import tarfile

import pytest

from lading import Digest, LocalStore
from lading.oci.archives.importing import import_archive
from tests.archives.building import (
    APP,
    INDEX_TYPE,
    LAYOUT,
    archive,
    blobs,
    descriptor,
    digest,
    entry,
    index,
    named,
    path_of,
    tar,
)
from tests.support.registry import image

REDIS = "docker.io/library/redis:7"
THERE, ELSEWHERE = image({"a": b"here"}), image({"a": b"there"}, env="B=2")
BOTH = index(
    descriptor(THERE.manifest, platform={"os": "linux", "architecture": "arm64"}),
    descriptor(ELSEWHERE.manifest, platform={"os": "linux", "architecture": "s390x"}),
)


@pytest.fixture(autouse=True)
def imported(run, tmp_path):
    path = tmp_path / "in.tar"
    path.write_bytes(archive(roots=[named(APP, REDIS)]))
    assert run("import", path).exit_code == 0


@pytest.fixture
def sparse(run, tmp_path):
    """An index of two platforms, of which one is here."""
    root = {
        **descriptor(BOTH, INDEX_TYPE),
        "annotations": {"org.opencontainers.image.ref.name": "both:1"},
    }
    path = tmp_path / "both.tar"
    path.write_bytes(
        tar(
            *blobs(THERE),
            entry(path_of(digest(BOTH)), BOTH),
            entry("index.json", index(root)),
            entry("oci-layout", LAYOUT),
        )
    )
    assert run("import", path).exit_code == 0


def names_in(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archived:
        return archived.getnames()


@pytest.mark.parametrize("name", [REDIS, "redis:7", APP.digest])
def test_an_image_is_exported_by_its_name_or_its_digest(run, tmp_path, name):
    done = run("export", name, "-o", tmp_path / "out.tar")
    assert (done.exit_code, done.stdout) == (0, f"{APP.digest}\n")
    store = LocalStore(tmp_path / "again")
    (found,) = import_archive(tmp_path / "out.tar", into=store)
    assert found.target.digest == APP.digest
    assert found.name == (None if name == APP.digest else REDIS)
    assert {each.digest for each in store.blobs()} == set(APP.blobs)


@pytest.mark.parametrize("arguments", [[], ["-o", "-"]])
def test_an_archive_goes_to_standard_output_alone(run, tmp_path, arguments):
    run("export", "redis:7", "-o", tmp_path / "out.tar")
    done = run("export", "redis:7", *arguments)
    assert (done.exit_code, done.stdout_bytes) == (0, (tmp_path / "out.tar").read_bytes())


def test_a_folder_is_a_layout(run, tmp_path):
    layout = f"{tmp_path}/layout/"
    assert run("export", "redis:7", "-o", layout).stdout == f"{APP.digest}\n"
    run("images", "tag", REDIS, "mine:1")
    assert run("export", "mine:1", "-o", tmp_path / "layout").exit_code == 0
    entries = json.loads((tmp_path / "layout" / "index.json").read_bytes())["manifests"]
    assert [each["annotations"]["io.containerd.image.name"] for each in entries] == [
        REDIS,
        "mine:1",
    ]


def test_docker_gets_its_manifest(run):
    assert "manifest.json" in names_in(run("export", "redis:7", "--format", "docker").stdout_bytes)
    assert "manifest.json" not in names_in(run("export", "redis:7").stdout_bytes)


def test_what_there_is_not_is_not_found_and_makes_no_file(run, tmp_path):
    for name in ("absent:1", f"sha256:{'0' * 64}"):
        done = run("export", "redis:7", name, "-o", tmp_path / "out.tar")
        assert (done.exit_code, done.stdout) == (3, "")
    assert not (tmp_path / "out.tar").exists()


def test_a_root_without_images_has_none(run, monkeypatch, tmp_path):
    monkeypatch.setenv("LADING_ROOT", str(tmp_path / "empty"))
    assert run("export", "redis:7", "-o", tmp_path / "out.tar").exit_code == 3


def test_a_blob_that_is_no_image_is_not_exported(run, tmp_path):
    done = run("export", digest(APP.layers[0]), "-o", tmp_path / "out.tar")
    assert done.exit_code == 1
    assert "is no image" in done.stderr


def test_a_platform_that_is_not_here_is_said_with_the_way_out(run, sparse, tmp_path):
    done = run("export", "both:1", "-o", tmp_path / "out.tar")
    assert (done.exit_code, done.stdout) == (3, "")
    assert ELSEWHERE.digest in done.stderr
    assert "--platform" in done.stderr
    assert not (tmp_path / "out.tar").exists()
    done = run("export", "both:1", "-o", tmp_path / "out.tar", "--platform", "linux/arm64")
    assert done.exit_code == 0
    assert path_of(THERE.digest) in names_in((tmp_path / "out.tar").read_bytes())
    assert run("export", "both:1", "--platform", "linux/s390x").exit_code == 3


def test_a_blob_that_is_not_what_it_was_is_exit_code_5(run, store, tmp_path):
    path = store.path(Digest(digest(APP.layers[0])))
    path.chmod(0o600)
    path.write_bytes(b"x" * len(APP.layers[0]))
    done = run("export", "redis:7", "-o", tmp_path / "out.tar")
    assert (done.exit_code, done.stdout) == (5, "")
    assert not (tmp_path / "out.tar").exists()


def test_a_folder_that_is_something_else_is_left_alone(run, tmp_path):
    done = run("export", "redis:7", "-o", tmp_path)
    assert done.exit_code == 1
    assert "no image layout" in done.stderr


def test_a_file_that_cannot_be_is_named(run, tmp_path):
    done = run("export", "redis:7", "-o", tmp_path / "absent" / "out.tar")
    assert done.exit_code == 1
    assert "out.tar: No such file" in done.stderr


def test_docker_reads_no_folder(run, tmp_path):
    assert run("export", "redis:7", "-o", f"{tmp_path}/x/", "--format", "docker").exit_code == 2


def test_progress_is_a_line_for_each_blob_and_a_sum(run, tmp_path):
    done = run("export", "redis:7", "-o", tmp_path / "out.tar")
    lines = done.stderr.splitlines()
    assert sum(line.startswith("exported sha256:") for line in lines) == 4
    assert lines[-1].startswith("exported redis:7: 4 blobs")
