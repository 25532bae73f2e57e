"""The order of the calls in docs/durability.md is the one in which they are made."""

import contextlib
import errno
import inspect
import os
import re
import sys
from pathlib import Path

import pytest

from lading import Aborted, AlreadyExists, Digest, LocalStore, NotFound
from lading.errors import DiskFailed, WriterClosed
from lading.stores.local import spares
from lading.stores.local.disk import NEW, Disk
from tests.architecture.pages import ROOT, blocks, rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the page's lists are Linux's")

PAGE = (ROOT / "docs" / "durability.md").read_text()
LISTS = {
    block.mark.removeprefix("order: "): block.code.splitlines()
    for block in blocks(PAGE)
    if block.mark.startswith("order: ")
}
CALLS = [name for name, _ in inspect.getmembers(Disk, inspect.isfunction) if name[0] != "_"]
TOTAL = 100_000  # enough for room to be reserved
WHOLE = bytes(TOTAL)
HALF = WHOLE[: TOTAL // 2]
EXPECTED = Digest.of(WHOLE)


class Dead(BaseException):
    """The process died before a call."""


class Recorder(Disk):
    """The real disk, which writes down what is asked of it before it is done."""

    def __init__(self, root):
        super().__init__()
        self.root, self.steps, self.nameless = Path(os.path.realpath(root)), [], True

    def place(self, path, folder=None):
        """A file as the page names it: below the root, what differs each time left out."""
        if isinstance(path, int):
            path = Path("/proc/self/fd", str(path)).readlink()
        elif folder is not None:
            path = Path("/proc/self/fd", str(folder)).readlink() / path
        name = os.path.relpath(str(path).removesuffix(" (deleted)"), self.root)
        name = {".": "<root>", "..": "<the root's parent>"}.get(name, name)
        name = re.sub(r"^blobs/\w+/#\d+$", "draft", name)
        name = re.sub(r"^(blobs/\w+)/[0-9a-f]+$", r"\1/<hex>", name)
        name = re.sub(r"^ingest/[0-9a-f]+", "ingest/<key>", name)
        return re.sub(r"^scratch/(\w+)-\d+-[0-9a-f]+", r"scratch/<\1>", name)

    def note(self, call, given):
        folder = given.get("folder")
        if call == "replace_within":
            names = [self.place(given[name], folder) for name in ("source", "target")]
        elif call == "copy":
            names = [self.place(given["target"])]
        else:
            sources = [given[name] for name in ("file", "path", "name", "source") if name in given]
            names = [self.place(path, folder) for path in sources]
            names += [self.place(given["target"])] if "target" in given else []
        self.steps.append(f"{call} {' -> '.join(names)}")

    def open_nameless(self, folder):
        self.note("open_nameless", {"path": folder})
        return super().open_nameless(folder) if self.nameless else None

    def open(self, path, flags=NEW, *, folder=None):
        if flags & os.O_TRUNC or (flags & os.O_CREAT and not exists(path, folder)):
            self.note("open", {"path": path, "folder": folder})
        return super().open(path, flags, folder=folder)

    def remove(self, name, *, folder=None):
        if exists(name, folder):
            self.note("remove", {"name": name, "folder": folder})
        return super().remove(name, folder=folder)


def exists(path, folder):
    with contextlib.suppress(FileNotFoundError):
        os.stat(path, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def recorded(call):
    method = getattr(Disk, call)
    signature = inspect.signature(method)

    def record(self, *arguments, **options):
        given = signature.bind(self, *arguments, **options)
        self.note(call, given.arguments)
        return method(self, *arguments, **options)

    return record


for name in set(CALLS) - set(vars(Recorder)) - {"boot_id"}:
    setattr(Recorder, name, recorded(name))


def folded(steps):
    """The steps with each run of equal ones, or of equal groups of up to three, as one."""
    for size in (1, 2, 3):
        at = 0
        while at + 2 * size <= len(steps):
            if steps[at : at + size] == steps[at + size : at + 2 * size]:
                steps = steps[: at + size] + steps[at + 2 * size :]
            else:
                at += 1
    return steps


@pytest.fixture
def disk(tmp_path):
    return Recorder(tmp_path / "root")


@pytest.fixture
def store(disk):
    """A store whose standing folders are there and recorded."""
    store = LocalStore(disk.root, disk=disk)
    with store.batch():
        pass
    return store


@pytest.fixture
def nameless(tmp_path):
    file = Disk().open_nameless(tmp_path)
    if file is None:
        pytest.skip("this file system has no nameless files")
    os.close(file)


@pytest.fixture
def writer(store):
    with store.writer("ref", total=TOTAL, expected=EXPECTED) as writer:
        yield writer


@contextlib.contextmanager
def in_order(disk, title):
    """What the block does is what the page's list of that title says."""
    disk.steps.clear()
    yield
    assert folded(disk.steps) == LISTS[title]


def test_the_first_write_records_the_standing_folders(disk):
    with in_order(disk, "the first write to a root"), LocalStore(disk.root, disk=disk).batch():
        pass


@pytest.mark.usefixtures("nameless")
def test_add_syncs_the_bytes_then_names_them_then_syncs_the_name(store, disk):
    with in_order(disk, "add"):
        store.add(WHOLE)


@pytest.mark.usefixtures("nameless")
def test_add_settles_what_is_there(store, disk):
    store.add(WHOLE)
    with in_order(disk, "add, of what is there"):
        store.add(WHOLE)


@pytest.mark.usefixtures("nameless")
def test_add_replaces_what_is_bad_in_one_step(store, disk):
    place = store.path(store.add(WHOLE).digest)
    place.chmod(0o644)
    place.write_bytes(HALF + HALF[::-1] + b"?")
    with in_order(disk, "add, of what is there and is bad"):
        store.add(WHOLE)
    assert store.read(EXPECTED) == WHOLE


def test_add_goes_through_scratch_where_no_file_is_nameless(store, disk):
    disk.nameless = False
    with in_order(disk, "add, without nameless files"):
        store.add(WHOLE)


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(("number", "title"), [(7, "batch of seven"), (8, "batch of eight")])
def test_a_batch_names_nothing_before_all_is_synced(store, disk, number, title):
    with in_order(disk, title), store.batch() as batch:
        for blob in range(number):
            batch.add(bytes([blob]))


def test_a_writer_makes_the_data_last(store, disk):
    with in_order(disk, "writer"):
        writer = store.writer("ref", total=TOTAL, expected=EXPECTED)
    writer.close()


def test_a_young_ingest_gets_its_ref_after_all_else(writer, disk):
    writer.write(HALF)
    with in_order(disk, "growing up"):
        writer._ingest.write_out(disk, writer._lock.folder)


def test_a_sync_writes_its_mark_after_the_bytes(writer, disk):
    writer._ingest.write_out(disk, writer._lock.folder)
    writer.write(HALF)
    with in_order(disk, "the first sync"):
        writer.sync()
    writer.write(HALF)
    with in_order(disk, "a sync after it"):
        writer.sync()
    disk.steps.clear()
    writer.sync()
    assert disk.steps == []


def test_close_says_that_the_bytes_are_synced_once_they_are(writer, disk):
    writer.sync()
    writer.write(HALF)
    with in_order(disk, "close"):
        writer.close()


def test_truncate_takes_the_checkpoint_off_the_disk_first(writer, disk):
    writer.write(HALF)
    writer.sync()
    with in_order(disk, "truncate, after a sync"):
        writer.truncate()


def test_truncate_waits_for_nothing_where_nothing_was_synced(writer, disk):
    writer.write(HALF)
    with in_order(disk, "truncate, before any sync"):
        writer.truncate()


def test_commit_returns_after_the_name_was_synced(writer, disk):
    writer.write(WHOLE)
    with in_order(disk, "commit"):
        writer.commit()


def test_a_commit_leaves_its_folder_to_the_next_ingest(disk, monkeypatch):
    monkeypatch.setattr(spares, "AFTER", 0)
    store = LocalStore(disk.root, disk=disk)
    with store.writer("one whose name is longer", total=TOTAL) as writer:
        writer.write(WHOLE)
        with in_order(disk, "commit, where a folder is wanted"):
            writer.commit()
    with in_order(disk, "writer, in the folder of another"):
        writer = store.writer("ref", total=TOTAL)
    writer.close()


@pytest.mark.usefixtures("nameless")
def test_commit_publishes_a_copy_where_locks_lie(store, disk, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda file, operation: None)
    with store.writer("ref", total=TOTAL, expected=EXPECTED) as writer:
        writer.write(WHOLE)
        with in_order(disk, "commit, where locks cannot be trusted"):
            writer.commit()


def test_abort_renames_the_folder_before_it_is_emptied(writer, store, disk):
    with in_order(disk, "abort"):
        store.abort("ref")


def test_delete_is_one_call(store, disk):
    store.add(WHOLE)
    with in_order(disk, "delete"):
        store.delete(EXPECTED)


def test_what_is_there_is_settled_before_that_is_said(store, disk):
    store.add(WHOLE)
    with in_order(disk, "a writer of what is there"), pytest.raises(AlreadyExists):
        store.writer("ref", expected=EXPECTED)


def test_a_failed_sync_cuts_the_data_to_the_last_good_one(writer, disk, monkeypatch):
    def fail(file):
        disk.note("sync", {"file": file})
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer.write(HALF)
    monkeypatch.setattr(disk, "sync", fail)
    with in_order(disk, "a sync that fails"), pytest.raises(DiskFailed):
        writer.sync()


# What the page promises and no list shows.


def test_a_ref_is_recorded_even_if_its_last_writer_died_recording_it(store, disk, monkeypatch):
    def die(path):
        raise Dead

    writer = store.writer("ref")
    writer.write(HALF)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_directory", die)
        with pytest.raises(Dead):
            writer.sync()
    writer._release(WriterClosed)  # what the kernel does for the dead
    disk.steps.clear()
    with store.writer("ref") as writer:
        assert writer.offset == len(HALF)
        writer.sync()
        assert {"sync_directory ingest", "sync_directory ingest/<key>"} <= set(disk.steps)


def test_truncate_waits_for_the_disk_where_a_closed_ingest_lost_its_checkpoint(store, disk):
    with store.writer("ref") as writer:
        writer.write(HALF)
    [checkpoint] = disk.root.glob("ingest/*/checkpoint")
    checkpoint.unlink()
    with store.writer("ref") as writer:
        assert writer.offset == len(HALF)
        disk.steps.clear()
        writer.truncate()
        # Else a power cut brings the old bytes back, and `updatedat` says that they are whole.
        assert "sync ingest/<key>/data" in disk.steps


def test_abort_frees_room_on_a_disk_without_room_for_one_folder_more(store, disk, monkeypatch):
    def full(path):
        if not path.is_dir():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.writer("ref") as writer:
        writer.write(HALF)
    monkeypatch.setattr(disk, "make_folder", full)
    store.abort("ref")
    with pytest.raises(NotFound):
        store.ingest("ref")


def test_an_abort_is_seen_though_a_backup_has_linked_the_data(writer, store, disk, tmp_path):
    [data] = disk.root.glob("ingest/*/data")
    (tmp_path / "backup").hardlink_to(data)
    store.abort("ref")
    with pytest.raises(Aborted):
        writer.write(HALF)


def test_a_folder_whose_sync_failed_goes_on_failing(tmp_path, monkeypatch):
    def fail(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk = Disk()
    with monkeypatch.context() as patched:
        patched.setattr("lading.stores.local.disk._full_sync", fail)
        with pytest.raises(OSError, match="Input/output"):
            disk.sync_directory(tmp_path)
    with pytest.raises(OSError, match="Input/output"):
        disk.sync_directory(tmp_path)


def test_the_page_has_every_call_of_the_disk():
    section = PAGE.partition("\n## The order of the calls\n")[2]
    named = [name for row in rows(section) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == CALLS


def test_every_list_of_the_page_is_compared():
    source = Path(__file__).read_text()
    titles = [block.mark.removeprefix("order: ") for block in blocks(PAGE) if block.mark]
    assert titles
    assert [title for title in titles if f'"{title}"' not in source] == []
