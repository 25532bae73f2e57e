import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from lading.database.engine import connect
from lading.database.session import Session
from lading.database.statements import Statement
from lading.errors import (
    DatabaseFull,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    Unavailable,
)
from tests.database.conftest import INSERT, MAKE, NUMBERS, insert, numbers_in

COUNT = Statement("SELECT COUNT(*) FROM numbers")


def run_together(database, transactions):
    """Run each in a thread of its own, all under one commit; what each returned or raised."""
    outcomes = {}

    def run(index, transaction):
        try:
            outcomes[index] = database.write(transaction)
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(transactions)]
    with database._turn:
        for thread in threads:
            thread.start()
        while len(database._queue) < len(threads):
            os.sched_yield()
    for thread in threads:
        thread.join()
    return [outcomes[index] for index in range(len(threads))]


@pytest.fixture
def commits(sqlite):
    """The commits of the writer's connection, as they are made."""
    made = []
    sqlite._writer.connection.set_trace_callback(
        lambda text: made.append(text) if text == "COMMIT" else None
    )
    return made


# Those that wait together


def test_those_that_wait_together_share_one_commit(sqlite, commits):
    assert run_together(sqlite, [insert(number) for number in range(8)]) == [1] * 8
    assert numbers_in(sqlite) == list(range(8))
    assert len(commits) == 1


def test_no_savepoint_is_made_for_those_that_all_succeed(sqlite):
    made = []
    sqlite._writer.connection.set_trace_callback(made.append)
    run_together(sqlite, [insert(number) for number in range(8)])
    assert [text for text in made if not text.startswith("INSERT")] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_where_one_fails_the_others_run_once_more_and_no_oftener(sqlite):
    runs = []

    def counted(number):
        def transaction(session):
            runs.append(number)
            session.run(INSERT, number=number)
            if number == 2:
                raise KeyError
            return number

        return transaction

    outcomes = run_together(sqlite, [counted(number) for number in range(4)])
    assert sorted(runs) == [0, 0, 1, 1, 2, 2, 3]
    assert [each for each in outcomes if not isinstance(each, KeyError)] == [0, 1, 3]
    assert numbers_in(sqlite) == [0, 1, 3]


def test_a_transaction_that_fails_takes_no_other_along(sqlite, commits):
    def fail(session):
        session.run(INSERT, number=100)
        raise KeyError

    def clash(session):
        session.run(INSERT, number=101)
        session.run(INSERT, number=101)

    def misspell(session):
        session.run(Statement("SELECT nothing FROM nowhere"))

    outcomes = run_together(sqlite, [insert(1), fail, insert(2), clash, misspell, insert(3)])
    assert [type(outcome) for outcome in outcomes] == [
        int, KeyError, int, sqlite3.IntegrityError, sqlite3.OperationalError, int,
    ]  # fmt: skip
    assert numbers_in(sqlite) == [1, 2, 3]
    assert len(commits) == 1


def test_a_commit_that_fails_fails_all_of_them(sqlite):
    sqlite.write(
        lambda session: session.run(
            Statement(
                "CREATE TABLE children (parent INTEGER REFERENCES numbers (number)"
                " DEFERRABLE INITIALLY DEFERRED)"
            )
        )
    )
    orphan = Statement("INSERT INTO children (parent) VALUES (77)")
    outcomes = run_together(sqlite, [insert(1), lambda session: session.run(orphan), insert(2)])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    assert numbers_in(sqlite) == []
    assert sqlite.write(insert(3)) == 1


def test_an_interrupt_is_one_threads_own_and_the_others_end_well(sqlite):
    interrupts = iter([True])

    def interrupted(session):
        session.run(INSERT, number=2)
        if next(interrupts, False):
            raise KeyboardInterrupt

    outcomes = run_together(sqlite, [insert(0), insert(1), interrupted, insert(3)])
    failed = [number for number, each in enumerate(outcomes) if isinstance(each, KeyboardInterrupt)]
    assert len(failed) == 1
    assert numbers_in(sqlite) == sorted({0, 1, 2, 3} - set(failed))


def wait_for_queue(database, length):
    while len(database._queue) < length:
        os.sched_yield()


