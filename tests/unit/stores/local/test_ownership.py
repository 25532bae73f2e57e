"""Whose root it is, and what file system it is on."""

import fcntl
from pathlib import Path

import pytest

from lading.stores.local import ownership
from lading.stores.local.ownership import file_system, foreign, locks_reach_everyone

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /mnt/share rw shared:2 - nfs4 server:/share rw
24 22 0:22 / /mnt/with\040space rw - fuse.sshfs host:/ rw
25 22 0:23 / /mnt/share/local rw master:3 propagate_from:1 - xfs /dev/vdb rw
26 22 0:24 / /mnt/over rw - tmpfs tmpfs rw
27 22 0:25 / /mnt/over rw - cifs //server/share rw
28 22 0:26 / /mnt/back\134slash rw - 9p host rw
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "io.containerd.metadata.v1.bolt" / "meta.db"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_root_of_its_own_is_nobody_elses(tmp_path):
    assert foreign(tmp_path / "root") is None


def test_a_root_beside_containerds_database_is_containerds(tmp_path, database):
    for root in (tmp_path / "io.containerd.content.v1.content", tmp_path / "anything"):
        assert foreign(root).live is False


def test_a_database_that_is_locked_belongs_to_a_containerd_that_runs(tmp_path, database):
    with database.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert foreign(tmp_path / "content").live is True
        fcntl.flock(file, fcntl.LOCK_UN)
        assert foreign(tmp_path / "content").live is False


def test_looking_leaves_the_database_as_it_was(tmp_path, database):
    before = database.stat()
    foreign(tmp_path / "content")
    assert database.stat() == before
    with database.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_link_to_containerds_root_is_containerds_too(tmp_path, database):
    (tmp_path / "content").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "content")
    assert foreign(link) is not None


def test_a_database_that_we_may_not_open_is_one_all_the_same(tmp_path, database, monkeypatch):
    # As root is never refused, the refusal is made here.
    def refused(*arguments, **options):
        raise PermissionError

    monkeypatch.setattr(ownership.os, "open", refused)
    assert foreign(tmp_path / "content").live is True
    database.unlink()
    database.parent.rmdir()
    assert foreign(tmp_path / "content") is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/in/it", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/root", "xfs"),
        ("/mnt/with space/root", "fuse.sshfs"),
        ("/mnt/over/root", "cifs"),
        ("/mnt/back\\slash/root", "9p"),
    ],
)
def test_a_path_is_on_the_file_system_mounted_last_and_deepest(path, kind, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self, **options: MOUNTS.lstrip())
    assert file_system(Path(path)) == kind


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="nobody lists mounts")
def test_this_machines_own_file_systems_are_found(tmp_path):
    assert file_system(tmp_path)
    assert file_system(tmp_path / "not" / "there") == file_system(tmp_path)
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("kind", "reach"),
    [
        (None, True),
        ("ext4", True),
        ("xfs", True),
        ("overlay", True),
        ("tmpfs", True),
        ("nfs4", False),
        ("nfs", False),
        ("cifs", False),
        ("fuse.sshfs", False),
        ("9p", False),
        ("something-new", False),
    ],
)
def test_only_the_locks_of_one_machines_file_systems_reach_everyone(kind, reach, monkeypatch):
    monkeypatch.setattr(ownership, "file_system", lambda path: kind)
    assert locks_reach_everyone(Path("/any")) is reach
