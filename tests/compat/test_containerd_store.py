"""containerd's own local store on a root of ours, and ours on a root of containerd's.

The other side is a small Go program, `containerd/main.go`, built on containerd's sources as
Debian packages them. Each side goes on where the other stopped; only one runs at a time.
"""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lading import Aborted, Digest, LocalStore, NotFound, RefLocked, ingest, verify
from tests.support.peers import GO_PATH, peer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("containerd")]

PROGRAM = Path(__file__).parent / "containerd" / "main.go"
MIB = 1 << 20
HALF = bytes(range(251)) * 4_000  # a megabyte that repeats at no power of two
REST = HALF[::-1][:700_001]
WHOLE = HALF + REST
LONG = HALF * 20  # long enough for the hash's state to be written down on the way
REFS = ["layer", "sha256:" + "0" * 64, "../../etc/passwd", "näme/ with\nnewline", "x" * 4_096]


class Containerd:
    """containerd's store, one process a call."""

    def __init__(self, program):
        self._program = program

    def __call__(self, command, *arguments, data=b""):
        run = subprocess.run(
            [self._program, command, *map(str, arguments)],
            input=data,
            capture_output=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr.decode()
        # A complaint that does not fail the call (a bad name under blobs) is one all the same.
        assert run.stderr == b""
        return json.loads(run.stdout)

    def blobs(self, root):
        """Every blob by its digest, after containerd read and verified it."""
        blobs = {blob["digest"]: blob for blob in self("walk", root)}
        assert [blob for blob in blobs.values() if not blob["matches"]] == []
        assert [blob for blob in blobs.values() if blob["size"] != blob["read_size"]] == []
        return blobs

    def ingests(self, root):
        return {found["ref"]: found for found in self("statuses", root)}

    def write(self, root, ref, data, *flags):
        return self("write", *flags, root, ref, data=data)


@pytest.fixture(scope="session")
def containerd(tmp_path_factory, pytestconfig):
    peer("containerd's sources")
    program = tmp_path_factory.mktemp("containerd") / "contentroot"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOCACHE": str(pytestconfig.cache.mkdir("go-build")),
        "GOFLAGS": "",
        "GOPATH": str(GO_PATH),
    }
    build = [peer("go"), "build", "-o", program, PROGRAM]
    subprocess.run(build, check=True, env=environment)
    return Containerd(program)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def store(root):
    return LocalStore(root)


def begin(store, ref, data, **known):
    with store.writer(ref, **known) as writer:
        writer.write(data)
        return writer.status()


DIE = """
import os, sys
from lading import LocalStore
writer = LocalStore(sys.argv[1]).writer(sys.argv[2])
writer.write(sys.stdin.buffer.read())
writer.digest
os.kill(os.getpid(), 9)
"""


def die_while_writing(root, ref, data):
    command = [sys.executable, "-c", DIE, root, ref]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run(command, input=data, env=environment, check=False)
    assert died.returncode == -signal.SIGKILL


