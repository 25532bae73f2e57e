"""Databases of both engines, programs that use them, and a disk that is soon full."""

import shutil
import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest

from lading.database.engine import connect
from lading.database.statements import Statement

INSERT = Statement("INSERT INTO numbers (number) VALUES (:number)")
NUMBERS = Statement("SELECT number FROM numbers ORDER BY number")
MAKE = Statement("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")


def insert(number):
    """A transaction that writes a number down."""
    return lambda session: session.run(INSERT, number=number)


def numbers_in(database):
    """The numbers that are written down, in order."""
    return [row[0] for row in database.read(lambda session: session.rows(NUMBERS))]


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/folder/numbers.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """The address of an empty database of either kind."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else request.param)


@pytest.fixture
def database(url):
    """A database with an empty table of numbers."""
    database = connect(url, wait=timedelta(seconds=30))
    database.write(lambda session: session.run(MAKE))
    yield database
    database.close()


@pytest.fixture
def sqlite(sqlite_url):
    """The same, of the one kind."""
    database = connect(sqlite_url, wait=timedelta(seconds=30))
    database.write(lambda session: session.run(MAKE))
    yield database
    database.close()


@pytest.fixture
def start():
    """Start a program that is given as text, with its arguments."""
    started = []

    def start_program(text, *arguments):
        program = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(program)
        return program

    yield start_program
    for program in started:
        program.kill()
        program.communicate()


class SmallDisk:
    """A disk of one mebibyte, mounted on a folder."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def remount(self, options) -> None:
        """Change how it is mounted."""
        run("mount", "-o", f"remount,{options}", self.folder)


def run(name, *arguments):
    """Run a program of the system."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no program {name}")
    return subprocess.run([program, *arguments], capture_output=True, check=True)


@pytest.fixture
def small_disk(tmp_path):
    """A small disk, where this system lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        run("mount", "-t", "tmpfs", "-o", "size=1m", "lading", folder)
    except subprocess.CalledProcessError:
        pytest.skip("mounting a small disk is not allowed")
    yield SmallDisk(folder)
    run("umount", "--lazy", folder)
