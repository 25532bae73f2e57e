"""What is said where a package of an extra is missing."""

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

OLD = Path(__file__).with_name("revision_0001.sql")

PROGRAM = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == sys.argv[2]:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Missing())
    from lading.metadata import Metadata
    from lading.stores.local.store import LocalStore
    try:
        Metadata(sys.argv[1], content=LocalStore(sys.argv[3]))
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "name"),
    [("alembic", "metadata"), ("sqlalchemy", "metadata"), ("psycopg", "postgresql")],
)
def test_a_missing_extra_is_named_with_how_to_install_it(tmp_path, package, name):
    with contextlib.closing(sqlite3.connect(tmp_path / "metadata.db")) as connection:
        connection.executescript(OLD.read_text())  # a new file needs no steps
    scheme = {"metadata": f"sqlite:///{tmp_path}/metadata.db", "postgresql": "postgresql://h/d"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), scheme[name], package, tmp_path / "root"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert package in done.stdout
    assert done.stdout.endswith(f"run: pip install 'lading[{name}]'\n")
