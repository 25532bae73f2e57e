"""Errors carry facts, wherever they go."""

import pickle
from datetime import UTC, datetime

import pytest

from lading.errors import (
    DigestMismatch,
    ForeignRoot,
    InvalidFilter,
    NotFound,
    PermissionDenied,
    RefLocked,
    ResourceExhausted,
    Unavailable,
)


@pytest.mark.parametrize(
    "error",
    [
        DigestMismatch("sha256:a", "sha256:b"),
        ForeignRoot("/srv/lading", live=True),
        InvalidFilter("a==", 3, "expected value or quoted"),
        NotFound("r", "ref"),
        PermissionDenied("/srv/lading", "no"),
        RefLocked("r", holder="somebody", since=datetime(2026, 1, 1, tzinfo=UTC)),
        ResourceExhausted("r", 1, 2),
        Unavailable("try again later"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
