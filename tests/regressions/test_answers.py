"""H22 to H40: locks that others free, files that stay open, and wrong answers."""

import io
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import re2

from lading.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidFilter,
    RefLocked,
    SizeMismatch,
    WriterClosed,
)
from lading.model.digest import Digest
from lading.stores.local.paths import key_of
from lading.stores.local.store import LocalStore
from tests.conformance.samples import ABSENT, HELLO, begin, sample

RIGHT = Digest.of(HELLO)
DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.parametrize("call", ["commit", "labelled commit", "close", "truncate", "sync"])
def test_h22_a_closed_writer_frees_nobody_elses_lock(call, store):
    first = store.writer("r")
    first.close()
    with store.writer("r"):
        match call:
            case "close":
                first.close()
            case "labelled commit":
                with pytest.raises(WriterClosed):
                    first.commit(labels={"a": "b"})
            case _:
                with pytest.raises(WriterClosed):
                    getattr(first, call)()
        with pytest.raises(RefLocked):
            store.writer("r")


def test_h22_a_commit_that_was_asked_wrongly_keeps_its_lock(store):
    with store.writer("r") as writer:
        writer.write(HELLO)
        with pytest.raises(FailedPrecondition):
            writer.commit(labels={"a": "b"})
        with pytest.raises(RefLocked):
            store.writer("r")
        assert writer.commit().digest == RIGHT


def test_h23_no_more_is_copied_from_a_longer_source_than_was_asked_for(store):
    source = io.BytesIO(b"0123456789 and more")
    begin(store, "r", b"01234")
    with store.writer("r") as writer:
        source.seek(writer.offset)
        assert writer.copy_from(source, limit=5) == 5
        assert store.read(writer.commit(size=10).digest) == b"0123456789"
    assert source.tell() == 10


def test_h23_no_more_is_copied_from_a_longer_file_either(store, tmp_path):
    path = tmp_path / "source"
    data = sample(3_000_000)
    path.write_bytes(data)
    begin(store, "r", data[:1000])
    with path.open("rb") as source, store.writer("r") as writer:
        source.seek(1000)
        assert writer.copy_from(source, limit=2_400_000) == 2_400_000
        assert source.tell() == writer.offset == 2_401_000
        assert writer.digest == Digest.of(data[:2_401_000])


def test_h25_a_writer_whose_ingest_is_aborted_hears_of_it_and_its_room_is_free(store, root):
    writer = store.writer("r")
    writer.write(HELLO)
    store.abort("r")
    assert list((root / "ingest").iterdir()) == []
    for call in (lambda: writer.write(b"more"), writer.commit, writer.status):
        with pytest.raises(Aborted):
            call()
    writer.close()
    assert list(store.blobs()) == []
    with store.writer("r") as writer:
        assert writer.offset == 0


@pytest.mark.parametrize("wait", [None, timedelta(0), timedelta(milliseconds=20)])
def test_h27_waiting_for_a_ref_ends_and_says_who_has_it(wait, store):
    with store.writer("r"):
        with pytest.raises(RefLocked) as caught:
            store.writer("r", wait=wait)
        assert f"process {os.getpid()} " in caught.value.holder
        assert os.uname().nodename in str(caught.value)
        assert caught.value.since


def test_h28_of_two_refs_with_the_same_bytes_the_second_finds_the_blob(store):
    with store.writer("a") as first, store.writer("b") as second:
        first.write(HELLO)
        second.write(HELLO)
        blob = first.commit()
        inode = store.path(RIGHT).stat().st_ino
        with pytest.raises(AlreadyExists):
            second.commit()
    assert store.path(RIGHT).stat().st_ino == inode
    assert list(store.blobs()) == [blob]
    assert list(store.ingests()) == []


def test_h29_reading_a_blob_does_not_move_the_time_it_was_updated(store):
    before = store.add(HELLO)
    path = store.path(RIGHT)
    os.utime(path, ns=(before.updated_ns + 10**12, before.updated_ns))  # as a read may leave it
    assert store.read(RIGHT) == HELLO
    assert store.blob(RIGHT) == before
    assert list(store.blobs()) == [before]


