"""A folder that many write to at once keeps every image, with locks and without."""

import fcntl
import hashlib
import io
import json
import multiprocessing
import os
import threading

import pytest

from lading import Digest, LocalStore
from lading.content.catalog import Image
from lading.errors import InvalidArchive, Unavailable
from lading.model.descriptor import Descriptor
from lading.oci.archives import layout
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.layout import ImageLayout
from lading.oci.archives.names import Root
from lading.oci.archives.verified_copy import VerifiedCopy
from tests.archives.building import (
    APP,
    INDEX_TYPE,
    LAYOUT,
    MANIFEST_TYPE,
    descriptor,
    digest,
    path_of,
)
from tests.support.registry import image

TARGET = Descriptor(MANIFEST_TYPE, Digest(APP.digest), len(APP.manifest))
TAGS, PROCESSES = 25, 8


def root(name):
    return Root(name, TARGET._replace(annotations={"org.opencontainers.image.ref.name": name}))


@pytest.fixture
def made(tmp_path):
    found = ImageLayout(tmp_path / "layout")
    found.make()
    return found


def entries(folder):
    return json.loads((folder / "index.json").read_bytes())["manifests"]


def names(folder):
    return [each.name for each in ImageLayout(folder).roots()]


def add_tags(folder, number, without_locks, ready):
    if without_locks:
        fcntl.flock = lambda file, how: None
    ready.wait()
    for tag in range(TAGS):
        ImageLayout(folder).name([root(f"{number}-{tag}")])


def at_once(folder, *, without_locks):
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=add_tags, args=(folder, number, without_locks, ready))
        for number in range(PROCESSES)
    ]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    assert [each.exitcode for each in processes] == [0] * PROCESSES
    return names(folder)


ALL = {f"{number}-{tag}" for number in range(PROCESSES) for tag in range(TAGS)}


@pytest.mark.slow
def test_processes_that_write_at_once_keep_every_tag(made):
    assert sorted(at_once(made.folder, without_locks=False)) == sorted(ALL)
    left = {path.name for path in made.folder.iterdir()}
    assert left == {"index.json", "index.json.lock", "oci-layout"}


@pytest.mark.slow
def test_where_locks_do_nothing_every_tag_is_kept_too(made):
    assert sorted(at_once(made.folder, without_locks=True)) == sorted(ALL)


def test_threads_that_write_at_once_keep_every_tag(made):
    threads = [
        threading.Thread(target=lambda number=number: made.name([root(f"{number}")]))
        for number in range(16)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(names(made.folder)) == 16


def test_a_change_by_somebody_without_the_lock_is_seen_and_kept(made, monkeypatch):
    made.name([root("ours")])
    other = descriptor(b"theirs", annotations={"org.opencontainers.image.ref.name": "theirs"})
    index_of, calls = ImageLayout._index, []

    def index(self):
        """The second time, which is the comparison, somebody has been faster."""
        calls.append(1)
        if len(calls) == 2:
            value = json.loads((made.folder / "index.json").read_bytes())
            value["manifests"].append(other)
            (made.folder / "index.json").write_text(json.dumps(value))
        return index_of(self)

    monkeypatch.setattr(ImageLayout, "_index", index)
    made.name([root("new")])
    assert names(made.folder) == ["ours", "theirs", "new"]


def test_somebody_who_changes_it_all_the_time_is_given_up(made, monkeypatch):
    index_of, calls = ImageLayout._index, []

    def index(self):
        calls.append(1)
        (made.folder / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": [], "n": len(calls)})
        )
        return index_of(self)

    monkeypatch.setattr(ImageLayout, "_index", index)
    clock = iter(range(1000))
    with pytest.raises(Unavailable):
        ImageLayout(made.folder, clock=lambda: next(clock)).name([root("new")])
    assert len(calls) > layout.PATIENCE_S


def claim_of(made):
    before = made.folder / "index.json"
    version = hashlib.sha256(before.read_bytes() if before.exists() else b"").hexdigest()
    return made.folder / f".lading-index.json-{version}"


def test_whoever_is_about_to_replace_the_index_is_waited_for(made):
    claim = claim_of(made)
    claim.write_bytes(b"the next index")
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            claim.unlink()

    ImageLayout(made.folder, sleep=sleep).name([root("new")])
    assert len(pauses) == 3
    assert names(made.folder) == ["new"]


def test_whoever_was_killed_while_replacing_the_index_is_not_waited_for(made):
    made.name([root("old")])
    claim = claim_of(made)
    claim.write_bytes(b"the next index")
    os.utime(claim, (0, 0))
    made.name([root("new")])
    assert names(made.folder) == ["old", "new"]
    assert not claim.exists()


def test_whoever_was_taken_for_dead_while_replacing_the_index_has_replaced_nothing(
    made, monkeypatch
):
    """It was asleep: meanwhile its claim was taken away, and the index replaced."""
    made.name([root("old")])
    claim = claim_of(made)
    index_of, calls = ImageLayout._index, []

    def index(self):
        found = index_of(self)
        calls.append(1)
        if len(calls) == 2:
            claim.unlink()
            ImageLayout(made.folder).name([root("others")])
        return found

    monkeypatch.setattr(ImageLayout, "_index", index)
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)
    made.name([root("new")])
    assert names(made.folder) == ["old", "others", "new"]


