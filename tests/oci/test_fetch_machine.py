"""Any sequence of faults, kills and retries ends in the right blob or in one error.

And nothing ever has to be removed by hand: whatever happened, one fetch from honest servers gets
the blob.
"""

import random
import tempfile
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    NotFound,
    PermissionDenied,
    Refused,
    Unavailable,
)
from lading.oci.fetching import watch, widening, windows
from lading.oci.fetching.download import fetch
from lading.oci.progress import Begun, Done, Found, Moved, Restarted
from lading.oci.transport.http import Http
from lading.stores.local.store import LocalStore
from tests.oci.blob_at import At, Pauses, descriptor_of, patience_for
from tests.oci.test_windows import SlowTime
from tests.support.lies import (
    HONEST,
    Always,
    Chunked,
    Cut,
    FromStart,
    Header,
    IgnoresRange,
    Lengthless,
    Longer,
    Multipart,
    SaysLength,
    Shorter,
    Stall,
    Status,
    WrongBytes,
    Zipped,
)
from tests.support.lying import lying

pytestmark = pytest.mark.slow

DATA = random.Random(11).randbytes(400_009)  # noqa: S311 - the same each time
BLOB = descriptor_of(DATA)
REF = f"layer-{BLOB.digest}"

places = some.integers(0, len(DATA)) | some.sampled_from([0, 1, len(DATA) - 1])
framings = some.sampled_from([HONEST, HONEST, Chunked(), Lengthless()])
lies = some.one_of(
    some.just(HONEST),
    some.builds(Cut, places, some.booleans()),
    some.builds(Stall, places),
    some.builds(WrongBytes, places),
    some.builds(Longer, some.integers(1, 5)),
    some.builds(Shorter, some.integers(1, 5)),
    some.builds(SaysLength, places),
    some.builds(FromStart, some.booleans()),
    some.sampled_from([IgnoresRange(), Multipart(), Zipped(), Header("Content-Range")]),
    some.builds(
        Header,
        some.just("Content-Range"),
        some.sampled_from(["bytes 0-9/10", "bytes 5-400008/400009", "bytes 0-400008/*", "x"]),
    ),
    some.builds(Header, some.just("Content-Encoding"), some.sampled_from(["gzip", "br"])),
    some.builds(Status, some.sampled_from([204, 400, 403, 404, 408, 416, 429, 500, 503])),
)
faults = some.builds(lambda lie, framing: lie + framing, lies, framings)
rows_of_faults = some.lists(faults, max_size=5)
tables = some.one_of(
    rows_of_faults,
    some.builds(lambda row, last: [*row, Always(last)], rows_of_faults, faults),
)


class Killed(BaseException):
    """What ends everything, wherever it is."""


class FetchMachine(RuleBasedStateMachine):
    """Fetches one blob again and again, from two servers that the test has started."""

    servers, http = (), None

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = LocalStore(self.folder.name)

    @rule(rows=some.tuples(tables, tables), streams=some.sampled_from([1, 4]))
    def try_it(self, rows, streams):
        self.fetch(rows, streams, None)

    @rule(
        rows=some.tuples(tables, tables),
        streams=some.sampled_from([1, 4]),
        count=some.integers(1, 6),
    )
    def be_killed(self, rows, streams, count):
        self.fetch(rows, streams, count)

    # No preconditions: threads may decide what is there, and hypothesis would call that flaky.
    @rule()
    def lose_the_blob(self):
        if BLOB.digest in self.store:
            self.store.delete(BLOB.digest)

    @rule(size=places, total=some.sampled_from([None, len(DATA), 5]), wrong=some.booleans())
    def be_begun_by_another(self, size, total, wrong):
        self.lose_the_blob()
        for ingest in list(self.store.ingests()):
            self.store.abort(ingest.ref)
        size = min(size, total or size)
        with self.store.writer(REF, total=total) as writer:
            writer.write(bytes(size) if wrong else DATA[:size])

    def fetch(self, rows, streams, killed_at):
        for server, row in zip(self.servers, rows, strict=True):
            server.lie({"files": row})
        steps = []

        def progress(step):
            steps.append(step)
            if len(steps) == killed_at:
                raise Killed

        patience = patience_for(
            Pauses(),
            clock=SlowTime(0.1),
            attempts=2,
            idle=timedelta(seconds=60),
            least_rate=1,
        )
        origins = [At(self.http, server.url_of("blob"), BLOB.size) for server in self.servers]
        try:
            blob = fetch(
                self.store,
                REF,
                BLOB,
                origins,
                patience=patience,
                streams=streams,
                progress=progress,
            )
        except Killed:
            return
        except DigestMismatch:
            assert list(self.store.ingests()) == []
        except (ConnectionFailed, Unavailable, NotFound, PermissionDenied, Refused):
            assert len(list(self.store.ingests())) == 1
        else:
            assert blob.digest == BLOB.digest
            assert list(self.store.ingests()) == []
            assert isinstance(steps[-1], (Done, Found))
        self.check(steps)

    def check(self, steps):
        """Offsets only grow, but for restarts."""
        offset = 0
        for step in steps:
            match step:
                case Begun() | Moved():
                    assert offset <= step.offset <= BLOB.size
                    offset = step.offset
                case Restarted():
                    offset = 0

    @invariant()
    def what_is_there_is_right(self):
        if BLOB.digest in self.store:
            assert self.store.read(BLOB.digest) == DATA

    @invariant()
    def there_is_one_ingest_at_most(self):
        assert len(list(self.store.ingests())) <= 1

    def teardown(self):
        self.fetch(([], []), 1, None)
        assert self.store.read(BLOB.digest) == DATA
        self.folder.cleanup()


def test_whatever_happens_it_ends_in_the_right_blob_or_one_error(monkeypatch):
    monkeypatch.setattr(watch, "READ_SIZE", 16 << 10)
    monkeypatch.setattr(widening, "LEAST_RANGE", 16 << 10)
    monkeypatch.setattr(widening, "WINDOW_LIMIT", 128 << 10)
    monkeypatch.setattr(windows, "WINDOW_LIMIT", 128 << 10)
    http = Http(patience_for(Pauses(), idle=timedelta(milliseconds=100)))
    with lying(files={"blob": DATA}) as one, lying(files={"blob": DATA}) as other:
        run_state_machine_as_test(
            type("Machine", (FetchMachine,), {"servers": (one, other), "http": http}),
            settings=settings(
                max_examples=25,
                stateful_step_count=10,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    http.close()
