import signal
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors as pg

from lading.database.engine import connect
from lading.database.statements import Statement
from lading.errors import InvalidArgument, PermissionDenied, Unavailable
from tests.database.conftest import INSERT, MAKE, insert, numbers_in

COUNT = Statement("SELECT COUNT(*) FROM numbers")
QUICK = timedelta(milliseconds=50)


@pytest.fixture
def database(postgresql):
    database = connect(postgresql, wait=timedelta(seconds=30))
    database.write(lambda session: session.run(MAKE))
    yield database
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_away_is_unavailable_and_back_when_it_is(
    database, postgresql_server, sign
):
    database.write(insert(1))
    database.note(insert(2))
    calls = (
        lambda: database.row(COUNT),
        lambda: numbers_in(database),
        lambda: database.write(insert(3)),
        lambda: database.note(insert(3)),
        lambda: database.hold("lock").__enter__(),
    )
    postgresql_server.stop(sign)
    try:
        for call in calls:
            with pytest.raises(Unavailable, match="does not answer"):
                call()
    finally:
        postgresql_server.start()
    # Nobody notices that the old connections are dead.
    assert database.row(COUNT)[0] in {1, 2}
    assert database.write(insert(3)) == 1
    assert database.note(insert(4)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("call", ["row", "read", "write", "note"])
def test_nobody_notices_a_server_that_was_started_again(database, postgresql_server, call):
    database.write(insert(1))
    database.note(insert(2))
    postgresql_server.stop()
    postgresql_server.start()
    calls = {
        "row": lambda: database.row(COUNT) == (2,),
        "read": lambda: numbers_in(database) == [1, 2],
        "write": lambda: database.write(insert(3)) == 1,
        "note": lambda: database.note(insert(3)) == 1,
    }
    assert calls[call]()


@pytest.mark.slow
def test_a_server_that_goes_in_the_middle_has_written_nothing(database, postgresql_server):
    def write_and_lose_the_server(session):
        insert(1)(session)
        postgresql_server.stop(signal.SIGQUIT)
        insert(2)(session)

    try:
        with pytest.raises(Unavailable):
            database.write(write_and_lose_the_server)
    finally:
        postgresql_server.start()
    assert numbers_in(database) == []
    assert database.write(insert(1)) == 1


@pytest.mark.parametrize("error", [pg.SerializationFailure, pg.DeadlockDetected])
def test_what_the_server_wants_once_more_is_run_once_more(database, error):
    codes = {pg.SerializationFailure: "40001", pg.DeadlockDetected: "40P01"}
    attempts = []

    def write(session):
        attempts.append(insert(1)(session))
        if len(attempts) < 3:
            session.run(Statement(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{codes[error]}'; END $$"))

    database.write(write)
    assert len(attempts) == 3
    assert numbers_in(database) == [1]


def test_what_never_ends_well_is_given_up(database):
    attempts = []

    def write(session):
        attempts.append(session)
        session.run(Statement("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))

    with pytest.raises(Unavailable):
        database.write(write)
    assert len(attempts) == 10


def test_two_that_change_one_row_each_see_the_other(database, postgresql):
    """The second waits at the row that the first has locked, and then goes by what it left."""
    database.write(insert(1))
    look = Statement("SELECT number FROM numbers", locking="UPDATE")
    other = connect(postgresql, wait=QUICK)

    def change(session):
        session.row(look)
        with pytest.raises(Unavailable, match="busy"):
            other.write(lambda session: session.row(look))

    database.write(change)
    assert other.write(lambda session: session.row(look)) == (1,)
    other.close()


@pytest.mark.parametrize("way", ["write", "note"])
def test_who_writes_alone_keeps_off_all_others(database, postgresql, way):
    other = connect(postgresql, wait=QUICK)

    def write(session):
        for write in (other.write, other.note):
            with pytest.raises(Unavailable, match="busy"):
                write(insert(2))
        insert(1)(session)

    getattr(database, way)(write, alone=True)
    assert numbers_in(other) == [1]

    def beside(session):
        other.write(insert(2))
        with pytest.raises(Unavailable, match="busy"):
            other.write(insert(3), alone=True)

    database.write(beside)
    assert numbers_in(other) == [1, 2]
    other.close()


def test_a_note_does_not_wait_for_the_disk_and_a_write_does(database):
    level = Statement("SHOW synchronous_commit")
    assert database.write(lambda session: session.row(level)) == ("on",)
    assert database.note(lambda session: session.row(level)) == ("off",)


def test_what_the_server_forbids_is_said_to_be_forbidden(database, postgresql):
    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON numbers TO reader")
    reader = connect(postgresql.replace("lading@", "reader@"))
    with pytest.raises(PermissionDenied, match="permission denied"):
        reader.write(insert(1))
    assert numbers_in(reader) == []
    reader.close()
    with psycopg.connect(postgresql) as connection:
        connection.execute("DROP OWNED BY reader")
        connection.execute("DROP ROLE reader")


def test_what_the_server_cannot_take_is_refused(database):
    text = Statement("SELECT CAST(:text AS text)")
    with pytest.raises(InvalidArgument):
        database.row(text, text="nul\0")
    with pytest.raises(InvalidArgument):
        database.write(lambda session: session.run(INSERT, number=1 << 40))
    assert database.row(text, text="é") == ("é",)


def test_a_password_is_in_no_message(database, postgresql):
    wrong = postgresql.replace("lading@", "lading:secret@").replace("empty", "absent")
    for url in (wrong, "postgresql://lading:secret@[bad", "postgresql://x:secret@h/d?nonsense=1"):
        with pytest.raises((InvalidArgument, Unavailable)) as caught:
            connect(url).write(insert(1))
        assert "secret" not in str(caught.value)
    assert "secret" not in connect(wrong).url


def test_connections_are_used_again_and_closed(database, postgresql):
    count = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
    for number in range(5):
        database.write(insert(number))
        numbers_in(database)
    assert len(database._durable._all) == 1
    database.close()
    assert not database._durable._all
    with psycopg.connect(postgresql) as connection:
        for _ in range(1000):  # a server takes a moment to see that somebody has hung up
            if connection.execute(count).fetchone() == (1,):
                return
            connection.rollback()
    raise AssertionError("connections were left open")
