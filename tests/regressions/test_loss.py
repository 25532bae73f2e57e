"""H1 to H11: lost, wrong and poisoned bytes."""

import contextlib
import fcntl

import pytest

from lading.content.transfer import ingest, verify
from lading.errors import (
    DataLoss,
    DigestMismatch,
    Error,
    ForeignRoot,
    IngestMismatch,
    InvalidDigest,
    NotFound,
)
from lading.model.digest import Digest
from lading.stores.local.paths import key_of
from lading.stores.local.store import LocalStore
from tests.conformance.samples import HELLO, begin, sample

RIGHT = Digest.of(HELLO)
LEFT, HALF = b"a" * 100, b"b" * 50


def assert_all_is_right(store):
    for blob in store.blobs():
        assert Digest.of(store.read(blob.digest)) == blob.digest


def test_h1_a_ref_begun_with_another_total_is_refused_and_keeps_its_bytes(store):
    with store.writer("r", total=100) as writer:
        writer.write(LEFT)
    with pytest.raises(IngestMismatch):
        store.writer("r", total=50)
    assert store.ingest("r").offset == 100


@pytest.mark.parametrize("sidecar", ["startedat", "updatedat", "total", "expected", "checkpoint"])
@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"no"], ids=["empty", "bytes", "words"])
def test_h1_an_unreadable_sidecar_never_puts_old_bytes_behind_new_ones(sidecar, junk, store, root):
    with store.writer("r", total=len(LEFT) + len(HALF)) as writer:
        writer.write(LEFT)
    (root / "ingest" / key_of("r") / sidecar).write_bytes(junk)
    with store.writer("r") as writer:
        kept = LEFT[: writer.offset]
        assert writer.digest == Digest.of(kept)
        writer.write(HALF)
        digest = writer.commit(size=len(kept) + len(HALF)).digest
    assert digest == Digest.of(kept + HALF)
    assert_all_is_right(store)


@pytest.mark.parametrize("junk", [b"", b"another", b"\xff"])
def test_h1_an_ingest_whose_ref_is_unreadable_begins_anew_and_empty(junk, store, root):
    begin(store, "r", LEFT)
    (root / "ingest" / key_of("r") / "ref").write_bytes(junk)
    assert list(store.ingests()) == []
    with store.writer("r") as writer:
        assert writer.offset == 0
        writer.write(HALF)
        assert store.read(writer.commit().digest) == HALF