def test_what_an_index_says_besides_is_kept(made):
    before = {
        "schemaVersion": 2,
        "manifests": [
            {**descriptor(b"x"), "annotations": {"a": "b"}, "unheard-of": [1]},
            descriptor(b"y", annotations={"org.opencontainers.image.ref.name": "other"}),
        ],
        "annotations": {"key": "value"},
        "unheard-of": {"x": 1},
    }
    (made.folder / "index.json").write_text(json.dumps(before))
    made.name([root("new")])
    after = json.loads((made.folder / "index.json").read_bytes())
    assert after["manifests"][:2] == before["manifests"]
    assert {**after, "manifests": []} == {**before, "manifests": []}


def test_a_name_that_is_taken_moves_and_another_repositorys_tag_does_not(tmp_path, store):
    def export(name, made):
        for data in made.blobs.values():
            store.add(data)
        target = Descriptor(MANIFEST_TYPE, Digest(made.digest), len(made.manifest))
        export_archive(Image(name, target, 0, 0), f"{tmp_path}/layout/", source=store)

    other = image({"other": b"1"})
    export("docker.io/library/redis:7", APP)
    export("docker.io/library/postgres:7", APP)
    export("docker.io/library/redis:7", other)
    roots = ImageLayout(tmp_path / "layout").roots()
    assert {each.name: each.target.digest for each in roots} == {
        "docker.io/library/redis:7": other.digest,
        "docker.io/library/postgres:7": APP.digest,
    }


def test_the_same_again_changes_nothing(made):
    made.name([root("a"), root("b")])
    before = (made.folder / "index.json").stat()
    made.name([root("b"), root("a")])
    after = (made.folder / "index.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_an_entry_without_a_name_is_there_once(made):
    for _ in range(2):
        made.name([Root(None, TARGET)])
    assert len(entries(made.folder)) == 1


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"manifests": 7}', b'{"manifests": ["x"]}', b"[" * 100_000]
)
def test_an_index_that_is_none_is_neither_read_nor_replaced(made, data):
    (made.folder / "index.json").write_bytes(data)
    with pytest.raises(InvalidArchive):
        made.name([root("new")])
    assert (made.folder / "index.json").read_bytes() == data


def test_a_layout_of_another_version_is_not_written_to(made):
    (made.folder / "oci-layout").write_bytes(b'{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(InvalidArchive):
        made.make()


def add(made, data, name=None):
    blob = Descriptor("text/plain", Digest(name or digest(data)), len(data))
    steps = []
    with VerifiedCopy() as copier:
        made.add(blob, io.BytesIO(data), copier, steps.append)
    return made.folder / path_of(blob.digest), [type(step).__name__ for step in steps]


def test_a_blob_that_is_there_is_left_as_it_is(made):
    path, _ = add(made, b"blob")
    before = path.stat()
    path, steps = add(made, b"blob")
    assert path.stat() == before
    assert steps == ["Found"]
    assert path.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("bad", [b"blub", b"", b"blobs"])
def test_a_wrong_blob_is_replaced(made, bad):
    path, _ = add(made, b"blob")
    path.chmod(0o644)
    path.write_bytes(bad)
    _, steps = add(made, b"blob")
    assert path.read_bytes() == b"blob"
    assert steps[-1] == "Done"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_somewhere_else_is_not_written_through(made, tmp_path):
    path, _ = add(made, b"blob")
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    path.unlink()
    path.symlink_to(outside)
    add(made, b"blob")
    assert outside.read_bytes() == b"mine"
    assert path.read_bytes() == b"blob"
    assert not path.is_symlink()


def test_a_layout_that_skopeo_began_is_gone_on_with(tmp_path, store):
    folder = tmp_path / "layout"
    folder.mkdir()
    (folder / "oci-layout").write_bytes(LAYOUT)
    (folder / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    for data in APP.blobs.values():
        store.add(data)
    export_archive(TARGET, folder, source=LocalStore(store.root))
    assert [each["digest"] for each in entries(folder)] == [APP.digest]
    assert INDEX_TYPE not in (folder / "index.json").read_text()
