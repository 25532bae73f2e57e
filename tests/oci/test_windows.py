"""Parallel ranges of one blob, where one stream is slow."""

import itertools
import random
import re
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lading.errors import ConnectionFailed, ResourceExhausted
from lading.oci.fetching import widening, windows
from lading.oci.fetching.download import fetch as fetch_blob
from lading.oci.fetching.turns import Source
from lading.oci.fetching.widening import Widening
from lading.oci.fetching.windows import Window
from lading.oci.progress import Restarted
from lading.oci.transport.http import Http
from lading.stores.local.store import LocalStore
from lading.stores.local.writer import LocalWriter
from tests.oci.blob_at import At, Pauses, descriptor_of, patience_for
from tests.oci.test_download import REF, Scene, one, ranges
from tests.support.lies import (
    HONEST,
    Always,
    Cut,
    Fault,
    Header,
    IgnoresRange,
    Stall,
    Status,
    WrongBytes,
    Zipped,
)
from tests.support.lying import lying

SIZE = 3_000_017
DATA = random.Random(6).randbytes(SIZE)  # noqa: S311 - the same each time
BLOB = descriptor_of(DATA)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A window and ranges of a size that tests can fill at once."""
    monkeypatch.setattr(widening, "WINDOW_LIMIT", 1 << 20)
    monkeypatch.setattr(windows, "WINDOW_LIMIT", 1 << 20)
    monkeypatch.setattr(widening, "LEAST_RANGE", 64 << 10)


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def http():
    http = Http(patience_for(Pauses(), idle=timedelta(seconds=5)))
    yield http
    http.close()


@pytest.fixture
def scene(tmp_path, http, pauses):
    scene = Scene(LocalStore(tmp_path / "root"), http, pauses)
    yield scene
    assert not [each for each in threading.enumerate() if each.name.startswith("range-")]


@pytest.fixture
def opened(monkeypatch):
    """Every window that was opened."""
    found = []

    class Noted(Window):
        def __init__(self, *arguments, **options):
            found.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(widening, "Window", Noted)
    return found


class SlowTime:
    """A clock by which every look at it takes a while."""

    def __init__(self, step_s=0.15):
        self._now, self._step_s = 0.0, step_s

    def __call__(self):
        self._now += self._step_s
        return self._now


def slow(scene, **changes):
    return patience_for(scene.pauses, clock=SlowTime(), **changes)


def fetch(scene, *servers, streams=4, **changes):
    return scene.fetch(*servers, blob=BLOB, streams=streams, patience=slow(scene, **changes))


def parts(server):
    """The ranges that were asked for, in their order in the blob."""
    asked = [re.fullmatch(r"bytes=(\d+)-(\d+)", each) for each in ranges(server) if each]
    return sorted((int(each[1]), int(each[2]) + 1) for each in asked if each)


def test_a_slow_stream_is_helped_by_closed_ranges_that_have_every_byte_once(scene):
    with one(data=DATA) as server:
        fetch(scene, server)
        assert ranges(server)[0] is None
        found = parts(server)
    assert len(found) >= 4
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
    assert found[-1][1] == SIZE
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


def test_a_fast_stream_is_left_alone(scene):
    with one(data=DATA) as server:
        scene.fetch(server, blob=BLOB, streams=4)
        assert ranges(server) == [None]


def test_one_stream_is_one_stream(scene):
    with one(data=DATA) as server:
        fetch(scene, server, streams=1)
        assert ranges(server) == [None]


def test_what_is_resumed_is_loaded_in_parallel_too(scene):
    with scene.store.writer(REF, total=SIZE, expected=BLOB.digest) as writer:
        writer.write(DATA[:500_000])
    with one(data=DATA) as server:
        fetch(scene, server)
        assert ranges(server)[0] == f"bytes=500000-{SIZE - 1}"
        assert len(parts(server)) >= 4
    assert scene.store.read(BLOB.digest) == DATA


@dataclass(frozen=True)
class StallsFrom(Fault):
    """Sends nothing of what begins at `start`."""

    start: int

    def __call__(self, answer, asked):
        return Stall(0)(answer, asked) if asked.start == self.start else answer


def test_no_more_waits_in_memory_than_the_window_holds(scene):
    """The first range stalls: those after it come, up to the limit, and none behind that."""
    http = Http(patience_for(Pauses(), idle=timedelta(milliseconds=200)))
    with lying(files={"blob": DATA}, faults={"files": [Always(StallsFrom(1))]}) as server:
        source = Source(At(http, server.url_of("blob"), None))
        window = Window(source, 1, SIZE, size=128 << 10, streams=4, patience=slow(scene))
        server.wait_for("files range", count=8)
        with closing(window):
            assert window.read() == b"", "the first range was lost"
            assert window.start == 1 + (128 << 10)
            assert len(server.log) == 8
            found = b""
            while data := window.read():
                found += data
                assert window.reached - window.start <= 1 << 20
            assert window.is_done
        assert found == DATA[1 + (128 << 10) : 1 + (1 << 20)]
    http.close()


@pytest.mark.parametrize("count", [0, 1, 30_000])
def test_a_range_that_is_cut_is_asked_for_alone_from_where_it_stopped(scene, count):
    faults = {"files range": [HONEST, Cut(count)]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        fetch(scene, server)
        cut = next(each for each in server.log if each.fault == Cut(count))
        start = cut.start + count
        assert any(each.start == start and each is not cut and each.range for each in server.log)
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


def test_many_cuts_end_in_the_blob(scene):
    faults = {"files range": [Cut(1000 * number) for number in range(60)]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        fetch(scene, server)
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


@pytest.mark.parametrize(
    "fault",
    [
        IgnoresRange(),
        Header("Content-Range"),
        Header("Content-Range", "bytes 0-9/10"),
        Zipped(),
        Status(416),
    ],
    ids=str,
)
def test_without_ranges_the_first_stream_goes_on_to_its_end(scene, opened, fault):
    faults = {"files range": [Always(fault)]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        fetch(scene, server)
        assert server.asked("files whole")[0].sent == SIZE
        assert len(server.asked("files whole")) == 1
        assert len(server.asked("files range")) <= 3
    assert len(opened) == 1
    assert not scene.told(Restarted)
    assert scene.pauses.told == []
    assert scene.store.read(BLOB.digest) == DATA


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_who_asks_for_a_pause_gets_it_and_one_stream_from_then_on(scene, opened, number):
    wait = Status(429, headers={"Retry-After": "9"})
    faults = {"files range": [*[HONEST] * number, wait]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        fetch(scene, server)
        refused = next(place for place, each in enumerate(server.log) if each.fault == wait)
        after = server.log[refused + 1 :]
        # Those that were on their way or were just beginning, the gap, and all the rest at once.
        assert len(after) <= 4 + 4 + 2
        last = server.asked("files whole") + after
        assert any(each.start + each.sent == SIZE for each in last)
    assert set(scene.pauses.told) <= {9.0}
    assert len(opened) == 1
    assert scene.store.read(BLOB.digest) == DATA


def test_a_range_that_another_origin_has_to_bring_comes_from_there(scene):
    faults = {"files range": [HONEST, Cut(10_000), *[Status(403)] * 9]}
    with lying(files={"blob": DATA}, faults=faults) as server, one(data=DATA) as other:
        fetch(scene, server, other)
        assert ranges(other)
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


def test_a_wrong_byte_in_a_range_is_healed_by_one_stream(scene):
    faults = {"files range": [HONEST, WrongBytes(SIZE - 1), Always(WrongBytes(SIZE - 1))]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        fetch(scene, server)
        assert ranges(server)[-1] is None
    assert len(scene.told(Restarted)) == 1
    assert scene.store.read(BLOB.digest) == DATA


def test_a_server_that_dies_leaves_what_was_contiguous(scene):
    faults = {"files range": [HONEST, HONEST, *[Always(Cut(0))]]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        with pytest.raises(ConnectionFailed):
            fetch(scene, server, attempts=2)
        [(_, offset)] = scene.ingests
        assert 0 < offset < SIZE
        server.lie({})
        scene.fetch(server, blob=BLOB)
        assert server.log[-1].range == f"bytes={offset}-{SIZE - 1}"
    assert scene.store.read(BLOB.digest) == DATA


def test_a_full_store_ends_every_connection_and_keeps_what_is_there(scene, monkeypatch):
    write = LocalWriter.write

    def filling_up(writer, data):
        if writer.offset > 2_000_000:
            raise ResourceExhausted(REF, writer.offset)
        return write(writer, data)

    monkeypatch.setattr(LocalWriter, "write", filling_up)
    with one(data=DATA) as server, pytest.raises(ResourceExhausted):
        fetch(scene, server)
    assert scene.ingests[0][1] >= 2_000_000


class Stop(Exception):
    """What is no `Error`, and ends everything."""


def test_what_ends_a_thread_of_a_range_ends_the_fetch(scene):
    class Origin:
        name = "there"

        def __init__(self, inner):
            self._inner = inner

        def open(self, start, end):
            if start and end:
                raise Stop
            return self._inner.open(start, end)

    with one(data=DATA) as server:
        inner = At(scene.http, server.url_of("blob"), SIZE)
        with pytest.raises(Stop):
            fetch_blob(scene.store, REF, BLOB, [Origin(inner)], patience=slow(scene), streams=4)


def test_a_window_is_not_opened_for_the_last_few_bytes(scene):
    class Fake:
        rate = float(1 << 20)
        has_ranges = True

    beside = Widening(4, patience_for(scene.pauses))
    beside.consider(Fake(), Fake(), SIZE - 200_000, SIZE)
    assert beside.window is None
