import time

import pytest

from lading.database.courtesy import Courtesy
from lading.database.statements import Statement

ALL = Statement("SELECT number FROM numbers")


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, and the pauses that were made."""

    class Clock:
        now_ns, pauses = 0, 0

        def pause(self, seconds):
            self.pauses += 1

    clock = Clock()
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock.now_ns)
    monkeypatch.setattr(time, "sleep", clock.pause)
    return clock


def test_a_loop_gives_way_after_each_millisecond_and_no_oftener(clock):
    courtesy = Courtesy()
    given = []
    for micros in (0, 999, 1_000, 1_001, 1_999, 2_000, 9_000):
        clock.now_ns = micros * 1000
        courtesy.give_way()
        given.append(clock.pauses)
    assert given == [0, 0, 1, 1, 1, 2, 3]


def test_a_long_reading_gives_way_while_it_lasts(sqlite, clock):
    sqlite.write(
        lambda session: session.run(
            Statement(
                "WITH RECURSIVE n (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM n"
                " WHERE number < 999) INSERT INTO numbers SELECT number FROM n"
            )
        )
    )

    def read(session):
        for _ in session.each(ALL):
            clock.now_ns += 100_000  # nanoseconds for each row

    sqlite.read(read)
    assert clock.pauses == 10
