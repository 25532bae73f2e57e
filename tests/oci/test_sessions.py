"""What a push remembers between processes, and what becomes of it when something is wrong."""

import fcntl
import json
import multiprocessing
import os
import stat
from dataclasses import replace

import pytest

from lading import Digest
from lading.model.reference import Reference
from lading.oci.uploads import sessions as module
from lading.oci.uploads.sessions import LIFE_NS, UploadSession, UploadSessions

REFERENCE = Reference.parse("registry.example/me/model:1")
DIGEST = Digest.of(b"a layer")
_BOTH = (".json", ".lock")
NOW = 1_750_000_000_000_000_000
SESSION = UploadSession(
    url="https://registry.example/v2/me/model/blobs/uploads/1?state=secret",
    began_ns=NOW,
    deadline_ns=NOW + LIFE_NS,
    offset=1000,
    last_chunk=100,
)


class Clock:
    now_ns = NOW

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(tmp_path, clock):
    return UploadSessions(tmp_path / "uploads", clock=clock)


def remember(sessions, session=SESSION, digest=DIGEST):
    with sessions.of(REFERENCE, digest) as remembered:
        remembered.write(session)


def recalled(sessions, reference=REFERENCE, digest=DIGEST):
    with sessions.of(reference, digest) as remembered:
        return remembered.read()


def files(sessions, ending=".json"):
    return sorted(path for path in sessions.folder.iterdir() if path.suffix == ending)


def test_another_process_reads_what_one_has_written(sessions, clock):
    remember(sessions)
    assert recalled(UploadSessions(sessions.folder, clock=clock)) == SESSION


def test_nothing_is_made_before_there_is_something_to_remember(sessions):
    assert recalled(sessions) is None
    with sessions.of(REFERENCE, DIGEST) as remembered:
        remembered.forget()
    assert not sessions.folder.exists()


def test_nobody_else_may_read_a_session(sessions):
    remember(sessions)
    assert stat.S_IMODE(sessions.folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in sessions.folder.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        (Reference.parse("registry.example/me/other:1"), DIGEST),
        (Reference.parse("registry.example:5000/me/model:1"), DIGEST),
        (REFERENCE, Digest.of(b"another layer")),
    ],
)
def test_a_session_is_for_one_blob_of_one_repository(sessions, reference, digest):
    remember(sessions)
    assert recalled(sessions, reference, digest) is None


def test_a_tag_makes_no_difference(sessions):
    remember(sessions)
    assert recalled(sessions, Reference.parse("registry.example/me/model:2")) == SESSION


def test_what_is_finished_leaves_nothing(sessions):
    remember(sessions)
    with sessions.of(REFERENCE, DIGEST) as remembered:
        remembered.read()
        remembered.forget()
    assert list(sessions.folder.iterdir()) == []


def test_a_session_past_its_deadline_is_not_asked_for(sessions, clock):
    remember(sessions)
    clock.now_ns = SESSION.deadline_ns - 1
    assert recalled(sessions) == SESSION
    clock.now_ns = SESSION.deadline_ns
    assert recalled(sessions) is None


def test_a_deadline_that_a_wrong_clock_has_made_counts_for_nothing(sessions, clock):
    remember(sessions, replace(SESSION, deadline_ns=NOW + LIFE_NS + 1))
    assert recalled(sessions) is None


BROKEN = {
    "empty": b"",
    "cut": b'{"version": 1, "url"',
    "no object": b"[]",
    "nested": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "long": b" " * (module.FILE_LIMIT + 1),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_ignored_and_replaced(sessions, data):
    remember(sessions)
    (path,) = files(sessions)
    path.write_bytes(data)
    assert recalled(sessions) is None
    remember(sessions)
    assert recalled(sessions) == SESSION


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("digest", Digest.of(b"another")),
        ("url", "file:///etc/passwd"),
        ("url", None),
        ("offset", -1),
        ("offset", True),
        ("offset", "7"),
        ("deadline_ns", None),
        ("takes_chunks", 1),
    ],
)
def test_a_file_with_a_wrong_field_is_ignored(sessions, field, value):
    remember(sessions)
    (path,) = files(sessions)
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {field: value}))
    assert recalled(sessions) is None


def test_a_link_or_a_pipe_in_the_place_of_a_session_is_not_followed(sessions, tmp_path):
    remember(sessions)
    (path,) = files(sessions)
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert recalled(sessions) is None
    path.unlink()
    os.mkfifo(path)
    assert recalled(sessions) is None


