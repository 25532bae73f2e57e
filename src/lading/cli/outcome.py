"""How a run ends: its exit code, and one sentence on stderr where it went wrong."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TextIO

import click

from lading.cli.quoting import escaped
from lading.cli.session import Session
from lading.errors import (
    Aborted,
    DataLoss,
    DigestMismatch,
    Error,
    ForeignRoot,
    InvalidArchive,
    InvalidArgument,
    InvalidManifest,
    NotFound,
    PermissionDenied,
    RefLocked,
    ResourceExhausted,
    SizeMismatch,
    Unauthenticated,
    Unavailable,
    Untrusted,
)


class Outcome(IntEnum):
    """The exit codes; `docs/cli.md` explains them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    BAD_DATA = 5
    LOCKED = 6
    TRY_AGAIN = 7
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


_OUTCOMES: dict[type[Error], Outcome] = {
    InvalidArgument: Outcome.USAGE,
    NotFound: Outcome.NOT_FOUND,
    PermissionDenied: Outcome.NOT_ALLOWED,
    Unauthenticated: Outcome.NOT_ALLOWED,
    ForeignRoot: Outcome.NOT_ALLOWED,
    Untrusted: Outcome.NOT_ALLOWED,
    DigestMismatch: Outcome.BAD_DATA,
    SizeMismatch: Outcome.BAD_DATA,
    InvalidManifest: Outcome.BAD_DATA,
    InvalidArchive: Outcome.BAD_DATA,
    DataLoss: Outcome.BAD_DATA,
    RefLocked: Outcome.LOCKED,
    Unavailable: Outcome.TRY_AGAIN,
    Aborted: Outcome.TRY_AGAIN,
    ResourceExhausted: Outcome.TRY_AGAIN,
}

_MILDEST_FIRST = (
    Outcome.OK,
    Outcome.NOT_FOUND,
    Outcome.LOCKED,
    Outcome.TRY_AGAIN,
    Outcome.FAILED,
    Outcome.USAGE,
    Outcome.NOT_ALLOWED,
    Outcome.BAD_DATA,
)

_ADVICE: dict[type[Error], str] = {
    DataLoss: "ingest the right bytes again to heal it",
    RefLocked: "--wait 5m waits",
    Untrusted: "--ca-file FILE trusts another authority",
}
"""What to do next, for the errors whose own sentence does not say it to somebody at a shell."""

_WHERE_TO_LOOK: dict[str | None, str] = {
    None: "`lading ls` and `lading active` list what is here",
    "image": "`lading images ls` lists what is here",
    "lease": "`lading leases ls` lists what is here",
    "namespace": "`lading namespaces ls` lists what is here",
    "manifest": "`lading tags` lists the tags of a repository",
}
"""The same for what was not found, by its kind. The other kinds are a registry's."""
_PERMISSIONS = "change its permissions, or name another root with --root"

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Interrupted(BaseException):
    """A signal asked this process to end. No `except Exception` may take it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Complaint(Exception):
    """A verb's own words for what went wrong, and the code to exit with."""

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


Failure = Error | OSError | click.ClickException | Complaint
FAILURES = (Error, OSError, click.ClickException, Complaint)
"""What a run is expected to fail with. Anything else is a defect and keeps its traceback."""


def say(sentence: str) -> None:
    """Print a sentence on stderr, in one line and harmless to a terminal; never fail at it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"lading: {escaped(sentence)}\n")
        sys.stderr.flush()


def complain(failure: Failure, *, debug: bool = False) -> Outcome:
    """Say what went wrong and return what that means for the exit code."""
    if debug:
        from traceback import print_exception  # noqa: PLC0415 - costs milliseconds, seldom asked

        with contextlib.suppress(OSError, ValueError):
            print_exception(failure)
    say(sentence_of(failure))
    return outcome_of(failure)


def outcome_of(failure: Failure) -> Outcome:
    """Find the exit code of a failure."""
    match failure:
        case Complaint():
            return failure.outcome
        case Error():
            kinds = (kind for kind in type(failure).__mro__ if kind in _OUTCOMES)
            return next((_OUTCOMES[kind] for kind in kinds), Outcome.FAILED)
        case click.ClickException():
            return Outcome.USAGE
        case PermissionError():
            return Outcome.NOT_ALLOWED
        case _:
            return Outcome.TRY_AGAIN if failure.errno in _NO_ROOM else Outcome.FAILED


def sentence_of(failure: Failure) -> str:
    """Put a failure, and what to do about it, into one sentence."""
    match failure:
        case Error():
            advice = _advice(failure)
            return f"{failure}; {advice}" if advice else str(failure)
        case click.ClickException():
            return _usage(failure)
        case OSError():
            # What goes wrong in the store is an `Error`, and who opens a file names it.
            name = "standard output" if failure.filename is None else os.fsdecode(failure.filename)
            return f"{name}: {failure.strerror or failure}"
        case _:
            return str(failure)


def _advice(error: Error) -> str | None:
    match error:
        case NotFound(kind=kind):
            return _WHERE_TO_LOOK.get(kind)
        case PermissionDenied(path=path):
            # A registry denies what is no path.
            return _PERMISSIONS if os.path.isabs(str(path)) else None  # noqa: PTH117 - may be no path
        case _:
            kinds = (kind for kind in type(error).__mro__ if kind in _ADVICE)
            return next((_ADVICE[kind] for kind in kinds), None)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Choose the code that a run of several parts exits with."""
    return max(outcomes, key=_MILDEST_FIRST.index, default=Outcome.OK)


def conclude(run: Callable[[], int | None], session: Session) -> Outcome:
    """Run the command and turn whatever comes of it into an exit code."""
    try:
        outcome = Outcome(run() or Outcome.OK)
        sys.stdout.flush()
    except BrokenPipeError:
        outcome = Outcome.PIPE_CLOSED
    except FAILURES as failure:
        outcome = complain(failure, debug=session.debug)
    except (Interrupted, KeyboardInterrupt, click.Abort) as interruption:
        outcome = _interrupted(interruption, session)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _drop(stream)
    return outcome


def _interrupted(interruption: BaseException, session: Session) -> Outcome:
    number = interruption.number if isinstance(interruption, Interrupted) else signal.SIGINT
    terminated = number == signal.SIGTERM
    say(f"{'terminated' if terminated else 'interrupted'}; {session.kept()}")
    return Outcome.TERMINATED if terminated else Outcome.INTERRUPTED


def _drop(stream: TextIO) -> None:
    """Let the interpreter flush a stream at its exit without failing once more."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _usage(failure: click.ClickException) -> str:
    message = " ".join(failure.format_message().split()).removesuffix(".")
    message = message.replace(". Did you", ", did you")
    if isinstance(failure, click.BadParameter) and not isinstance(failure, click.MissingParameter):
        parameter = failure.param
        if isinstance(parameter, click.Option):
            return f"{parameter.opts[0]}: {failure.message}"
        return f"{parameter.human_readable_name}: {failure.message}" if parameter else message
    path = failure.ctx.command_path if isinstance(failure, click.UsageError) and failure.ctx else ""
    return f"{message[:1].lower()}{message[1:]}; see `{path or 'lading'} --help`"
