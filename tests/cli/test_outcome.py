"""What comes of a run: the exit code of every error, and one sentence for people."""

import errno
import inspect
import io
import os
from datetime import UTC, datetime

import click
import pytest

from lading import errors
from lading.cli.outcome import (
    Complaint,
    Interrupted,
    Outcome,
    conclude,
    outcome_of,
    sentence_of,
    worst,
)
from lading.cli.session import Session
from tests.conformance.samples import ABSENT

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODES = {
    errors.InvalidArgument("never"): 2,
    errors.InvalidDigest("x"): 2,
    errors.InvalidFilter("a=", 1, "what"): 2,
    errors.InvalidReference("A", "upper case"): 2,
    errors.NotFound(ABSENT): 3,
    errors.AlreadyExists(ABSENT): 1,
    errors.PermissionDenied("root", "no"): 4,
    errors.Unauthenticated("registry.example", "who are you?"): 4,
    errors.FailedPrecondition("no labels"): 1,
    errors.DigestMismatch(ABSENT, ABSENT): 5,
    errors.SizeMismatch(1, 2): 5,
    errors.IngestMismatch("r", "total", 1, 2): 1,
    errors.WriterClosed("r"): 1,
    errors.ForeignRoot("root", live=True): 4,
    errors.InvalidManifest("it is no JSON"): 5,
    errors.InvalidArchive("a.tar", "it is no tar"): 5,
    errors.Refused("PUT https://registry.example/v2/", 400, "CODE", "why"): 1,
    errors.Untrusted("registry.example", "self-signed"): 4,
    errors.OutOfRange(2, 1): 1,
    errors.Aborted("r"): 7,
    errors.ResourceExhausted("r", 5): 7,
    errors.DatabaseFull("metadata.db"): 7,
    errors.Unavailable("later"): 7,
    errors.RefLocked("r", holder="process 1", since=NOON): 6,
    errors.ConnectionFailed("registry.example", "Connection refused"): 7,
    errors.TooManyRequests("registry.example", 5): 7,
    errors.DataLoss(ABSENT, "rotten"): 5,
    errors.DiskFailed("blob", OSError(errno.EIO, "Input/output error")): 5,
    errors.Error("anything"): 1,
}


@pytest.mark.parametrize("error", CODES, ids=lambda error: type(error).__name__)
def test_an_error_has_its_code(error):
    assert outcome_of(error) == CODES[error]
    assert str(error) in sentence_of(error)


HERE = "`lading ls` and `lading active` list what is here"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.NotFound(ABSENT), HERE),
        (errors.NotFound("app:1", "image"), "`lading images ls` lists what is here"),
        (errors.NotFound("a/b:1", "manifest"), "`lading tags` lists the tags of a repository"),
        (errors.NotFound("a/b", "repository"), None),
        (errors.PermissionDenied("/srv/lading", "no"), "name another root with --root"),
        (errors.PermissionDenied("registry.example/a/b:1", "no"), None),
        (errors.Untrusted("registry.example", "x"), "--ca-file FILE trusts another authority"),
        (errors.RefLocked("r"), "--wait 5m waits"),
        (errors.TooManyRequests("registry.example", 5), None),
    ],
)
def test_advice_is_for_what_has_happened(error, advice):
    told = sentence_of(error)
    assert told.endswith(advice) if advice else told == str(error)


def test_no_error_was_forgotten():
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.Error)
    }
    assert {type(error) for error in CODES} == kinds


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "layer"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "layer"), 4),
        (OSError(errno.ENOSPC, "No space left on device", "layer"), 7),
        (OSError(errno.EIO, "Input/output error", b"layer"), 1),
    ],
)
def test_an_error_of_a_file_has_its_code_and_names_the_file(error, code):
    assert outcome_of(error) == code
    assert sentence_of(error) == f"layer: {error.strerror}"


def test_an_error_without_a_file_is_one_of_stdout():
    assert sentence_of(OSError("odd")) == "standard output: odd"


def test_the_worst_is_what_does_not_go_away_by_itself():
    mild_to_bad = [0, 3, 6, 7, 1, 2, 4, 5]
    for position in range(1, len(mild_to_bad)):
        assert worst(map(Outcome, mild_to_bad[: position + 1])) == mild_to_bad[position]
    assert worst([]) == Outcome.OK


def ended(run, capsys, *, kept="all"):
    session = Session()
    session.kept = lambda: kept
    code = conclude(run, session)
    return code, capsys.readouterr().err


def raising(failure):
    def run():
        raise failure

    return run


def test_a_run_that_returns_nothing_is_ok(capsys):
    assert ended(lambda: None, capsys) == (0, "")
    assert ended(lambda: 6, capsys) == (6, "")


def test_a_failure_is_one_line_that_cannot_steer_a_terminal(capsys):
    failure = Complaint("one\ntwo \x1b[2J", Outcome.FAILED)
    assert ended(raising(failure), capsys) == (1, "lading: one\\ntwo \\x1b[2J\n")


def test_a_signal_is_a_sentence_about_what_is_kept(capsys):
    assert ended(raising(Interrupted(2)), capsys) == (130, "lading: interrupted; all\n")
    assert ended(raising(Interrupted(15)), capsys) == (143, "lading: terminated; all\n")
    assert ended(raising(KeyboardInterrupt()), capsys) == (130, "lading: interrupted; all\n")
    assert ended(raising(click.Abort()), capsys) == (130, "lading: interrupted; all\n")


def test_a_defect_keeps_its_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 // 0, capsys)


def test_no_failure_can_hide_a_signal():
    assert not issubclass(Interrupted, Exception)


def test_a_stderr_that_fails_does_not_change_the_code(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self):
            self.write("")

    monkeypatch.setattr("sys.stderr", Full())
    assert conclude(raising(errors.NotFound(ABSENT)), Session()) == 3
