"""Kill -9 at each step of a commit, a change of labels and a deletion, and what is there after."""

import subprocess
import sys
import textwrap

import pytest

from lading.errors import AlreadyExists, NotFound
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

HELLO = b"hello, world"
RIGHT = Digest.of(HELLO)
PROGRAM = """
    import os, signal, sys
    from lading.database.sqlite import SqliteDatabase
    from lading.metadata import Metadata
    from lading.model.digest import Digest
    from lading.stores.local.store import LocalStore
    from lading.stores.local.writer import LocalWriter

    url, root, call, seam, number = sys.argv[1:]
    HELLO = b"hello, world"
    RIGHT = Digest.of(HELLO)

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def dying(function, where):
        # Dies at the call of that number: before it, inside its transaction, or after it.
        calls = iter(range(1, 100))
        def call(self, *arguments, **options):
            if next(calls) != int(number):
                return function(self, *arguments, **options)
            if where == "before":
                die()
            if where == "inside":
                transaction = arguments[0]
                def inside(session):
                    transaction(session)
                    die()
                return function(self, inside, **options)
            function(self, *arguments, **options)
            die()
        return call

    with Metadata(url, content=LocalStore(root)) as metadata:
        namespace = metadata.namespace("images")
        name, where = seam.split("-")
        owner = {"write": SqliteDatabase, "note": SqliteDatabase, "commit": LocalWriter,
                 "add": LocalStore}[name]
        setattr(owner, name, dying(getattr(owner, name), where))
        if call == "commit":
            with namespace.writer("w") as writer:
                writer.write(HELLO)
                writer.commit(labels={"a": "1"})
        elif call == "add":
            namespace.add(HELLO, labels={"a": "1"})
        elif call == "label":
            for value in "123":
                namespace.label(RIGHT, {"a": value, "b": value})
                print(value, flush=True)
        elif call == "delete":
            namespace.delete(RIGHT)
    print("lived", flush=True)
"""
COMMIT_SEAMS = [
    ("note", "before", 1), ("note", "inside", 1), ("note", "after", 1),
    ("note", "inside", 2), ("note", "after", 2),
    ("commit", "before", 1), ("commit", "after", 1),
    ("write", "before", 1), ("write", "inside", 1), ("write", "after", 1),
]  # fmt: skip
ADD_SEAMS = [
    ("note", "inside", 1), ("note", "after", 1), ("add", "before", 1), ("add", "after", 1),
    ("write", "inside", 1), ("write", "after", 1),
]  # fmt: skip
CHANGE_SEAMS = [
    ("write", where, number) for where in ("before", "inside", "after") for number in (1, 2, 3)
]
pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/metadata.db"


@pytest.fixture
def opened(url, tmp_path):
    """Open the namespace, as whoever comes next does."""
    catalogs = []

    def open_namespace():
        catalogs.append(Metadata(url, content=LocalStore(tmp_path / "root")))
        return catalogs[-1].namespace("images")

    yield open_namespace
    for each in catalogs:
        each.close()


@pytest.fixture
def killed(url, tmp_path):
    """Have a program do something and die at it; the lines that it said before."""

    def kill(call, seam):
        name, where, number = seam
        arguments = [url, tmp_path / "root", call, f"{name}-{where}", str(number)]
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments]
        done = subprocess.run(program, capture_output=True, check=False, text=True)
        assert done.returncode == -9, done.stderr
        return done.stdout.split()

    return kill


def check_whole(namespace):
    """Every blob that has a row has its bytes."""
    for blob in namespace.blobs():
        data = namespace.read(blob.digest)
        assert Digest.of(data) == blob.digest
        assert len(data) == blob.size


def name_of(seam):
    return "-".join(map(str, seam))


@pytest.mark.parametrize("seam", COMMIT_SEAMS, ids=name_of)
def test_a_commit_that_is_killed_has_happened_or_goes_on(opened, killed, seam):
    killed("commit", seam)
    namespace = opened()
    check_whole(namespace)
    was_acknowledged = seam == ("write", "after", 1)
    assert (RIGHT in namespace) == was_acknowledged
    try:
        with namespace.writer("w") as writer:
            # What was sent need not be sent again: neither before the content store's commit nor
            # between that and the row.
            expected = 0 if was_acknowledged or (seam[0] == "note" and seam[2] == 1) else len(HELLO)
            assert writer.offset == expected
            writer.write(HELLO[writer.offset :]) if writer.offset < len(HELLO) else None
            blob = writer.commit(size=len(HELLO), expected=RIGHT, labels={"a": "1"})
            assert blob.labels == {"a": "1"}
    except AlreadyExists:
        assert was_acknowledged
    assert namespace.blob(RIGHT).labels == {"a": "1"}
    assert namespace.read(RIGHT) == HELLO
    assert list(namespace.ingests()) == []
    check_whole(namespace)


@pytest.mark.parametrize("seam", ADD_SEAMS, ids=name_of)
def test_an_add_that_is_killed_has_happened_or_may_be_done_again(opened, killed, seam):
    killed("add", seam)
    namespace = opened()
    check_whole(namespace)
    assert (RIGHT in namespace) == (seam[:2] == ("write", "after"))
    assert namespace.add(HELLO, labels={"b": "2"}).labels["b"] == "2"
    assert namespace.read(RIGHT) == HELLO


@pytest.mark.parametrize("seam", CHANGE_SEAMS, ids=name_of)
def test_no_acknowledged_label_is_lost_and_none_is_half_set(opened, killed, seam):
    opened().add(HELLO)
    said = killed("label", seam)
    assert len(said) == seam[2] - 1
    labels = dict(opened().blob(RIGHT).labels)
    last = str(seam[2] if seam[1] == "after" else seam[2] - 1)
    assert labels == ({} if last == "0" else {"a": last, "b": last})


@pytest.mark.parametrize("seam", CHANGE_SEAMS[::3], ids=name_of)
def test_a_deletion_that_is_killed_has_happened_or_has_not(opened, killed, seam):
    opened().add(HELLO, labels={"a": "1"})
    killed("delete", seam)
    namespace = opened()
    check_whole(namespace)
    if seam[1] == "after":
        with pytest.raises(NotFound):
            namespace.blob(RIGHT)
        assert namespace.add(HELLO).labels == {}
    else:
        assert namespace.blob(RIGHT).labels == {"a": "1"}
        namespace.delete(RIGHT)
    check_whole(namespace)
