"""Forks: what a child may do with a database that its parent has open."""

import os
import threading

import pytest

from lading.database import forks
from lading.database.engine import connect
from lading.errors import FailedPrecondition
from tests.database.conftest import insert, numbers_in

LEAVE_A_CHILD = """
    import os, sys
    from lading.database.engine import connect

    database = connect(sys.argv[1])
    held = database.hold("lock")
    held.__enter__()
    if not os.fork():
        print("held", flush=True)  # by the child, which has begun then
    os.read(0, 1)
"""


def in_child(work):
    """What work raises in a child of a fork: the name of it, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is told
                os.write(writer, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 1000).decode()
    os.close(reader)
    os.waitpid(child, 0)
    return said


@pytest.fixture
def busy(sqlite, monkeypatch):
    """Have a thread in the middle of a transaction, reading or writing."""
    monkeypatch.setattr(forks, "WAIT", 0.01)
    begun, end, threads = threading.Event(), threading.Event(), []

    def begin(way):
        def transaction(session):
            numbers = insert(1)(session) if way == "write" else None
            begun.set()
            end.wait(60)
            return numbers

        threads.append(threading.Thread(target=getattr(sqlite, way), args=[transaction]))
        threads[0].start()
        begun.wait(60)

    yield begin
    end.set()
    threads[0].join(60)


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_child_forked_in_a_long_transaction_has_no_part_in_the_database(sqlite, busy, way):
    def write_anew():
        connect(sqlite.url).write(insert(2))

    busy(way)
    for work in (lambda: numbers_in(sqlite), lambda: sqlite.write(insert(2)), write_anew):
        assert in_child(work) == FailedPrecondition.__name__


def test_a_child_of_a_database_at_rest_writes_to_it(sqlite):
    assert in_child(lambda: sqlite.write(insert(2))) == ""
    assert numbers_in(sqlite) == [2]


def test_a_child_does_not_keep_a_lock_that_its_parent_gives_back(database, url):
    other = connect(url)
    reader, writer = os.pipe()
    with database.hold("lock"):
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # until the parent has seen what it wants to see
            os._exit(0)
    with other.hold("lock"):
        pass
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)
    other.close()


@pytest.mark.slow
def test_a_child_does_not_keep_the_lock_of_a_parent_that_is_killed(sqlite, start):
    program = start(LEAVE_A_CHILD, sqlite.url)
    assert program.stdout.readline() == b"held\n"
    program.kill()
    program.wait()
    with sqlite.hold("lock"):
        pass
