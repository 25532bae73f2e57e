"""Attempts: one thing asked of several hosts, with pauses, until one answers or none will."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    Error,
    InvalidManifest,
    NotFound,
    PermissionDenied,
    RefLocked,
    Refused,
    SizeMismatch,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Untrusted,
)
from lading.oci.access.hosts import Host
from lading.oci.progress import Progress, Waiting
from lading.oci.transport.patience import Patience
from lading.oci.transport.refusals import BodyNeeded

Answer = TypeVar("Answer")

_ANSWERS = (PermissionDenied, Unauthenticated, Refused, Untrusted)
_CONTENTS = (DigestMismatch, SizeMismatch, InvalidManifest)


class _Turn(NamedTuple):
    """A host that is to be asked, for the nth time, so many seconds after the beginning."""

    due_s: float
    place: int
    attempt: int
    host: Host


def attempted(
    hosts: Iterable[Host],
    call: Callable[[Host], Answer],
    *,
    patience: Patience,
    progress: Progress,
) -> Answer:
    """Call with each host in its order until one answers, and after its pause with each again.

    Each is asked as often as `patience` says, while its error is `retryable`; a permanent error of
    the registry itself, which is no mirror, ends it. Raises the error of the host that got
    furthest. What is not about hosts (a full disk, a held ref) comes through at once.
    """
    turns = [_Turn(0.0, place, 1, host) for place, host in enumerate(hosts)]
    elapsed = 0.0
    furthest: tuple[int, int, Error] | None = None
    while turns:
        turn = min(turns)
        turns.remove(turn)
        if turn.due_s > elapsed:
            assert furthest is not None  # nobody waits before the first attempt
            progress(Waiting(None, turn.due_s - elapsed, str(furthest[-1])))
            patience.sleep(turn.due_s - elapsed)
            elapsed = turn.due_s
        try:
            return call(turn.host)
        except Error as error:
            rank = _rank(error, turn.host)
            if not rank:
                raise
            if furthest is None or (rank, turn.place) >= furthest[:2]:
                furthest = rank, turn.place, error
            pause = _pause_s(error, turn.attempt, patience)
            if pause is not None:
                turns.append(turn._replace(due_s=elapsed + pause, attempt=turn.attempt + 1))
            elif not error.retryable and not turn.host.is_mirror:
                break
    assert furthest is not None  # somebody was asked
    raise furthest[-1]


def _rank(error: Error, host: Host) -> int:
    """How far a host got that ended so; 0 for an error that is not a host's own.

    That a mirror has not got something says less than that the registry cannot answer now.
    """
    match error:
        case RefLocked():
            return 0
        case ConnectionFailed():
            return 1
        case NotFound():
            return 2 if host.is_mirror else 4
        case Unavailable():
            return 3
        case _:
            return 5 if isinstance(error, _ANSWERS) else 6 if isinstance(error, _CONTENTS) else 0


def _pause_s(error: Error, attempt: int, patience: Patience) -> float | None:
    """How long a host is left alone before it is asked again; None for good."""
    if not error.retryable or attempt >= patience.attempts:
        return None
    if isinstance(error, BodyNeeded):
        return 0.0  # it was no failure
    asked = (error.retry_after_s if isinstance(error, TooManyRequests) else None) or 0.0
    if asked > patience.longest_asked.total_seconds():
        return None
    return max(asked, patience.pause_s(attempt))
