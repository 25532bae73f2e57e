"""The checkpoint: its marks, its slots, and what is believed of a partial."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.model import hashing
from lading.model.digest import ALGORITHMS, Digest
from lading.stores.local import checkpoint
from lading.stores.local.checkpoint import LIVE, SLOT, Checkpoint, Mark, parsed, resumption, tail_of
from lading.stores.local.disk import Disk

NOW, EARLIER, LATER = "2026-01-02T03:04:05.6Z", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"
BOOT, OTHER_BOOT = "boot-1", "boot-0"
CLOSED_NS = 1_700_000_000_000_000_000


def mark(offset, **facts):
    known = {
        "algorithm": "sha256",
        "state": bytes(32),
        "boot": BOOT,
        "updated": NOW,
        "durable": False,
        "tail": "1" * 64,
    }
    return Mark(offset, **{**known, **facts})


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40)
marks = st.builds(
    Mark,
    offset=st.integers(0, 1 << 60),
    algorithm=st.sampled_from(ALGORITHMS),
    state=st.none() | st.binary(min_size=1, max_size=192),
    boot=words,
    updated=words | st.just(""),
    durable=st.booleans(),
    tail=words,
    mtime_ns=st.integers(0, 1 << 62),
)


# One mark


@settings(max_examples=50)
@given(marks)
def test_a_mark_is_read_as_it_was_written_and_fits_its_slot(one):
    line = one.line()
    assert len(line) <= SLOT
    assert parsed(line.ljust(SLOT, b"\0")) == one
    assert parsed(line + b"what a longer mark has left\n") == one


@settings(max_examples=50)
@given(marks, st.data())
def test_a_mark_that_is_torn_or_changed_anywhere_is_none(one, data):
    line = one.line()
    place = data.draw(st.integers(0, len(line) - 2))
    assert parsed(line[:place]) is None
    assert parsed(line[:place].ljust(SLOT, b"\0")) is None
    changed = bytearray(line)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert parsed(bytes(changed)) is None


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_junk_is_no_mark(junk):
    assert parsed(junk) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lading-checkpoint", "somebody-else"),
        (" 1 live", " 2 live"),
        ("sha256", "md5"),
        (" 7 ", " -7 "),
        (" 7 ", " x "),
        (" 7 ", " "),
        (" 7 ", " 7 7 "),
        (bytes(32).hex(), "zz"),
    ],
)
def test_a_whole_line_that_says_something_else_is_no_mark(old, new):
    text = mark(7).line().rpartition(b" ")[0].decode()
    assert text.count(old) >= 1
    changed = text.replace(old, new, 1).encode()
    checksum = Digest.of(changed).hex.encode()
    assert parsed(changed + b" " + checksum + b"\n") is None


def test_a_mark_at_zero_needs_no_state_and_one_further_on_does():
    assert mark(0, state=None).hasher().digest() == Digest.of(b"")
    assert mark(7, state=None).hasher() is None
    assert mark(7, state=b"short").hasher() is None


@pytest.mark.skipif(hashing.why_not_saved() is not None, reason="no state can be saved")
def test_the_hash_of_a_mark_goes_on_from_there():
    hasher = hashing.hasher("sha512")
    hasher.update(b"abc")
    again = mark(3, algorithm="sha512", state=hasher.save()).hasher()
    again.update(b"def")
    assert again.digest() == Digest.of(b"abcdef", "sha512")


# What is believed. Each line: the marks, the facts, what is kept, where hashing goes on.

RULES = {
    "nothing is known, and it was not closed": ([], {}, 0, None),
    "nothing is known, and it was closed": ([], {"closed": True}, 100, None),
    "the mark is of an earlier closing": ([mark(50, updated=EARLIER)], {}, 0, None),
    "the mark is of a later closing": ([mark(50, updated=LATER)], {}, 0, None),
    "the mark is of an earlier closing, and it was closed since": (
        [mark(50, updated=EARLIER)],
        {"closed": True},
        100,
        None,
    ),
    "a live mark of this boot": ([mark(50)], {}, 100, 50),
    "a durable mark of this boot": ([mark(50, durable=True)], {}, 100, 50),
    "the furthest mark of this boot": (
        [mark(20, durable=True), mark(50), mark(40, durable=True)],
        {},
        100,
        50,
    ),
    "a mark at the end": ([mark(100)], {}, 100, 100),
    "a mark past the end is of another file": ([mark(101)], {}, 0, None),
    "a mark past the end and one before": ([mark(101), mark(30)], {}, 100, 30),
    "a live mark of another boot": ([mark(50, boot=OTHER_BOOT)], {}, 0, None),
    "a durable mark of another boot": ([mark(50, boot=OTHER_BOOT, durable=True)], {}, 50, 50),
    "a durable mark of another boot, and a further live one": (
        [mark(50, boot=OTHER_BOOT, durable=True), mark(90, boot=OTHER_BOOT)],
        {},
        50,
        50,
    ),
    "two durable marks of another boot": (
        [mark(50, boot=OTHER_BOOT, durable=True), mark(70, boot=OTHER_BOOT, durable=True)],
        {},
        70,
        70,
    ),
    "a durable mark of another boot, past the end": (
        [mark(50, boot=OTHER_BOOT, durable=True), mark(170, boot=OTHER_BOOT, durable=True)],
        {},
        50,
        50,
    ),
    "a durable mark of another boot, and a live one of this": (
        [mark(50, boot=OTHER_BOOT, durable=True), mark(60)],
        {},
        100,
        60,
    ),
    "closed, and the file is as it was": (
        [mark(100, durable=True, mtime_ns=CLOSED_NS)],
        {"closed": True},
        100,
        100,
    ),
    "closed, and somebody wrote since": (
        [mark(100, durable=True, mtime_ns=CLOSED_NS - 1)],
        {"closed": True},
        100,
        None,
    ),
    "closed in another boot, and somebody wrote since": (
        [mark(90, durable=True, boot=OTHER_BOOT, mtime_ns=CLOSED_NS - 1)],
        {},
        90,
        None,
    ),
}


@pytest.mark.parametrize(("found", "facts", "keep", "goes_on"), RULES.values(), ids=RULES)
def test_what_is_believed_of_a_partial_of_100_bytes(found, facts, keep, goes_on):
    known = {"size": 100, "mtime_ns": CLOSED_NS, "updated": NOW, "closed": False, "boot": BOOT}
    for order in (found, found[::-1]):
        decided = resumption(order, **{**known, **facts})
        assert decided.keep == keep
        assert (decided.mark.offset if decided.mark else None) == goes_on


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            mark,
            st.integers(0, 200),
            boot=st.sampled_from([BOOT, OTHER_BOOT]),
            updated=st.sampled_from([NOW, EARLIER]),
            durable=st.booleans(),
            mtime_ns=st.sampled_from([0, CLOSED_NS, CLOSED_NS + 1]),
        ),
        max_size=3,
    ),
    st.integers(0, 200),
    st.booleans(),
)
def test_never_is_more_believed_than_there_is_or_was_vouched_for(found, size, closed):
    decided = resumption(
        found, size=size, mtime_ns=CLOSED_NS, updated=NOW, closed=closed, boot=BOOT
    )
    assert 0 <= decided.keep <= size
    current = [
        each
        for each in found
        if each.updated == NOW and each.offset <= size and (each.durable or each.boot == BOOT)
    ]
    if current and not any(each.boot == BOOT for each in current):
        assert decided.keep in {0, *(each.offset for each in current if each.durable)}
    if decided.mark:
        assert decided.mark in current
        assert decided.mark.offset <= decided.keep
        assert decided.mark.mtime_ns in {0, CLOSED_NS}


# The file


@pytest.fixture
def opened(folder):
    one = Checkpoint(Disk(), folder)
    yield one
    one.close()


def slots(tmp_path):
    data = (tmp_path / "checkpoint").read_bytes()
    return [parsed(data[place : place + SLOT]) for place in range(0, 3 * SLOT, SLOT)]


def test_durable_marks_take_turns_and_the_live_one_has_its_own_place(opened, tmp_path):
    for offset in range(1, 6):
        opened.write(mark(offset, durable=True))
        opened.write(mark(offset + 100))
        durable = slots(tmp_path)[:LIVE]
        assert {each.offset for each in durable if each} == {offset} | ({offset - 1} - {0})
        assert slots(tmp_path)[LIVE].offset == offset + 100


def test_after_opening_again_the_mark_that_vouches_outlives_the_next(folder, tmp_path):
    for offset in range(1, 6):
        one = Checkpoint(Disk(), folder)
        best = max(one.marks(), default=None)
        assert (best.offset if best else 0) == offset - 1
        if best:
            one.protect(best)
        one.write(mark(offset, durable=True))
        one.close()
        assert {each.offset for each in slots(tmp_path) if each} == {offset, offset - 1} - {0}


@pytest.mark.parametrize("torn", range(3))
def test_a_torn_slot_leaves_the_others(torn, opened, tmp_path):
    opened.write(mark(1, durable=True))
    opened.write(mark(2, durable=True))
    opened.write(mark(3))
    path = tmp_path / "checkpoint"
    with path.open("r+b") as file:
        file.seek(torn * SLOT + 40)
        file.write(b"?" * 40)
    assert sorted(each.offset for each in opened.marks()) == sorted({1, 2, 3} - {torn + 1})


@pytest.mark.parametrize("size", [0, 1, 100, SLOT - 1, SLOT, 2 * SLOT + 5])
def test_a_file_that_was_cut_short_or_is_junk_has_no_marks(size, folder, tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"\xff" * size)
    one = Checkpoint(Disk(), folder)
    assert one.marks() == []
    assert not one.has_durable
    one.close()


@pytest.mark.parametrize(
    ("written", "has"),
    [
        ([], False),
        ([mark(5)], False),
        ([mark(0, durable=True)], False),
        ([mark(5, durable=True)], True),
    ],
)
def test_only_a_durable_mark_of_some_bytes_vouches(written, has, opened):
    for each in written:
        opened.write(each)
    assert opened.has_durable is has


@pytest.mark.parametrize("but", [None, mark(5, durable=True)])
def test_forgetting_leaves_one_mark_at_most_in_one_step_that_is_synced(but, folder, tmp_path):
    calls = []

    class Recorder(Disk):
        def sync(self, file):
            calls.append("sync")
            super().sync(file)

        def replace_within(self, folder, source, target):
            calls.append("replace")
            assert (tmp_path / "checkpoint").exists()
            super().replace_within(folder, source, target)

        def sync_directory(self, path):
            calls.append("sync the folder")
            assert [each for each in slots(tmp_path) if each] == ([but] if but else [])
            super().sync_directory(path)

    one = Checkpoint(Recorder(), folder)
    one.write(mark(9))
    one.write(mark(5, durable=True))
    calls.clear()
    one.forget(tmp_path, but=but)
    assert calls == [*(["sync"] if but else []), "replace", "sync the folder"]
    one.write(mark(7, durable=True))
    assert {each.offset for each in one.marks()} == ({5, 7} if but else {7})
    one.close()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_mark_is_written_whole_to_a_disk_that_takes_little(folder):
    class Miser(Disk):
        def write(self, file, data, offset):
            return super().write(file, memoryview(data)[:3], offset)

    one = Checkpoint(Miser(), folder)
    one.write(mark(5))
    assert one.marks() == [mark(5)]
    one.close()


def test_the_tail_of_a_file_is_its_last_bytes_before_the_offset(tmp_path):
    path = tmp_path / "data"
    limit = checkpoint._TAIL_LIMIT
    path.write_bytes(b"a" * 10 + b"b" * limit + b"c" * 10)
    with path.open("rb") as file:
        tail = lambda offset: tail_of(file.fileno(), offset)  # noqa: E731 - one line, three uses
        assert tail(0) == Digest.of(b"").hex
        assert tail(10) == Digest.of(b"a" * 10).hex
        assert tail(10 + limit) == Digest.of(b"b" * limit).hex
