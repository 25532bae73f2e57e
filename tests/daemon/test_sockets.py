"""Whose a path is: what is taken over, what is refused, and what is left alone."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack

import pytest

from lading.daemon import sockets
from lading.daemon.sockets import SocketPath
from lading.errors import FailedPrecondition, PermissionDenied, Unavailable
from tests.daemon.conftest import SOURCE


def bound(path):
    """A socket at the path, on which somebody answers."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(os.fspath(path))
    made.listen(1)
    return made


def stale(path):
    """A socket of a process that is dead."""
    path.parent.mkdir(exist_ok=True)
    bound(path).close()


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_directory_that_is_made_is_for_this_user_alone(path):
    before = os.umask(0)
    try:
        with SocketPath(path):
            assert mode(path.parent) == 0o700
            assert mode(path.with_name("lading.sock.lock")) == 0o600
    finally:
        os.umask(before)


def test_a_directory_that_is_there_keeps_its_mode(path):
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with SocketPath(path):
        assert mode(path.parent) == 0o755


def test_nobody_else_may_connect_from_the_first_moment_on(path):
    before = os.umask(0)
    try:
        with SocketPath(path) as taken:
            with taken.binding():
                made = bound(path)
                assert mode(path) == 0o600
            made.close()
            assert os.umask(0) == 0  # and the mask is what it was
    finally:
        os.umask(before)


def test_at_the_end_nothing_is_left(path):
    with SocketPath(path) as taken:
        with taken.binding():
            bound(path).close()
        assert path.exists()
    assert list(path.parent.iterdir()) == []


def test_a_stale_socket_is_taken_over(path):
    stale(path)
    path.with_name("lading.sock.lock").write_text("12345\n")
    with SocketPath(path):
        # It goes when another one is bound in its place, and not before.
        assert path.exists()


def test_a_path_that_is_taken_says_by_whom(path):
    with SocketPath(path):
        with pytest.raises(Unavailable) as refused:
            SocketPath(path)
        assert str(refused.value) == (
            f"{path}: process {os.getpid()} listens there; stop it, or listen somewhere else"
        )
    with SocketPath(path):
        pass


def test_a_socket_on_which_a_stranger_answers_is_refused_and_stays(path):
    path.parent.mkdir()
    with bound(path):
        with pytest.raises(Unavailable, match="another program listens there"):
            SocketPath(path)
        assert path.is_socket()
        assert not path.with_name("lading.sock.lock").exists()


def test_a_stranger_with_a_full_queue_is_somebody_too(path):
    path.parent.mkdir()
    with bound(path), ExitStack() as callers:
        while True:
            caller = callers.enter_context(socket.socket(socket.AF_UNIX))
            caller.settimeout(0)
            try:
                caller.connect(os.fspath(path))
            except BlockingIOError:
                break
        with pytest.raises(Unavailable, match="another program listens there"):
            SocketPath(path)


@pytest.mark.parametrize("kind", ["file", "directory", "link to a socket", "link to nothing"])
def test_what_is_no_socket_stays(path, kind):
    path.parent.mkdir()
    match kind:
        case "file":
            path.write_bytes(b"precious")
        case "directory":
            path.mkdir()
        case "link to a socket":
            stale(path.with_name("other.sock"))
            path.symlink_to(path.with_name("other.sock"))
        case _:
            path.symlink_to("nowhere")
    before = path.lstat()
    with pytest.raises(FailedPrecondition, match="is no socket, and stays as it is"):
        SocketPath(path)
    assert os.path.samestat(path.lstat(), before)


def test_a_lock_is_not_written_through_a_link(path):
    path.parent.mkdir()
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    path.with_name("lading.sock.lock").symlink_to(victim)
    with pytest.raises(FailedPrecondition, match="cannot listen there"):
        SocketPath(path)
    assert victim.read_bytes() == b"precious"


def test_what_a_stranger_has_put_in_the_place_of_ours_stays(path):
    with SocketPath(path) as taken:
        with taken.binding():
            bound(path).close()
        path.rename(path.with_name("away"))
        stranger = bound(path)
    assert path.is_socket()
    stranger.close()


def test_a_folder_that_is_a_file_is_a_sentence(folder):
    (folder / "file").write_bytes(b"")
    with pytest.raises(FailedPrecondition, match="cannot listen there"):
        SocketPath(folder / "file" / "lading.sock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_sentence(folder):
    folder.chmod(0o500)
    with pytest.raises(PermissionDenied, match="cannot listen there"):
        SocketPath(folder / "lading.sock")


def test_a_lock_whose_file_has_just_gone_holds_nobody_back_and_is_taken_again(path, monkeypatch):
    first = SocketPath(path)
    flock = fcntl.flock

    def flock_after_the_end_of_the_first(*arguments):
        monkeypatch.setattr(sockets.fcntl, "flock", flock)
        # The second has opened the lock's file; now the first one ends and takes that away.
        first.close()
        flock(*arguments)

    monkeypatch.setattr(sockets.fcntl, "flock", flock_after_the_end_of_the_first)
    with SocketPath(path), pytest.raises(Unavailable):
        SocketPath(path)


TAKE = """
import sys
from pathlib import Path
from lading.daemon.sockets import SocketPath
from lading.errors import Unavailable
sys.stdin.readline()
try:
    taken = SocketPath(Path(sys.argv[1]))
except Unavailable:
    print("refused", flush=True)
else:
    print("taken", flush=True)
    sys.stdin.readline()
    taken.close()
"""


@pytest.mark.slow
def test_of_several_that_come_at_one_time_exactly_one_gets_the_path(path):
    stale(path)
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TAKE, path],
                    env={"PYTHONPATH": SOURCE},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for _ in range(4)
        ]
        for word in (b"go\n", b"end\n"):
            for racer in racers:
                if word == b"go\n" or racer.poll() is None:
                    racer.stdin.write(word)
                    racer.stdin.flush()
            if word == b"go\n":
                said = sorted(racer.stdout.readline() for racer in racers)
                assert said == [b"refused\n"] * 3 + [b"taken\n"]
