"""A database on a disk that may not be written."""

import shutil
from contextlib import closing

import pytest

from lading.database.engine import connect
from lading.database.statements import Statement
from lading.errors import PermissionDenied
from tests.database.conftest import MAKE, insert, numbers_in, run

COUNT = Statement("SELECT COUNT(*) FROM numbers")


@pytest.mark.parametrize("path", ["numbers.db", "new/numbers.db"])
def test_a_disk_that_may_not_be_written_is_said_to_be_so(small_disk, path):
    database = connect(f"sqlite:///{small_disk.folder}/numbers.db")
    database.write(lambda session: session.run(MAKE))
    database.close()
    small_disk.remount("ro")
    database = connect(f"sqlite:///{small_disk.folder}/{path}")
    with pytest.raises(PermissionDenied):
        database.write(insert(1))
    with pytest.raises(PermissionDenied):
        database.hold("lock").__enter__()
    database.close()


@pytest.mark.parametrize("name", ["numbers.db", "a?b#c%41 d.db"])
def test_a_database_on_a_read_only_disk_can_be_read(small_disk, name):
    url = f"sqlite:///{small_disk.folder}/{name}"
    database = connect(url)
    database.write(lambda session: session.run(MAKE))
    database.write(insert(7))
    database.close()
    small_disk.remount("ro")
    database = connect(url)
    assert numbers_in(database) == [7]
    assert database.row(COUNT) == (1,)
    for write in (database.write, database.note):
        with pytest.raises(PermissionDenied, match="readonly"):
            write(insert(8))
    database.relieve()
    database.close()
    small_disk.remount("rw")
    assert connect(url).write(insert(8)) == 1


@pytest.mark.parametrize("has_index", [True, False])
def test_a_log_on_a_read_only_disk_is_never_passed_over(small_disk, sqlite, has_index):
    sqlite.write(insert(7))  # and its file stays open, so that the log stays too
    for suffix in ("", "-wal", "-shm") if has_index else ("", "-wal"):
        shutil.copy(f"{sqlite.path}{suffix}", f"{small_disk.folder}/numbers.db{suffix}")
    small_disk.remount("ro")
    with closing(connect(f"sqlite:///{small_disk.folder}/numbers.db")) as copy:
        if has_index:
            assert numbers_in(copy) == [7]
        else:
            with pytest.raises(PermissionDenied):
                numbers_in(copy)


def test_a_disk_that_others_may_write_is_not_taken_for_a_read_only_one(small_disk, tmp_path):
    database = connect(f"sqlite:///{small_disk.folder}/numbers.db")
    database.write(lambda session: session.run(MAKE))
    database.close()
    view = tmp_path / "view"
    view.mkdir()
    run("mount", "--bind", small_disk.folder, view)
    try:
        run("mount", "-o", "remount,bind,ro", view)
        with pytest.raises(PermissionDenied):
            numbers_in(connect(f"sqlite:///{view}/numbers.db"))
    finally:
        run("umount", "--lazy", view)