@pytest.mark.parametrize("again", [False, True])
def test_h30_a_total_that_becomes_known_is_remembered(again, store):
    begin(store, "r", HELLO[:3])
    with store.writer("r", total=len(HELLO), expected=RIGHT) as writer:
        assert (writer.status().total, writer.status().expected) == (len(HELLO), RIGHT)
    if again:
        store.writer("r").close()
    found = store.ingest("r")
    assert (found.total, found.expected) == (len(HELLO), RIGHT)


def test_h32_more_than_the_total_is_refused_at_once_and_not_at_the_commit(store):
    with store.writer("r", total=9) as writer:
        writer.write(b"12345678")
        with pytest.raises(SizeMismatch):
            writer.write(b"90")
        assert writer.offset == 8
        with pytest.raises(SizeMismatch):
            writer.copy_from(io.BytesIO(b"90"))
        assert writer.offset <= 9


@pytest.mark.slow
@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="nobody lists the open files")
def test_h33_no_call_leaves_a_file_open(store):
    def everything(number):
        data = b"%d" % number
        with store.writer("r", total=100) as writer:
            writer.write(data)
            writer.sync()
            writer.truncate()
        with store.writer("r") as writer, pytest.raises(RefLocked):
            store.writer("r")
        store.abort("r")
        with store.writer("r") as writer:
            writer.write(data)
            with pytest.raises(FailedPrecondition):
                writer.commit(expected=ABSENT)
            writer.commit()
        store.add(data)
        with pytest.raises(AlreadyExists):
            store.writer("r", expected=Digest.of(data))
        with store.batch() as batch:
            batch.add(data)
            batch.add(data * 2)
        with store.open(Digest.of(data)) as file:
            file.read()
        assert list(store.blobs())
        assert list(store.ingests()) == []
        store.delete(Digest.of(data))

    for number in range(10):  # what is opened once and kept is open then, a spare folder too
        everything(number)
    before = sorted(path.name for path in DESCRIPTORS.iterdir())
    for number in range(10):
        everything(number)
    assert len(list(DESCRIPTORS.iterdir())) == len(before)


def test_h37_a_store_that_keeps_no_labels_takes_none(store):
    store.add(HELLO)
    for call in (
        lambda: store.label(RIGHT, {"k": "v" * 5000}),
        lambda: store.add(HELLO, labels={"k": "v"}),
    ):
        with pytest.raises(FailedPrecondition):
            call()


def test_h39_a_listing_loads_nothing_before_it_is_asked(store):
    with store.batch() as batch:
        digests = {batch.add(b"%d" % number) for number in range(20)}
    listing = store.blobs()
    assert isinstance(listing, Iterator)
    first = next(listing).digest
    for digest in digests - {first}:
        store.delete(digest)
    assert list(listing) == []


@pytest.mark.slow
def test_h39_a_listing_of_ingests_loads_nothing_before_it_is_asked(store):
    for number in range(20):
        begin(store, f"r{number}", HELLO)
    listing = store.ingests()
    first = next(listing).ref
    for number in range(20):
        if first != f"r{number}":
            store.abort(f"r{number}")
    assert list(listing) == []


@pytest.mark.parametrize("listing", ["blobs", "ingests"])
@pytest.mark.parametrize("text", ['digest~="("', "ref~=/[/", "size~=x{9999}"])
def test_h40_a_bad_expression_is_an_error_and_not_silence(listing, text, store):
    with pytest.raises(InvalidFilter):
        getattr(store, listing)(text)


def test_h40_an_expression_is_compiled_once_and_not_for_each_blob(store, monkeypatch):
    compiled = []
    compile_ = re2.compile

    def counting(pattern, *options):
        compiled.append(pattern)
        return compile_(pattern, *options)

    monkeypatch.setattr(re2, "compile", counting)
    with store.batch() as batch:
        for number in range(20):
            batch.add(b"%d" % number)
    assert len(list(store.blobs("digest~=^sha256:"))) == 20
    assert len(compiled) == 1


def test_h1_and_h30_what_is_remembered_is_written_as_containerd_writes_it(store, root):
    begin(store, "r", HELLO)
    store.writer("r", total=100).close()
    folder = root / "ingest" / key_of("r")
    assert (folder / "total").read_bytes() == b"100"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"
    for name in ("startedat", "updatedat"):
        assert re.fullmatch(time, (folder / name).read_text())
    assert LocalStore(root).ingest("r").total == 100
