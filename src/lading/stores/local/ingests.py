"""The ingests of one root: described, begun, and taken up where they stopped."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.content.store import Ingest
from lading.errors import FailedPrecondition, IngestMismatch
from lading.model import hashing
from lading.model.digest import Digest, is_hex_of
from lading.stores.local import sidecars
from lading.stores.local.checkpoint import Checkpoint, Mark, resumption, tail_of
from lading.stores.local.disk import FOLDER, NEW, READ, Disk, write_whole
from lading.stores.local.faults import in_our_words, translated
from lading.stores.local.locks import RefLock
from lading.stores.local.paths import DATA, LOCK, StorePaths
from lading.stores.local.scratch import end
from lading.stores.local.sidecars import Sidecars

_COPY_STEP = 2 << 20
RESERVE_LIMIT = 64 << 10
"""Totals below this are not worth a reservation."""


@dataclass(slots=True)
class OpenIngest:
    """An ingest whose ref is held: what a writer needs to go on."""

    known: Sidecars
    file: int
    checkpoint: Checkpoint
    offset: int
    hasher: hashing.Hasher
    hashed: int
    """How many bytes `hasher` has seen; the rest up to `offset` is still to be hashed."""
    synced: int | None
    """Bytes that would survive a power cut; None if the ingest itself would not."""

    @property
    def is_young(self) -> bool:
        """Whether it has a `beginning`, and none of the files in whose place this stands."""
        return self.known.boot is not None

    def write_out(self, disk: Disk, folder: int) -> None:
        """Give a young ingest the files of every other, so that containerd can read it too.

        The ref comes last: until it is there the beginning counts, and then all the rest is.
        """
        if not self.is_young:
            return
        sidecars.write(disk, folder, self.known)
        self.checkpoint.write(self.mark(disk, durable=False))
        sidecars.write_ref(disk, folder, self.known)
        self.known = self.known._replace(boot=None)

    def mark_live(self, disk: Disk) -> None:
        """Have every byte believed for as long as this boot lasts; a beginning says as much."""
        if not self.is_young:
            self.checkpoint.write(self.mark(disk, durable=False))

    def mark(self, disk: Disk, *, durable: bool, mtime_ns: int = 0) -> Mark:
        """What is known of the bytes that `hasher` has seen."""
        return Mark(
            offset=self.hashed,
            algorithm=self.hasher.algorithm,
            state=self.hasher.save(),
            boot=disk.boot_id(),
            updated=sidecars.format_time(self.known.updated_ns),
            durable=durable,
            tail=tail_of(self.file, self.hashed),
            mtime_ns=mtime_ns,
        )


def describe(path: Path) -> Ingest | None:
    """Describe the ingest in a folder; None for a folder that holds none, whatever it holds.

    A folder without data is an ingest that begins or ends just now, or what a crash then left.
    """
    try:
        folder = os.open(path, FOLDER)
    except OSError:
        return None
    try:
        return _described(folder, path.name)
    finally:
        os.close(folder)


def _described(folder: int, key: str) -> Ingest | None:
    try:
        known = sidecars.read(folder, key)
        data = os.stat(DATA, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    if known is None or not stat.S_ISREG(data.st_mode):
        return None
    return Ingest(
        ref=known.ref,
        offset=data.st_size,
        total=known.total,
        expected=known.expected,
        started_ns=known.started_ns or data.st_mtime_ns,
        updated_ns=max(known.updated_ns, data.st_mtime_ns),
    )


def walk(paths: StorePaths) -> Iterator[Ingest]:
    """Every ingest, passing over whatever else lies there."""
    with in_our_words(paths.ingests):
        try:
            names = os.listdir(paths.ingests)
        except (FileNotFoundError, NotADirectoryError):
            return
    for name in names:
        if is_hex_of("sha256", name) and (found := describe(paths.ingests / name)):
            yield found


def begin_or_resume(
    disk: Disk,
    lock: RefLock,
    path: Path,
    ref: str,
    *,
    expected: Digest | None,
    total: int | None,
    now_ns: int,
) -> OpenIngest:
    """Open the ingest in `path`, whose lock is held, and leave word of this boot.

    After a failure an ingest that was there before is still there, with its bytes.
    """
    folder = lock.folder
    names = [] if lock.names_had else os.listdir(folder)  # nothing of this ref is in a spare one
    known = sidecars.read(folder, path.name) if DATA in names else None
    with contextlib.ExitStack() as undo:
        if known is not None:
            known = _aimed(disk, folder, known, expected, total)
            ingest = _resume(disk, folder, path, known, undo)
            ingest.mark_live(disk)
            ingest.write_out(disk, folder)
        else:
            # What a crash left of an ingest that had ended, or had not begun. Nothing of it may
            # get into the new one, its checkpoint least of all.
            _clear(disk, folder, names)
            known = Sidecars(ref, now_ns, now_ns, total, expected, disk.boot_id())
            sidecars.begin(disk, folder, known)
            ingest = _begin(disk, folder, known, undo)
        reserve(disk, ingest)
        undo.pop_all()
    return ingest


class FolderLost(Exception):
    """The folder that we had locked was aborted before its ingest was open."""


def drop_unbegun(disk: Disk, lock: RefLock, path: Path) -> None:
    """Where a refused opening left no ingest, leave nothing. What cannot go is seen as ended."""
    # In the folder that we hold, which an abort may have renamed: then it is the one to empty it.
    if _described(lock.folder, path.name) is None:
        end(disk, lock.folder, path)


def reserve(disk: Disk, ingest: OpenIngest) -> None:
    """Take the room that a known total will need, so that a full disk is met at the start."""
    total = ingest.known.total
    if total is not None and total - ingest.offset >= RESERVE_LIMIT:
        needed = total - ingest.offset
        try:
            disk.reserve(ingest.file, ingest.offset, needed)
        except OSError as error:
            with contextlib.suppress(OSError):
                disk.truncate(ingest.file, ingest.offset)  # ext4 keeps what it found of the room
            raise translated(
                error, ingest.known.ref, offset=ingest.offset, needed=needed
            ) from error


def _begin(disk: Disk, folder: int, known: Sidecars, undo: contextlib.ExitStack) -> OpenIngest:
    checkpoint = Checkpoint(disk, folder)
    undo.callback(checkpoint.close)
    # Last, as containerd does: a folder without data is no ingest yet.
    file = disk.open(DATA, folder=folder)
    undo.callback(os.close, file)
    algorithm = known.expected.algorithm if known.expected else "sha256"
    return OpenIngest(known, file, checkpoint, 0, hashing.hasher(algorithm), hashed=0, synced=None)


def _resume(
    disk: Disk, folder: int, path: Path, known: Sidecars, undo: contextlib.ExitStack
) -> OpenIngest:
    file = _open_data(disk, folder, known.ref)
    undo.callback(os.close, file)
    found = os.fstat(file)
    if not known.started_ns:
        # Written down: marks are known by `updatedat`, and would be strangers the next time.
        known = known._replace(
            started_ns=found.st_mtime_ns, updated_ns=known.updated_ns or found.st_mtime_ns
        )
        sidecars.write_times(disk, folder, known)
    checkpoint = Checkpoint(disk, folder)
    undo.callback(checkpoint.close)
    if known.boot is None:
        marks = [mark for mark in checkpoint.marks() if mark.tail == tail_of(file, mark.offset)]
    else:
        marks = [_first_mark(file, known, known.boot)]
    keep, vouching, mark = resumption(
        marks,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        updated=sidecars.format_time(known.updated_ns),
        closed=known.closed_at is not None and known.closed_at >= found.st_mtime_ns,
        boot=disk.boot_id(),
    )
    if keep < found.st_size:
        # First nothing may vouch for what goes, then it goes.
        if vouching is not None and keep:
            state = vouching.state if vouching == mark else None
            checkpoint.forget(path, but=vouching._replace(mtime_ns=0, state=state))
        else:
            checkpoint.forget(path)
            vouching = None
        disk.truncate(file, keep)
    elif vouching is not None:
        checkpoint.protect(vouching)
        disk.sync_directory(path)  # whoever wrote the mark may have died before this
    algorithm = known.expected.algorithm if known.expected else None
    hasher = None
    if mark is not None and algorithm in {None, mark.algorithm}:
        hasher, algorithm = mark.hasher(), mark.algorithm
    hashed = mark.offset if mark is not None and hasher is not None else 0
    return OpenIngest(
        known=known,
        file=file,
        checkpoint=checkpoint,
        offset=keep,
        hasher=hasher or hashing.hasher(algorithm or "sha256"),
        hashed=hashed,
        synced=vouching.offset if vouching else None,
    )


def _first_mark(file: int, known: Sidecars, boot: str) -> Mark:
    """The live mark that the beginning of a young ingest stands for."""
    return Mark(
        offset=0,
        algorithm=known.expected.algorithm if known.expected else "sha256",
        state=None,
        boot=boot,
        updated=sidecars.format_time(known.updated_ns),
        durable=False,
        tail=tail_of(file, 0),
    )


def _clear(disk: Disk, folder: int, names: list[str]) -> None:
    for name in names:
        if name != LOCK:
            with contextlib.suppress(IsADirectoryError):
                disk.remove(name, folder=folder)


def _aimed(
    disk: Disk, folder: int, known: Sidecars, expected: Digest | None, total: int | None
) -> Sidecars:
    """Add what the opener knows to what was known; the two must not differ."""
    for field, stored, given in (
        ("total", known.total, total),
        ("expected digest", known.expected, expected),
    ):
        if stored is not None and given is not None and stored != given:
            raise IngestMismatch(known.ref, field, stored, given)
    aimed = known._replace(
        total=known.total if total is None else total,
        expected=known.expected if expected is None else expected,
    )
    if aimed != known and known.boot is None:
        sidecars.write_aim(disk, folder, aimed)
    return aimed


def _open_data(disk: Disk, folder: int, ref: str) -> int:
    """Open the bytes for writing, in a file that is this ingest's alone."""
    reader = os.open(DATA, READ, dir_fd=folder)
    try:
        found = os.fstat(reader)
        if not stat.S_ISREG(found.st_mode):
            raise FailedPrecondition(f"the data of ref {ref!r} is no file; abort it")
        if found.st_nlink > 1:
            return _copied(disk, folder, reader, found)
        if not found.st_mode & stat.S_IWUSR:
            disk.unseal(reader)  # a commit that a crash cut short had made it read-only
        return disk.open(DATA, folder=folder)
    finally:
        os.close(reader)


def _copied(disk: Disk, folder: int, shared: int, found: os.stat_result) -> int:
    """Put a copy in the place of bytes that have another name too.

    That name may be a blob's, after a power cut between two folders, or a backup made of hard
    links. Writing here must not change what is read there.
    """
    temporary = DATA + ".tmp"
    own = disk.open(temporary, NEW | os.O_TRUNC, folder=folder)
    try:
        done = 0
        while piece := os.pread(shared, _COPY_STEP, done):
            write_whole(disk, own, piece, done)
            done += len(piece)
        os.utime(own, ns=(found.st_atime_ns, found.st_mtime_ns))
        disk.sync(own)
        disk.replace_within(folder, temporary, DATA)
    except BaseException:
        os.close(own)
        raise
    return own
