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
from lading.stores.local.disk import NEW, Disk
from lading.stores.local.faults import in_our_words, translated
from lading.stores.local.locks import RefLock
from lading.stores.local.paths import DATA, LOCK, StorePaths
from lading.stores.local.sidecars import Sidecars

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
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
    recorded: bool
    """Whether the folder and its small files would survive a power cut."""

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
        folder = os.open(path, _FOLDER)
    except OSError:
        return None
    try:
        known = sidecars.read(folder, path.name)
        data = os.stat(DATA, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    finally:
        os.close(folder)
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
    """Open the ingest in `path`, whose lock is held, and leave a live mark of this boot.

    After a failure an ingest that was there before is still there, with its bytes.
    """
    folder = lock.folder
    known = sidecars.read(folder, path.name)
    with contextlib.ExitStack() as undo:
        if known is not None and _has_data(folder):
            known = _aimed(disk, folder, known, expected, total)
            ingest = _resume(disk, folder, path, known, undo)
        else:
            # What a crash left of an ingest that had ended, or had not begun. Nothing of it may
            # get into the new one, its checkpoint least of all.
            _clear(disk, folder)
            known = Sidecars(ref, now_ns, now_ns, total, expected)
            sidecars.write(disk, folder, known)
            ingest = _begin(disk, folder, known, undo)
        ingest.checkpoint.write(ingest.mark(disk, durable=False))
        reserve(disk, ingest)
        undo.pop_all()
    return ingest


def reserve(disk: Disk, ingest: OpenIngest) -> None:
    """Take the room that a known total will need, so that a full disk is met at the start."""
    total = ingest.known.total
    if total is not None and total - ingest.offset >= RESERVE_LIMIT:
        needed = total - ingest.offset
        try:
            disk.reserve(ingest.file, ingest.offset, needed)
        except OSError as error:
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
    return OpenIngest(
        known, file, checkpoint, 0, hashing.hasher(algorithm), hashed=0, recorded=False
    )


def _resume(
    disk: Disk, folder: int, path: Path, known: Sidecars, undo: contextlib.ExitStack
) -> OpenIngest:
    file = _open_data(disk, folder, known.ref)
    undo.callback(os.close, file)
    found = os.fstat(file)
    if not known.started_ns:
        known = known._replace(started_ns=found.st_mtime_ns, updated_ns=found.st_mtime_ns)
    checkpoint = Checkpoint(disk, folder)
    undo.callback(checkpoint.close)
    found_marks = checkpoint.marks()
    marks = [mark for mark in found_marks if mark.tail == tail_of(file, mark.offset)]
    keep, mark = resumption(
        marks,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        updated=sidecars.format_time(known.updated_ns),
        closed=known.closed_at is not None and known.closed_at >= found.st_mtime_ns,
        boot=disk.boot_id(),
    )
    recorded = mark is not None and mark.durable
    if keep < found.st_size or any(stale not in marks for stale in found_marks):
        checkpoint.forget(path)
        if keep < found.st_size:
            disk.truncate(file, keep)
        if mark is not None and mark.durable:
            disk.sync_directory(path)  # the new checkpoint's name; its mark says that it stands
            checkpoint.write(mark._replace(mtime_ns=0))
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
        recorded=recorded,
    )


def _has_data(folder: int) -> bool:
    try:
        os.stat(DATA, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _clear(disk: Disk, folder: int) -> None:
    for name in os.listdir(folder):
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
    if aimed != known:
        sidecars.write_aim(disk, folder, aimed)
    return aimed


def _open_data(disk: Disk, folder: int, ref: str) -> int:
    """Open the bytes for writing, in a file that is this ingest's alone."""
    try:
        file = disk.open(DATA, folder=folder)
    except PermissionError:
        # A commit that a crash cut short had made it read-only.
        reader = os.open(DATA, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
        try:
            disk.unseal(reader)
        finally:
            os.close(reader)
        file = disk.open(DATA, folder=folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise FailedPrecondition(f"the data of ref {ref!r} is no file; abort it")  # noqa: TRY301 - closes below
        if not found.st_mode & stat.S_IWUSR:
            disk.unseal(file)
        if found.st_nlink == 1:
            return file
        own = _copied(disk, folder, file, found)
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return own


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
            done += disk.write(own, piece, done)
        os.utime(own, ns=(found.st_atime_ns, found.st_mtime_ns))
        disk.sync(own)
        disk.replace_within(folder, temporary, DATA)
    except BaseException:
        os.close(own)
        raise
    return own
