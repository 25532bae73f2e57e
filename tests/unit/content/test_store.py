"""What the contract's own records and checks do, whatever the store."""

from datetime import UTC, datetime

import pytest

from lading.content.store import REF_LIMIT, Blob, Ingest, check_ref, time_of
from lading.errors import InvalidArgument
from lading.model.digest import Digest

SECOND = 1_000_000_000
DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("nanoseconds", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_999, datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)),
        (SECOND - 1, datetime(1970, 1, 1, microsecond=999_999, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        (
            1_795_593_971_744_878_576,
            datetime(2026, 11, 25, 8, 6, 11, 744_878, tzinfo=UTC),
        ),
    ],
)
def test_a_moment_is_cut_to_its_microsecond_and_never_rounded_up(nanoseconds, moment):
    assert time_of(nanoseconds) == moment


def test_records_give_their_times_as_moments_too():
    blob = Blob(DIGEST, 0, 1 * SECOND, 2 * SECOND)
    assert (blob.created_at, blob.updated_at) == (time_of(1 * SECOND), time_of(2 * SECOND))
    ingest = Ingest("w", 0, None, None, 3 * SECOND, 4 * SECOND)
    assert (ingest.started_at, ingest.updated_at) == (time_of(3 * SECOND), time_of(4 * SECOND))


def test_labels_that_nobody_gave_cannot_be_changed_for_everybody():
    with pytest.raises(TypeError):
        Blob(DIGEST, 0, 0, 0).labels["a"] = "1"


def test_a_refusal_of_a_ref_can_be_written_to_a_log():
    for ref in ("", "\ud800" * 1000, "x" * (REF_LIMIT + 1)):
        with pytest.raises(InvalidArgument) as caught:
            check_ref(ref)
        assert len(str(caught.value).encode()) < 1000