def test_a_second_upload_of_a_blob_remembers_nothing_and_disturbs_nothing(sessions):
    remember(sessions)
    with sessions.of(REFERENCE, DIGEST) as first, sessions.of(REFERENCE, DIGEST) as second:
        assert first.read() == SESSION
        assert second.read() is None
        second.write(replace(SESSION, url="https://other.example/"))
        second.forget()
        first.write(replace(SESSION, offset=2000))
    assert recalled(sessions).offset == 2000


def _hold(folder, held, let_go):
    with UploadSessions(folder, clock=Clock()).of(REFERENCE, DIGEST) as remembered:
        remembered.write(SESSION)
        held.set()
        let_go.wait(60)


@pytest.mark.slow
def test_the_lock_holds_between_processes_and_dies_with_its_holder(sessions):
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(sessions.folder, held, let_go))
    process.start()
    assert held.wait(60)
    assert recalled(sessions) is None
    process.kill()
    process.join()
    assert recalled(sessions) == SESSION


def test_a_lock_whose_name_was_removed_meanwhile_is_taken_anew(sessions, monkeypatch):
    remember(sessions)
    (lock,) = files(sessions, ".lock")
    real, calls = fcntl.flock, []

    def flock(file, how):
        real(file, how)
        calls.append(file)
        if len(calls) == 1:
            lock.unlink()
        if len(calls) == 2:  # and somebody else has made another one
            lock.unlink()
            lock.touch()

    monkeypatch.setattr(module.fcntl, "flock", flock)
    assert recalled(sessions) == SESSION
    assert len(calls) == 3


def test_where_nothing_can_be_written_a_push_goes_on_unremembered(tmp_path, clock, caplog):
    (tmp_path / "file").write_bytes(b"")
    sessions = UploadSessions(tmp_path / "file" / "uploads", clock=clock)
    for digest in (DIGEST, Digest.of(b"another")):
        remember(sessions, digest=digest)
        assert recalled(sessions, digest=digest) is None
    (record,) = caplog.records
    assert "cannot be resumed" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_a_session_that_cannot_be_replaced_leaves_the_old_one(sessions, monkeypatch):
    remember(sessions)

    def full(file):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module.os, "fsync", full)
    remember(sessions, replace(SESSION, offset=2000))
    monkeypatch.undo()
    assert files(sessions, ".tmp") == []
    assert recalled(sessions) == SESSION


def test_a_url_without_end_is_not_remembered(sessions):
    remember(sessions, replace(SESSION, url="https://registry.example/" + "x" * module.URL_LIMIT))
    assert recalled(sessions) is None


def test_old_and_broken_sessions_are_swept_and_what_is_in_use_is_not(sessions, clock):
    others = {name: Digest.of(name.encode()) for name in ("old", "broken", "young", "held")}
    for digest in others.values():
        remember(sessions, digest=digest)
    paths = {
        name: path
        for path in files(sessions)
        for name, digest in others.items()
        if digest in path.read_text()
    }
    record = json.loads(paths["old"].read_text())
    paths["old"].write_text(json.dumps(record | {"deadline_ns": NOW - 1}))
    paths["broken"].write_bytes(b"?")
    stale = sessions.folder / f"{'0' * 64}.{'0' * 16}.tmp"
    stale.write_bytes(b"")
    os.utime(stale, ns=(NOW - LIFE_NS - 1, NOW - LIFE_NS - 1))
    (sessions.folder / f"{'1' * 64}.lock").write_bytes(b"")
    (sessions.folder / "a note of somebody").write_bytes(b"")
    with sessions.of(REFERENCE, others["held"]) as held:
        held.read()
        paths["held"].write_bytes(b"?")
        UploadSessions(sessions.folder, clock=clock).sweep()
        left = {path.name for path in sessions.folder.iterdir()}
    assert left == {
        *(paths[name].with_suffix(end).name for name in ("young", "held") for end in _BOTH),
        "a note of somebody",
    }


def test_the_first_write_sweeps(sessions, clock):
    remember(sessions, digest=Digest.of(b"old"))
    clock.now_ns += LIFE_NS
    later = replace(SESSION, deadline_ns=clock.now_ns + LIFE_NS)
    remember(UploadSessions(sessions.folder, clock=clock), later)
    assert [path.read_text().count(DIGEST) for path in files(sessions)] == [1]


@pytest.mark.parametrize("state", ["/of/mine", "relative", None])
def test_by_default_they_are_in_this_users_state(monkeypatch, tmp_path, state):
    monkeypatch.setenv("HOME", str(tmp_path))
    if state is None:
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    expected = state if state == "/of/mine" else f"{tmp_path}/.local/state"
    assert str(UploadSessions().folder) == f"{expected}/lading/uploads"