@pytest.mark.parametrize("leads", [True, False])
def test_one_that_is_interrupted_while_it_waits_leaves_the_others_to_go_on(sqlite, leads):
    other = threading.Thread(target=sqlite.write, args=[insert(2)])

    def interrupt():
        if leads:
            wait_for_queue(sqlite, 1)
            other.start()
        wait_for_queue(sqlite, 2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        while not heard.wait(1):  # it came as the thread was just lying down, which hears nothing
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    heard = threading.Event()
    interrupter = threading.Thread(target=interrupt)
    with sqlite._turn:
        if not leads:
            other.start()
            wait_for_queue(sqlite, 1)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            sqlite.write(insert(1))
        heard.set()
    other.join(60)
    interrupter.join(60)
    assert numbers_in(sqlite) == [2]
    assert sqlite.write(insert(3)) == 1


class Interrupted:
    """A connection whose next call of that name is done when the interrupt is heard."""

    def __init__(self, connection, name):
        self.connection, self.name, self.is_next = connection, name, True

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, text):
        done = self.connection.execute(text)
        if text == self.name and self.is_next:
            self.is_next = False
            raise KeyboardInterrupt
        return done


def test_what_was_committed_when_an_interrupt_is_heard_is_not_run_again(sqlite):
    sqlite._writer.connection = Interrupted(sqlite._writer.connection, "COMMIT")
    outcomes = run_together(sqlite, [insert(number) for number in range(3)])
    assert sorted(map(repr, outcomes)) == ["1", "1", "KeyboardInterrupt()"]
    assert numbers_in(sqlite) == [0, 1, 2]


def test_what_was_undone_when_an_interrupt_is_heard_is_not_taken_for_done(sqlite):
    def fail(session):
        raise KeyError

    sqlite._writer.connection = Interrupted(sqlite._writer.connection, "ROLLBACK")
    outcomes = run_together(sqlite, [insert(0), insert(1), fail, insert(2)])
    written = [number for number, each in zip([0, 1, None, 2], outcomes, strict=True) if each == 1]
    assert [type(each) for each in outcomes].count(KeyboardInterrupt) == 1
    assert numbers_in(sqlite) == written


def test_who_is_done_does_not_wait_for_the_next_group(sqlite):
    gates = {number: threading.Event() for number in (1, 4)}
    inside = {number: threading.Event() for number in (1, 4)}

    def write(number):
        def transaction(session):
            if number in gates:
                inside[number].set()
                gates[number].wait(60)
            return session.run(INSERT, number=number)

        return sqlite.write(transaction)

    threads = {n: threading.Thread(target=write, args=[n]) for n in (1, 2, 3, 4)}
    with sqlite._turn:
        for number in (1, 2, 3):
            threads[number].start()
            wait_for_queue(sqlite, number)
    inside[1].wait(60)  # the first group runs, and the fourth comes too late for it
    threads[4].start()
    wait_for_queue(sqlite, 1)
    gates[1].set()
    inside[4].wait(60)
    for number in (1, 2, 3):
        threads[number].join(60)
        assert not threads[number].is_alive()
    assert numbers_in(sqlite) == [1, 2, 3]
    gates[4].set()
    threads[4].join(60)
    assert numbers_in(sqlite) == [1, 2, 3, 4]


def test_one_alone_that_fails_leaves_nothing_and_no_transaction_open(sqlite):
    def fail(session):
        session.run(INSERT, number=1)
        raise KeyError

    with pytest.raises(KeyError):
        sqlite.write(fail)
    assert not sqlite._writer.connection.in_transaction
    assert sqlite.write(insert(2)) == 1
    assert numbers_in(sqlite) == [2]


def test_one_that_must_last_makes_its_whole_group_last(sqlite):
    levels = []
    level = Statement("PRAGMA synchronous")
    for write in (sqlite.write, sqlite.note, sqlite.write):
        write(lambda session: levels.append(session.row(level)[0]))
    assert levels == [2, 1, 2]


def test_who_relieves_the_writers_moves_their_pages_while_they_hold_the_file(sqlite, tmp_path):
    for number in range(3):
        sqlite.write(insert(number))
    with sqlite._turn:  # as a writer has it
        sqlite.relieve()
    alone = tmp_path / "alone.db"
    shutil.copy(sqlite.path, alone)  # without the log
    with closing(sqlite3.connect(alone)) as copy:
        assert copy.execute("SELECT number FROM numbers").fetchall() == [(0,), (1,), (2,)]


def test_who_cannot_relieve_the_writers_leaves_it_to_them(sqlite, monkeypatch):
    def fail(*arguments):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Session, "row", fail)
    sqlite.relieve()


# What can be wrong with the file


