"""A real PostgreSQL for tests: started once for a run or a worker, on a unix socket of its own.

    postgresql_server     the server, which a test may stop and start
    postgresql            the address of a database that is empty
    emptied_postgresql    the same, with the tables of this code; quicker

It syncs as a real one does. Its own order of texts is not that of bytes, so that ours cannot lean
on it.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lading.database.engine import connect
from lading.database.migrate import bring_up_to_date
from lading.database.schema import tables
from tests.support.peers import peer

_READY = b"ready to accept connections"
_DEBIAN = Path("/usr/lib/postgresql")
_numbers = itertools.count()


def _program(name: str) -> str:
    """Where a program of the server is; Debian keeps them out of the PATH."""
    peer("postgresql")
    installed = sorted(_DEBIAN.glob(f"*/bin/{name}"), reverse=True)
    return str(installed[0]) if installed else str(shutil.which(name))


class Server:
    """A server over a folder of its own. As root it runs as somebody else, as it insists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data, self._sockets = folder / "data", folder / "sockets"
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: dict[str, object] = {}
        for each in (folder, self._data, self._sockets):
            each.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            names = [each.pw_name for each in pwd.getpwall()]
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self._owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for each in (folder, self._data, self._sockets):
                os.chown(each, user.pw_uid, user.pw_gid)
        self._run(
            _program("initdb"),
            f"--pgdata={self._data}",
            "--username=lading",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en",
            "--no-sync",
        )

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, check=False, **self._owner
        )
        assert done.returncode == 0, done.stderr.decode()

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://lading@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(_program("postgres"), "-D", str(self._data), "-k", str(self._sockets)),
                *("-c", "listen_addresses=", "-c", "max_connections=200"),
            ],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            **self._owner,
        )
        told = self._process.stderr
        assert told is not None
        lines = []
        for line in told:
            lines.append(line)
            if _READY in line:
                # Somebody has to go on reading, or the pipe fills up.
                self._reader = threading.Thread(target=told.read, daemon=True)
                self._reader.start()
                return
        raise AssertionError(b"".join(lines).decode())

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End it: by SIGINT it hangs up on who is connected, by SIGQUIT it has crashed."""
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """The server."""
    peer("postgresql")
    folder = Path(tempfile.mkdtemp(prefix="lading-"))  # a socket's path has to be short
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def postgresql(postgresql_server: Server) -> Iterator[str]:
    """The address of a database that is empty."""
    name = f"empty{next(_numbers)}"
    postgresql_server.execute(f"CREATE DATABASE {name}")
    yield postgresql_server.url(name)
    postgresql_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _migrated(postgresql_server: Server) -> str:
    postgresql_server.execute("CREATE DATABASE migrated")
    url = postgresql_server.url("migrated")
    database = connect(url)
    bring_up_to_date(database)
    database.close()
    return url


@pytest.fixture
def emptied_postgresql(_migrated: str) -> str:
    """The address of a database with the tables of this code, and no rows."""
    with psycopg.connect(_migrated, options="-c synchronous_commit=off") as connection:
        for table in reversed(tables.sorted_tables):
            connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - the schema's own names
    return _migrated
