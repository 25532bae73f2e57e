"""What holds for a database of either kind."""

from datetime import timedelta

import pytest

from lading.database.engine import connect
from lading.database.statements import Statement
from lading.errors import Unavailable
from tests.database.conftest import NUMBERS, insert, numbers_in

PROCESSES, WRITES = 8, 10
WRITE = """
    import sys
    from lading.database.engine import connect
    from lading.database.statements import Statement
    insert = Statement("INSERT INTO numbers (number) VALUES (:number)")
    database = connect(sys.argv[1])
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        database.write(lambda session: session.run(insert, number=number))
        print(number, flush=True)
    database.close()
"""
HOLD = """
    import sys
    from lading.database.engine import connect
    with connect(sys.argv[1]).hold("lock"):
        print("held", flush=True)
        sys.stdin.read()
"""
FORK = """
    import os, sys
    from lading.database.engine import connect
    from lading.database.statements import Statement
    insert = Statement("INSERT INTO numbers (number) VALUES (:number)")
    def write(number):
        database.write(lambda session: session.run(insert, number=number))
    database = connect(sys.argv[1])
    write(1)
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(said)
        write(2)
        os.read(heard, 1)  # until the parent has closed its database
        write(3)
        os._exit(0)
    write(4)
    database.close()
    os.close(said)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_after_an_error_nothing_happened(database):
    def fail(session):
        insert(1)(session)
        raise KeyError

    for write in (database.write, database.note):
        with pytest.raises(KeyError):
            write(fail)
    assert numbers_in(database) == []
    assert database.write(insert(1), alone=True) == 1


def test_a_percent_sign_and_a_colon_are_only_themselves(database):
    text = Statement("SELECT 'a%b' WHERE 'x%y' LIKE :pattern")
    assert database.row(text, pattern="x%") == ("a%b",)
    assert database.read(lambda session: session.rows(text, pattern=":pattern")) == []


def test_rows_come_one_after_another(database):
    rows = [{"number": number} for number in range(10)]
    many = Statement("INSERT INTO numbers (number) VALUES (:number)")
    database.write(lambda session: session.run_many(many, rows))
    found = database.read(lambda session: [row[0] for row in session.each(NUMBERS, 3)])
    assert found == list(range(10))


@pytest.mark.slow
def test_many_processes_write_at_once_and_nothing_is_lost(database, url, start):
    programs = [
        start(WRITE, url, first, first + WRITES) for first in range(0, PROCESSES * WRITES, WRITES)
    ]
    for program in programs:
        told, _ = program.communicate(timeout=120)
        assert program.returncode == 0
        assert len(told.split()) == WRITES
    assert numbers_in(database) == list(range(PROCESSES * WRITES))


def test_a_lock_has_one_holder(database, url):
    other = connect(url)
    with database.hold("lock"), database.hold("another"):
        for each in (database, other):
            with pytest.raises(Unavailable, match="lock"):
                each.hold("lock").__enter__()
    with other.hold("lock"):
        pass
    other.close()


@pytest.mark.slow
def test_a_lock_is_free_when_its_holder_is_killed(database, url, start):
    holder = start(HOLD, url)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Unavailable):
        database.hold("lock").__enter__()
    holder.kill()
    holder.wait()
    with database.hold("lock", timedelta(seconds=30)):
        pass


@pytest.mark.slow
def test_a_forked_child_and_its_parent_lose_nothing_of_each_other(database, url, start):
    database.close()
    program = start(FORK, url)
    program.communicate(timeout=60)
    assert program.returncode == 0
    assert numbers_in(database) == [1, 2, 3, 4]