def test_h2_an_interrupted_transfer_of_other_bytes_does_not_get_into_the_next(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(sample(1000, "b"))
    begin(store, "index.json", sample(1000, "a")[:600])
    with source.open("rb") as file:
        digest = ingest(store, "index.json", file).digest
    assert digest == Digest.of(sample(1000, "b"))
    assert [blob.digest for blob in store.blobs()] == [digest]
    assert_all_is_right(store)


@pytest.mark.parametrize("bad", [b"x" * 5, b"x" * len(HELLO)], ids=["part", "whole"])
def test_h3_a_poisoned_ingest_heals_with_the_next_honest_try(bad, store, tmp_path):
    begin(store, "r", bad)
    source = tmp_path / "source"
    source.write_bytes(HELLO)
    with source.open("rb") as file:
        assert ingest(store, "r", file, expected=RIGHT).digest == RIGHT
    assert store.read(RIGHT) == HELLO


def test_h3_a_poisoned_ingest_can_be_emptied_under_its_lock_or_aborted(store):
    begin(store, "r", b"x" * len(HELLO))
    with store.writer("r") as writer:
        with pytest.raises(DigestMismatch):
            writer.commit(expected=RIGHT)
        writer.truncate()
        writer.write(HELLO)
        assert writer.commit(expected=RIGHT).digest == RIGHT
    begin(store, "r", b"x")
    store.abort("r")
    assert list(store.ingests()) == []


@pytest.mark.parametrize(
    "text",
    ["", ":", "sha256:", "sha256", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "md5:" + "a" * 32,
     "sha256:" + "a" * 63, "sha512:" + "a" * 64, ":" + "a" * 64, "sha256:" + "../" * 22],
)  # fmt: skip
def test_h5_a_bad_digest_cannot_be_made(text):
    with pytest.raises(InvalidDigest):
        Digest(text)


@pytest.mark.parametrize("name", ["junk", "a" * 63, "A" * 64, "a" * 65, ".tmp", "a" * 64])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_h6_a_stray_in_the_folder_of_blobs_stops_no_listing(name, kind, store, root):
    store.add(HELLO)
    stray = root / "blobs" / "sha256" / name
    match kind:
        case "file":
            stray.write_bytes(b"stray")
        case "folder":
            stray.mkdir()
        case "link":
            stray.symlink_to(store.path(RIGHT))
    # A file under the name of a digest is a blob, if a bad one. Nothing else is.
    is_blob = kind == "file" and name == "a" * 64
    found = {blob.digest for blob in store.blobs()}
    assert found == {RIGHT} | ({Digest(f"sha256:{name}")} if is_blob else set())
    assert ([path for path, _ in store.strays()] == [stray]) is not is_blob
    store.delete(RIGHT)
    assert RIGHT not in store


def test_h7_a_store_without_a_blob_lists_and_aborts_its_ingests(store, root):
    (root / "ingest").mkdir(parents=True)
    assert list(store.blobs()) == []
    begin(store, "r", HELLO)
    assert [ingest.ref for ingest in store.ingests()] == ["r"]
    store.abort("r")
    assert list(store.ingests()) == []


def damage(store):
    path = store.path(RIGHT)
    path.chmod(0o644)
    path.write_bytes(b"x" * len(HELLO))


def test_h9_a_corrupt_blob_is_found(store):
    store.add(HELLO)
    damage(store)
    with pytest.raises(DataLoss):
        verify(store, RIGHT)


@pytest.mark.parametrize("way", ["add", "batch", "commit"])
def test_h9_writing_the_right_bytes_again_heals_a_corrupt_blob(way, store):
    store.add(HELLO)
    damage(store)
    match way:
        case "add":
            store.add(HELLO)
        case "batch":
            with store.batch() as batch:
                batch.add(HELLO)
        case "commit":
            with store.writer("r") as writer:
                writer.write(HELLO)
                writer.commit(expected=RIGHT)
    assert verify(store, RIGHT).size == len(HELLO)
    assert store.read(RIGHT) == HELLO
    assert list(store.ingests()) == []


def test_h9_whoever_reads_a_corrupt_blob_while_it_is_healed_reads_on_in_one_file(store):
    store.add(HELLO)
    damage(store)
    with store.open(RIGHT) as before:
        store.add(HELLO)
        assert before.read() == b"x" * len(HELLO)
    assert store.read(RIGHT) == HELLO


@pytest.mark.parametrize("live", [False, True])
def test_h11_a_root_that_is_containerds_is_read_and_never_written(live, tmp_path):
    root = tmp_path / "io.containerd.content.v1.content"
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / "blobs" / "sha256" / RIGHT.hex).write_bytes(HELLO)
    database = tmp_path / "io.containerd.metadata.v1.bolt" / "meta.db"
    database.parent.mkdir()
    database.touch()
    store = LocalStore(root)
    with database.open() as file, contextlib.ExitStack() as after:
        if live:
            fcntl.flock(file, fcntl.LOCK_EX)
            after.callback(fcntl.flock, file, fcntl.LOCK_UN)
        assert store.read(RIGHT) == HELLO
        for call in (
            lambda: store.add(b"more"),
            lambda: store.writer("r"),
            lambda: store.delete(RIGHT),
            store.batch,
        ):
            with pytest.raises(ForeignRoot) as caught:
                call()
            assert isinstance(caught.value, Error)
    assert sorted(path.name for path in root.rglob("*")) == sorted(["blobs", "sha256", RIGHT.hex])
    with pytest.raises(NotFound):
        store.abort("r")
