"""Drafts, graves, and the sweep of what crashes left."""

import contextlib
import fcntl
import os
import time

import pytest

from lading.stores.local import disk as disks
from lading.stores.local.disk import Disk
from lading.stores.local.paths import ENDING_ORDER
from lading.stores.local.scratch import SWEEP_AGE_NS, Draft, bury, empty, sweep

NOW_NS = 2_000_000_000 * 10**9
OLD_NS, NEW_NS = NOW_NS - SWEEP_AGE_NS - 1, NOW_NS - SWEEP_AGE_NS + 10**9


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def aged(path, time_ns):
    os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)
    return path


def ingest_in(path, *, files=("data", "ref", "lock")):
    path.mkdir()
    for name in files:
        (path / name).touch()
    return path


# The sweep


@pytest.mark.parametrize("kind", ["file", "folder", "ingest", "link"])
@pytest.mark.parametrize(("time_ns", "stays"), [(OLD_NS, False), (NEW_NS, True), (NOW_NS, True)])
def test_what_is_older_than_an_hour_is_swept(kind, time_ns, stays, paths):
    path = paths.scratch / "left"
    match kind:
        case "file":
            path.touch()
        case "folder":
            path.mkdir()
        case "ingest":
            ingest_in(path, files=(*ENDING_ORDER, "data.tmp", "unknown"))
        case "link":
            (paths.root / "precious").mkdir()
            (paths.root / "precious" / "file").touch()
            path.symlink_to(paths.root / "precious")
    aged(path, time_ns)
    sweep(Disk(), paths, NOW_NS)
    assert names(paths.scratch) == (["left"] if stays else [])
    if kind == "link":
        assert names(paths.root / "precious") == ["file"]


@pytest.mark.parametrize("kind", ["draft", "ingest"])
def test_what_is_old_and_locked_is_in_use_and_stays(kind, paths):
    path = paths.scratch / "left"
    if kind == "draft":
        path.touch()
        locked = path
    else:
        locked = ingest_in(path) / "lock"
    aged(path, OLD_NS)
    with locked.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sweep(Disk(), paths, NOW_NS)
        assert names(paths.scratch) == ["left"]
    aged(path, OLD_NS)
    sweep(Disk(), paths, NOW_NS)
    assert names(paths.scratch) == []


def test_what_cannot_be_removed_stops_no_sweep(paths):
    stubborn = paths.scratch / "a"
    (stubborn / "inner").mkdir(parents=True)
    aged(stubborn, OLD_NS)
    aged(ingest_in(paths.scratch / "b"), OLD_NS)
    sweep(Disk(), paths, NOW_NS)
    assert names(paths.scratch) == ["a"]


def test_a_root_without_scratch_has_nothing_to_sweep(paths):
    paths.scratch.rmdir()
    sweep(Disk(), paths, NOW_NS)
    assert not paths.scratch.exists()


def test_a_sweep_touches_nothing_outside_of_scratch(paths):
    aged(ingest_in(paths.ingests / "old"), OLD_NS)
    sweep(Disk(), paths, NOW_NS)
    assert names(paths.ingests / "old") == ["data", "lock", "ref"]


# Graves


class Recorder(Disk):
    def __init__(self):
        super().__init__()
        self.calls = []

    def rename(self, source, target, *, folder=None):
        self.calls.append("rename")
        super().rename(source, target, folder=folder)

    def remove(self, name, *, folder=None):
        self.calls.append(name)
        return super().remove(name, folder=folder)


def test_a_buried_ingest_is_out_of_reach_before_anything_of_it_is_removed(paths):
    path = ingest_in(paths.ingests / "one", files=ENDING_ORDER)
    disk = Recorder()
    assert bury(disk, paths, path)
    assert disk.calls == ["rename", *ENDING_ORDER]
    assert names(paths.ingests) == []
    assert names(paths.scratch) == []


def test_burying_what_is_not_there_ends_nothing(paths):
    assert not bury(Disk(), paths, paths.ingests / "none")


def test_burying_a_folder_whose_data_a_commit_took_ends_no_ingest(paths):
    path = ingest_in(paths.ingests / "one", files=("ref", "lock"))
    assert not bury(Disk(), paths, path)
    assert names(paths.ingests) == names(paths.scratch) == []


def test_an_ingest_is_emptied_with_its_data_first_and_its_lock_last(paths):
    path = ingest_in(paths.ingests / "one", files=(*ENDING_ORDER, "updatedat.tmp"))
    disk = Recorder()
    folder = os.open(path, os.O_RDONLY)
    assert empty(disk, folder)
    assert disk.calls[:2] == ["data", "updatedat.tmp"]
    assert disk.calls[-1] == "lock"
    assert not empty(Disk(), folder)
    os.close(folder)
    assert names(path) == []


# Drafts


@pytest.fixture(params=["nameless", "named"])
def kind(request, monkeypatch):
    if request.param == "named":
        monkeypatch.setattr(disks, "_NAMELESS", 0)
    return request.param


def test_a_draft_is_seen_by_nobody_and_leaves_nothing(paths, kind):
    with Draft(Disk(), paths, "sha256") as draft:
        draft.write(b"abc")
        draft.write(b"def")
        assert draft.size == 6
        assert os.pread(draft.file, 10, 0) == b"abcdef"
        assert names(paths.algorithm("sha256")) == []
        assert len(names(paths.scratch)) == (kind == "named")
    assert names(paths.algorithm("sha256")) == names(paths.scratch) == []


def test_a_draft_takes_a_name_that_is_free_and_no_other(paths, kind):
    target = paths.algorithm("sha256") / "name"
    with Draft(Disk(), paths, "sha256") as first, Draft(Disk(), paths, "sha256") as second:
        first.write(b"first")
        second.write(b"second")
        first.name(target)
        with pytest.raises(FileExistsError):
            second.name(target)
    assert target.read_bytes() == b"first"
    assert names(paths.scratch) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_draft_can_take_the_place_of_what_is_there(there, paths, kind):
    target = paths.algorithm("sha256") / "name"
    if there:
        target.write_bytes(b"bad")
    with Draft(Disk(), paths, "sha256") as draft:
        draft.write(b"good")
        draft.replace(target)
    assert target.read_bytes() == b"good"
    assert names(paths.scratch) == []


def test_an_error_leaves_nothing_of_a_draft(paths, kind):
    with contextlib.suppress(ZeroDivisionError), Draft(Disk(), paths, "sha256") as draft:
        draft.write(b"abc")
        raise ZeroDivisionError
    assert names(paths.algorithm("sha256")) == names(paths.scratch) == []


def test_a_draft_in_use_is_not_swept(paths, monkeypatch):
    monkeypatch.setattr(disks, "_NAMELESS", 0)
    with Draft(Disk(), paths, "sha256") as draft:
        sweep(Disk(), paths, time.time_ns() + 2 * SWEEP_AGE_NS)
        assert len(names(paths.scratch)) == 1
        draft.name(paths.algorithm("sha256") / "name")
