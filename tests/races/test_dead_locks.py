"""Locks that keep nobody out. Writers may then fail, and may not make a blob that is wrong."""

import errno
import os
import types
from contextlib import suppress

import pytest

from lading.errors import Aborted, Error, WriterClosed
from lading.model.digest import Digest
from lading.stores.local import locks
from lading.stores.local.store import LocalStore
from tests.kills.child import chance

SIZE = 3000


def nothing(file, operation):
    """A lock that is always had."""


def refusal(code):
    def flock(file, operation):
        raise OSError(code, os.strerror(code))

    return flock


DEAD = {
    "does-nothing": nothing,
    "no-locks-left": refusal(errno.ENOLCK),
    "not-implemented": refusal(errno.ENOSYS),
    "not-supported": refusal(errno.EOPNOTSUPP),
}


@pytest.fixture(params=DEAD.values(), ids=DEAD)
def store(request, tmp_path, monkeypatch):
    """A store on a file system whose locks are dead."""
    real = locks.fcntl
    names = {name: getattr(real, name) for name in dir(real) if name.startswith("LOCK_")}
    monkeypatch.setattr(locks, "fcntl", types.SimpleNamespace(**names, flock=request.param))
    return LocalStore(tmp_path / "root")


def assert_all_is_right(store):
    for blob in store.blobs():
        data = store.read(blob.digest)
        assert Digest.of(data) == blob.digest
        assert len(data) == blob.size


def close(writer):
    # It may complain that another has cut its file short. It lets go all the same.
    with suppress(Error):
        writer.close()


def test_one_writer_alone_works_as_ever(store):
    with store.writer("r") as writer:
        writer.write(b"abc")
    with store.writer("r") as writer:
        assert writer.offset == 3
        writer.write(b"def")
        assert store.read(writer.commit().digest) == b"abcdef"
    assert list(store.ingests()) == []


def test_a_blob_does_not_change_when_another_writer_of_its_ref_goes_on(store):
    first, second = store.writer("r"), store.writer("r")
    first.write(b"a" * SIZE)
    digest = first.commit(expected=Digest.of(b"a" * SIZE)).digest
    assert store.read(digest) == b"a" * SIZE
    for call in (lambda: second.write(b"b" * SIZE), second.truncate, second.sync, second.commit):
        with suppress(Error):
            call()
        assert store.read(digest) == b"a" * SIZE
    second.close()
    assert store.read(digest) == b"a" * SIZE
    assert_all_is_right(store)


def test_bytes_that_another_writer_wrote_over_are_not_committed(store):
    first, second = store.writer("r"), store.writer("r")
    first.write(b"a" * SIZE)
    assert first.digest == Digest.of(b"a" * SIZE)  # and now they are hashed
    second.write(b"b" * SIZE)
    with pytest.raises(Error):
        first.commit()
    assert list(store.blobs()) == []
    first.close()
    second.close()


def test_bytes_that_another_writer_cut_off_are_not_committed(store):
    first, second = store.writer("r"), store.writer("r")
    first.write(b"a" * SIZE)
    assert first.digest == Digest.of(b"a" * SIZE)
    second.truncate()
    with pytest.raises(Error):
        first.commit()
    assert list(store.blobs()) == []
    first.close()
    second.close()


DEEDS = {
    "truncate": lambda writer, choose: writer.truncate(),
    "sync": lambda writer, choose: writer.sync(),
    "close": lambda writer, choose: writer.close(),
    "commit": lambda writer, choose: writer.commit(),
    "digest": lambda writer, choose: writer.digest,
    "write": lambda writer, choose: writer.write(choose.randbytes(choose.randint(1, SIZE))),
}
OFTEN = [*DEEDS, "commit", *["write"] * 6]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_whatever_two_writers_of_one_ref_do_every_blob_is_right(seed, store):
    choose, done = chance("dead", seed), []
    writers = [store.writer("r"), store.writer("r")]
    for _ in range(150):
        place, deed = choose.randint(0, 1), choose.choice(OFTEN)
        try:
            DEEDS[deed](writers[place], choose)
            done.append(deed)
        except WriterClosed:
            writers[place] = store.writer("r")
        except Error:
            # It learned that it is not alone. It goes on regardless, or lets go.
            if choose.random() < 0.5:
                close(writers[place])
        assert_all_is_right(store)
    for writer in writers:
        close(writer)
    assert set(done) == set(DEEDS)
    assert_all_is_right(store)


@pytest.mark.parametrize("number", range(2))
def test_an_abort_under_two_writers_keeps_both_from_publishing(number, store):
    writers = [store.writer("r"), store.writer("r")]
    writers[number].write(b"a" * SIZE)
    store.abort("r")
    for writer in writers:
        with pytest.raises(Aborted):
            writer.commit()
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []


def test_where_the_file_system_is_not_this_machines_a_lock_is_not_relied_on(tmp_path, monkeypatch):
    monkeypatch.setattr("lading.stores.local.ownership.file_system", lambda path: "nfs4")
    store = LocalStore(tmp_path / "root")
    with store.writer("r") as writer:
        writer.write(b"a" * SIZE)
        # What another machine would hold, which our lock does not keep out.
        with next((tmp_path / "root" / "ingest").glob("*/data")).open("r+b") as elsewhere:
            digest = writer.commit().digest
            elsewhere.write(b"b" * SIZE)
    assert store.read(digest) == b"a" * SIZE
