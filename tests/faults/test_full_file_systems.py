"""P9 on real file systems that fill up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lading.content.transfer import ingest, verify
from lading.errors import ResourceExhausted
from lading.model.digest import Digest
from lading.stores.local.paths import DATA, StorePaths
from lading.stores.local.store import LocalStore
from tests.conformance.samples import sample

pytestmark = pytest.mark.slow

MIB, BLOCK = 1 << 20, 1 << 10
FIRST, SECOND = sample(3 * MIB, "first"), sample(4 * MIB, "second")


def free_in(place):
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def fill(place, *, leave):
    """Take room until at most `leave` bytes are left, with a file that can be removed."""
    step, size = MIB, 0
    with (place / "filler").open("wb") as filler:
        while step >= BLOCK:
            if free_in(place) - leave < step:
                step //= 2
                continue
            try:
                os.posix_fallocate(filler.fileno(), size, step)
            except OSError:
                step //= 2  # the file system needs some for itself
            else:
                size += step
    return place / "filler"


def write_in_pieces(writer, data):
    for start in range(0, len(data), 100_000):
        writer.write(data[start : start + 100_000])


def write_past_the_end(writer, data):
    with pytest.raises(ResourceExhausted) as caught:
        write_in_pieces(writer, data)
    return caught.value


def add_together(store, pieces):
    with store.batch() as batch:
        return [batch.add(piece) for piece in pieces]


def test_an_ingest_that_fills_the_disk_goes_on_when_there_is_room(small):
    store = LocalStore(small / "store")
    blob = store.add(FIRST)
    fill(small, leave=2 * MIB)
    data = StorePaths(store.root).ingest("r") / DATA
    with store.writer("r") as writer:
        error = write_past_the_end(writer, SECOND)
        offset = writer.offset
        assert 0 < offset < len(SECOND)
        assert (error.ref, error.offset) == ("r", offset)
        assert data.stat().st_size == offset == store.ingest("r").offset
        assert writer.digest == Digest.of(SECOND[:offset])
        assert write_past_the_end(writer, SECOND[offset:]).offset == writer.offset
        offset = writer.offset
        store.delete(blob.digest)  # makes room, under the open writer
        writer.write(SECOND[offset : offset + MIB])
        offset += MIB
    with LocalStore(small / "store").writer("r") as writer:
        assert writer.offset == offset
        writer.write(SECOND[offset:])
        made = writer.commit(expected=Digest.of(SECOND), size=len(SECOND))
    verify(store, made.digest)
    assert store.read(made.digest) == SECOND


def test_a_total_that_does_not_fit_is_refused_before_the_first_byte(small):
    store = LocalStore(small / "store")
    store.add(FIRST)
    filler = fill(small, leave=2 * MIB)
    before = free_in(small)
    with pytest.raises(ResourceExhausted) as caught:
        store.writer("r", total=len(SECOND))
    assert caught.value.offset == 0
    assert caught.value.needed == len(SECOND)
    assert before - free_in(small) < 64 << 10
    filler.unlink()
    made = ingest(store, "r", SECOND, total=len(SECOND))
    assert store.read(made.digest) == SECOND


def test_a_total_that_does_not_fit_after_a_resume_leaves_what_was_written(small):
    store = LocalStore(small / "store")
    with store.writer("r") as writer:
        writer.write(SECOND[:MIB])
    filler = fill(small, leave=2 * MIB)
    with pytest.raises(ResourceExhausted) as caught:
        store.writer("r", total=len(SECOND))
    assert caught.value.offset == MIB
    assert store.ingest("r").offset == MIB
    filler.unlink()
    with store.writer("r", total=len(SECOND)) as writer:
        assert writer.offset == MIB
        writer.write(SECOND[MIB:])
        writer.commit(expected=Digest.of(SECOND))
    assert store.read(Digest.of(SECOND)) == SECOND


def test_adding_to_a_full_disk_leaves_nothing_behind(small):
    store = LocalStore(small / "store")
    store.add(b"there before")
    filler = fill(small, leave=2 * MIB)
    before = free_in(small)
    with pytest.raises(ResourceExhausted):
        store.add(SECOND)
    assert [blob.size for blob in store.blobs()] == [len(b"there before")]
    assert list(store.strays()) == []
    assert before - free_in(small) < 64 << 10
    filler.unlink()
    assert store.read(store.add(SECOND).digest) == SECOND


def test_a_batch_on_a_full_disk_leaves_nothing_behind(small):
    store = LocalStore(small / "store")
    store.add(b"there before")
    filler = fill(small, leave=MIB)
    pieces = [sample(100_000, f"piece {place}") for place in range(20)]
    before = free_in(small)
    with pytest.raises(ResourceExhausted):
        add_together(store, pieces)
    assert [blob.size for blob in store.blobs()] == [len(b"there before")]
    assert list(store.strays()) == []
    assert before - free_in(small) < 64 << 10
    filler.unlink()
    digests = add_together(store, pieces)
    assert [store.read(digest) for digest in digests] == pieces


def test_a_full_disk_takes_no_ref_and_no_lock_away(small):
    store = LocalStore(small / "store")
    with store.writer("r") as writer:
        writer.write(SECOND[:100_000])
    filler = fill(small, leave=0)
    for _ in range(3):
        with pytest.raises(ResourceExhausted):
            store.writer("new").write(FIRST)
    assert store.ingest("r").offset == 100_000
    filler.unlink()
    with store.writer("r") as writer:
        writer.write(SECOND[100_000:])
        writer.commit(expected=Digest.of(SECOND))
    with store.writer("new") as writer:
        writer.truncate()
        writer.write(FIRST[:MIB])
        writer.commit(expected=Digest.of(FIRST[:MIB]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root mounts for itself, above")
def test_who_is_not_root_mounts_in_a_namespace_of_his_own():
    unshare = shutil.which("unshare")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "tmpfs",
        __file__,
    ]
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [unshare, "-Urm", *words],
        check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout, done.stdout