def test_containerd_reads_and_verifies_every_blob_we_wrote(containerd, store, root, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(WHOLE)
    written = {store.add(data).digest: len(data) for data in (b"", b"a", b"b" * 4_097)}
    with store.batch() as batch:
        written |= {batch.add(b"%d" % n): 1 for n in range(10)}
    for source in (file, iter([HALF, REST, HALF])):
        blob = ingest(store, "large", source)
        written[blob.digest] = blob.size
    sha512 = Digest.of(HALF, "sha512")
    written[ingest(store, "other", iter([HALF]), expected=sha512).digest] = len(HALF)

    found = containerd.blobs(root)

    assert {digest: blob["size"] for digest, blob in found.items()} == written
    assert all(store.blob(Digest(d)).created_ns == blob["created_ns"] for d, blob in found.items())


@pytest.mark.parametrize("ref", REFS, ids=range(len(REFS)))
def test_containerd_sees_our_open_ingest_as_we_see_it(containerd, store, root, ref):
    begin(store, ref, HALF, total=len(WHOLE), expected=Digest.of(WHOLE))
    ours = store.ingest(ref)

    theirs = containerd.ingests(root)

    assert set(theirs) == {ref}
    assert theirs[ref]["offset"] == ours.offset == len(HALF)
    assert theirs[ref]["total"] == ours.total == len(WHOLE)
    assert theirs[ref]["started_ns"] == ours.started_ns
    assert theirs[ref]["updated_ns"] == ours.updated_ns


def test_containerd_sees_an_ingest_whose_writer_is_still_open(containerd, store, root):
    with store.writer("open") as writer:
        writer.write(HALF)
        writer.sync()
        assert containerd.ingests(root)["open"]["offset"] == len(HALF)
        assert containerd.ingests(root)["open"]["total"] == 0


def test_containerd_resumes_our_ingest_and_commits_it(containerd, store, root):
    begun = begin(store, "layer", HALF, total=len(WHOLE), expected=Digest.of(WHOLE))

    result = containerd.write(root, "layer", REST, "-commit", "-expected", Digest.of(WHOLE))

    assert result["resumed"]["offset"] == len(HALF)
    assert result["resumed"]["total"] == len(WHOLE)
    assert result["resumed"]["started_ns"] == begun.started_ns
    assert result["digest_before"] == Digest.of(HALF)
    assert store.read(Digest.of(WHOLE)) == WHOLE
    assert list(store.ingests()) == []
    with store.writer("layer") as writer:
        assert writer.offset == 0


def test_we_read_a_root_that_containerd_wrote(containerd, store, root):
    for number in range(5):
        data = HALF[number:]
        containerd.write(root, f"ref-{number}", data, "-commit")
        blob = verify(store, Digest.of(data))
        assert blob.size == len(data)
        assert store.read(blob.digest) == data
    theirs = containerd.blobs(root)
    assert {blob.digest: blob.created_ns for blob in store.blobs()} == {
        digest: blob["created_ns"] for digest, blob in theirs.items()
    }


def test_a_store_that_containerd_only_opened_is_empty_and_ours_to_use(containerd, store, root):
    containerd("statuses", root)
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []
    assert store.add(b"first").digest in containerd.blobs(root)


@pytest.mark.parametrize("ref", REFS, ids=range(len(REFS)))
def test_we_resume_the_ingest_that_containerd_began(containerd, store, root, ref):
    containerd.write(root, ref, HALF, "-total", len(WHOLE))
    theirs = containerd.ingests(root)[ref]
    ours = store.ingest(ref)
    assert (ours.offset, ours.total, ours.expected) == (len(HALF), len(WHOLE), None)
    assert (ours.started_ns, ours.updated_ns) == (theirs["started_ns"], theirs["updated_ns"])

    with store.writer(ref) as writer:
        assert writer.offset == len(HALF)
        assert writer.digest == Digest.of(HALF)
        assert writer.status().started_ns == theirs["started_ns"]
        writer.write(REST)
        blob = writer.commit(expected=Digest.of(WHOLE))

    assert blob.size == len(WHOLE)
    assert set(containerd.blobs(root)) == {blob.digest}
    assert containerd.ingests(root) == {}


def test_an_ingest_goes_back_and_forth_until_it_is_whole(containerd, store, root):
    size = len(WHOLE)
    parts = [WHOLE[at : at + size // 6 + 1] for at in range(0, size, size // 6 + 1)]
    sent = b""
    for number, part in enumerate(parts):
        if number % 2:
            assert containerd.write(root, "layer", part)["digest_before"] == Digest.of(sent)
        else:
            with store.writer("layer") as writer:
                assert (writer.offset, writer.digest) == (len(sent), Digest.of(sent))
                writer.write(part)
        sent += part
    with store.writer("layer") as writer:
        assert writer.commit().digest == Digest.of(WHOLE)


REPLACED = [
    *(("closed, closed", size) for size in (0, 1, len(LONG) - 1, len(LONG), len(LONG) + 1)),
    *(("closed, died", size) for size in (0, 1, len(LONG) - 1, len(LONG), len(LONG) + 1)),
    *(("died, closed", size) for size in (0, 1, len(LONG) - 1, len(LONG), len(LONG) + 1)),
    *(("died, died", size) for size in (0, 1, len(LONG), len(LONG) + 1)),
]


@pytest.mark.parametrize(("ends", "size"), REPLACED)
def test_what_we_remember_of_bytes_that_containerd_replaced_counts_for_nothing(
    containerd, store, root, ends, size
):
    ours, theirs = ends.split(", ")
    if ours == "died":
        die_while_writing(root, "layer", LONG)
    else:
        begin(store, "layer", LONG)
    other = bytes(size)
    flags = ["-truncate", "-die"] if theirs == "died" else ["-truncate"]
    assert containerd.write(root, "layer", other, *flags)["resumed"]["offset"] == len(LONG)

    with store.writer("layer") as writer:
        # What nobody closed may be given up; what is kept must be what it is said to be.
        assert writer.offset in {0, size}
        kept = other[: writer.offset]
        assert writer.digest == Digest.of(kept)
        writer.write(REST)
        digest = writer.commit().digest

    assert digest == Digest.of(kept + REST)
    assert store.read(digest) == kept + REST


def test_our_writer_cannot_publish_what_containerd_aborted(containerd, store, root):
    with store.writer("layer") as writer:
        writer.write(HALF)
        containerd("abort", root, "layer")
        with pytest.raises(Aborted):
            writer.commit()
    assert list(store.blobs()) == []
    with pytest.raises(NotFound):
        store.ingest("layer")


def test_what_we_abort_and_delete_is_gone_for_containerd(containerd, store, root):
    begin(store, "layer", HALF)
    digest = store.add(b"small").digest
    store.abort("layer")
    store.delete(digest)
    assert containerd.ingests(root) == {}
    assert containerd.blobs(root) == {}


def test_what_containerd_deletes_is_gone_for_us_and_can_be_added_again(containerd, store, root):
    digest = store.add(b"small").digest
    containerd("delete", root, digest)
    with pytest.raises(NotFound):
        store.blob(digest)
    assert store.add(b"small").digest == digest
    assert set(containerd.blobs(root)) == {digest}


def test_a_blob_has_the_mode_that_containerd_gives_it(containerd, store, root):
    containerd.write(root, "theirs", b"theirs", "-commit")
    ours = store.path(store.add(b"ours").digest)
    theirs = store.path(Digest.of(b"theirs"))
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(theirs.stat().st_mode) == 0o444


def test_containerd_holding_a_root_does_not_hold_its_refs(containerd, store, root):
    containerd.write(root, "layer", HALF)
    with store.writer("layer") as writer:
        assert writer.offset == len(HALF)
        with pytest.raises(RefLocked):
            LocalStore(root).writer("layer")