def test_a_busy_file_is_waited_for_and_then_said_to_be_busy(sqlite, sqlite_url):
    quick = connect(sqlite_url, wait=timedelta(milliseconds=20))
    other = sqlite3.connect(sqlite.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for write in (quick.write, quick.note):
        with pytest.raises(Unavailable, match=r"busy for longer than 0\.02 seconds"):
            write(insert(1))
    assert numbers_in(quick) == []
    other.execute("COMMIT")
    other.close()
    assert quick.write(insert(1)) == 1
    quick.close()


def test_a_file_that_somebody_else_makes_just_now_is_waited_for(sqlite_url, monkeypatch):
    """To change the way of the journal SQLite itself waits for nobody."""
    database = connect(sqlite_url, wait=timedelta(seconds=30))
    database._make_folder()
    other = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waits = []

    def end_the_other(seconds):
        waits.append(seconds)
        other.execute("COMMIT")

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", end_the_other)
        database.write(lambda session: session.run(MAKE))
    other.close()
    assert len(waits) == 1
    assert numbers_in(database) == []
    database.close()


def test_a_folder_that_somebody_else_makes_just_now_is_used(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    exists = Path.exists

    def made_meanwhile(path):
        folder.mkdir(exist_ok=True)
        return exists(path)

    monkeypatch.setattr(Path, "exists", made_meanwhile)
    database = connect(f"sqlite:///{folder}/numbers.db")
    database.write(lambda session: session.run(MAKE))
    database.close()


def test_a_full_disk_loses_nothing_and_changes_nothing(small_disk):
    database = connect(f"sqlite:///{small_disk.folder}/numbers.db")
    make = Statement("CREATE TABLE wide (number INTEGER PRIMARY KEY, text TEXT)")
    wide = Statement("INSERT INTO wide (number, text) VALUES (:number, :text)")
    numbers = Statement("SELECT number FROM wide ORDER BY number")
    database.write(lambda session: session.run(make))

    def fill(numbers):
        for number in numbers:
            row = {"number": number, "text": "x" * 20_000}
            database.write(partial(Session.run_many, statement=wide, parameters=[row]))
            written.append((number,))

    written = []
    with pytest.raises(DatabaseFull, match="free some space"):
        fill(range(100))
    assert 0 < len(written) < 100
    assert database.read(lambda session: session.rows(numbers)) == written
    small_disk.remount("size=4m")
    fill([100])
    assert database.read(lambda session: session.rows(numbers)) == written
    database.close()


@pytest.mark.parametrize("kept", [0, 100, 4096])
def test_a_spoiled_file_is_said_to_be_lost_in_one_sentence(sqlite, kept):
    with_many = [{"number": number} for number in range(5000)]
    sqlite.write(lambda session: session.run_many(INSERT, with_many))
    sqlite.close()
    with open(sqlite.path, "r+b") as file:  # noqa: PTH123 - in place
        size = file.seek(0, os.SEEK_END)
        file.seek(kept)
        file.write(b"\xa5" * (size - kept))
    for call in (
        lambda: sqlite.row(COUNT),
        lambda: numbers_in(sqlite),
        lambda: sqlite.write(insert(1)),
        lambda: sqlite.note(lambda session: session.rows(NUMBERS)),
    ):
        with pytest.raises(DataLoss, match=r"numbers\.db: data loss: .*rebuild it") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_database_in_memory_is_refused(path):
    with pytest.raises(InvalidArgument):
        connect(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["", "numbers.db", "mysql://x", "sqlite:numbers.db"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidArgument):
        connect(url)


def test_a_folder_that_is_a_file_is_said_to_be_one(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    database = connect(f"sqlite:///{tmp_path}/file/numbers.db")
    with pytest.raises(FailedPrecondition, match="file"):
        database.write(insert(1))


def test_a_path_may_have_any_signs(tmp_path):
    database = connect(f"sqlite:///{tmp_path}/a b?c#d%20é/numbers.db")
    database.write(lambda session: session.run(MAKE))
    database.write(insert(1))
    database.close()
    assert (tmp_path / "a b?c#d%20é" / "numbers.db").exists()


# Its connections


def test_threads_that_end_leave_no_connection_behind(sqlite):
    for _ in range(5):
        thread = threading.Thread(target=numbers_in, args=[sqlite])
        thread.start()
        thread.join()
    assert len(sqlite._readers._all) == 1


def test_a_closed_database_holds_no_file(sqlite):
    sqlite.write(insert(1))
    sqlite.close()
    sqlite.close()
    assert not os.path.exists(f"{sqlite.path}-wal")  # noqa: PTH110 - SQLite's own sign of it
    assert numbers_in(sqlite) == [1]


def test_a_read_that_runs_while_the_database_is_closed_ends_well(sqlite):
    sqlite.write(insert(1))

    def close_and_read(session):
        sqlite.close()
        return session.rows(NUMBERS)

    assert sqlite.read(close_and_read) == [(1,)]
    assert not os.path.exists(f"{sqlite.path}-wal")  # noqa: PTH110 - ditto


def test_a_read_sees_one_snapshot(sqlite):
    def look(session):
        before = session.rows(NUMBERS)
        sqlite.write(insert(1))
        return before == session.rows(NUMBERS)

    assert sqlite.read(look)
    assert numbers_in(sqlite) == [1]
