"""The checkpoint of an ingest: how far its bytes were hashed, with what result, how far synced.

The file has three slots of 4 KiB, each one line of text that carries its own checksum:

    lading-checkpoint 1 <kind> <offset> <algorithm> <boot id> <updatedat> <mtime> <tail> <state>
    <sha256>

The first two hold the *durable* marks in turn: bytes up to `offset` were synced before the
mark was written, so it counts after a power cut, and a cut while one is written leaves the other.
The third is the *live* mark, rewritten while bytes arrive, at no cost: it counts as long as the
machine has not started anew.

A mark is about the bytes that it was made from. Whoever else wrote since gives himself away:
the `updatedat` of a mark's time is another, or the file's mtime (in a mark made at closing), or
the hash of the last bytes before `offset`. Then the mark counts for nothing, and we hash again.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from lading.model import hashing
from lading.model.digest import ALGORITHMS
from lading.stores.local.disk import NEW, Disk, write_whole
from lading.stores.local.paths import CHECKPOINT

SLOT = 4096
SLOTS = 3
LIVE = 2
_MAGIC = "lading-checkpoint"
_VERSION = "1"
_NO_STATE = "-"
_TAIL_LIMIT = 64 << 10
"""Bytes before the offset by which a mark knows its file."""


class Mark(NamedTuple):
    """What was known of an ingest at one moment."""

    offset: int
    algorithm: str
    state: bytes | None
    boot: str
    updated: str
    durable: bool
    tail: str
    """What `tail_of` says of the file's bytes up to `offset`."""
    mtime_ns: int = 0
    """The data file's, if the ingest was closed at this moment; else 0."""

    def line(self) -> bytes:
        words = (
            _MAGIC,
            _VERSION,
            "durable" if self.durable else "live",
            str(self.offset),
            self.algorithm,
            self.boot,
            self.updated or _NO_STATE,
            str(self.mtime_ns),
            self.tail,
            _NO_STATE if self.state is None else self.state.hex(),
        )
        text = " ".join(words).encode()
        return text + b" " + hashlib.sha256(text).hexdigest().encode() + b"\n"

    def hasher(self) -> hashing.Hasher | None:
        """The hash taken up at `offset`, where that can be done."""
        if self.offset == 0:
            return hashing.hasher(self.algorithm)
        if self.state is None:
            return None
        return hashing.restored(self.algorithm, self.state, self.offset)


class Resumption(NamedTuple):
    """How to go on."""

    keep: int
    """Bytes of the file that are believed."""
    vouching: Mark | None
    """The mark of what a power cut would leave; None if it could take the ingest itself."""
    mark: Mark | None
    """Where to start hashing from."""


def tail_of(file: int, offset: int) -> str:
    """The hash of the last bytes before `offset`, or of as many of them as there are."""
    start = max(0, offset - _TAIL_LIMIT)
    return hashlib.sha256(os.pread(file, offset - start, start)).hexdigest()


def parsed(slot: bytes) -> Mark | None:
    """Read a slot; None for anything that is not a whole mark."""
    text, _, checksum = slot.partition(b"\n")[0].rpartition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        return None
    try:
        words = text.decode().split(" ")
        magic, version, kind, offset, algorithm, boot, updated, mtime, tail, state = words
        mark = Mark(
            offset=int(offset),
            algorithm=algorithm,
            state=None if state == _NO_STATE else bytes.fromhex(state),
            boot=boot,
            updated="" if updated == _NO_STATE else updated,
            durable=kind == "durable",
            tail=tail,
            mtime_ns=int(mtime),
        )
    except ValueError:
        return None
    known = magic == _MAGIC and version == _VERSION and algorithm in ALGORITHMS
    return mark if known and mark.offset >= 0 else None


def resumption(
    marks: list[Mark], *, size: int, mtime_ns: int, updated: str, closed: bool, boot: str
) -> Resumption:
    """Decide what of a partial of `size` bytes can be believed.

    1. No mark of the present `updatedat`: somebody else's ingest, or one whose checkpoint a power
       cut took. If it was `closed` after its last byte, all of it was synced: keep and hash all.
       Else nothing is known of it: begin anew.
    2. A mark of this boot: memory lost nothing since, so all bytes are there; hash on from the
       furthest mark.
    3. None of this boot: keep what a durable mark vouches for, and nothing else.

    Live marks of another boot count for nothing. A mark whose mtime does not fit vouches for its
    bytes, and not for their hash.
    """
    marks = [
        mark
        for mark in marks
        if mark.updated == updated and mark.offset <= size and (mark.durable or mark.boot == boot)
    ]
    if not marks:
        return Resumption(size if closed else 0, None, None)
    vouching = max(
        (mark for mark in marks if mark.durable), key=lambda mark: mark.offset, default=None
    )
    synced = vouching.offset if vouching else 0
    usable = [mark for mark in marks if mark.mtime_ns in {0, mtime_ns}]
    return Resumption(
        keep=size if any(mark.boot == boot for mark in marks) else synced,
        vouching=vouching,
        mark=max(usable, key=lambda mark: mark.offset, default=None),
    )


class Checkpoint:
    """The checkpoint file of one open writer, made when it is first needed. For one thread."""

    def __init__(self, disk: Disk, folder: int) -> None:
        self._disk, self._folder = disk, folder
        self._file = -1
        self._next_durable = 0
        self._slots: dict[Mark, int] = {}

    def marks(self) -> list[Mark]:
        """What the file says, leaving out whatever is torn."""
        self._slots = {}
        file = self._opened()
        for slot in range(SLOTS):
            mark = parsed(os.pread(file, SLOT, slot * SLOT))
            if mark is not None:
                self._slots[mark] = slot
        return list(self._slots)

    def protect(self, mark: Mark) -> None:
        """Have a durable mark outlive the writing of the next one."""
        self._next_durable = 1 - self._slots[mark]

    @property
    def has_durable(self) -> bool:
        """Whether the file vouches for any bytes."""
        return self._file >= 0 and any(mark.durable and mark.offset for mark in self.marks())

    def write(self, mark: Mark) -> None:
        """Write a mark; a durable one has reached the disk on return."""
        slot = self._next_durable if mark.durable else LIVE
        file = self._opened()
        self._put(mark, file, slot)
        if mark.durable:
            self._next_durable = 1 - slot
            self._disk.sync(file)

    def forget(self, path: Path, *, but: Mark | None = None) -> None:
        """Leave nothing but at most one durable mark, in one step that a crash cannot split.

        The old marks are gone from the disk, in the folder at `path`, before this returns, hence
        before a byte of the data changes: else they would vouch for bytes that they never saw.
        """
        temporary = CHECKPOINT + ".tmp"
        file = self._disk.open(temporary, NEW | os.O_TRUNC, folder=self._folder)
        try:
            if but is not None:
                self._put(but, file, 0)
                self._disk.sync(file)
            self._disk.replace_within(self._folder, temporary, CHECKPOINT)
        except BaseException:
            os.close(file)
            raise
        self.close()
        self._file = file
        self._next_durable = 0 if but is None else 1
        self._disk.sync_directory(path)

    def _put(self, mark: Mark, file: int, slot: int) -> None:
        write_whole(self._disk, file, mark.line(), slot * SLOT)

    def _opened(self) -> int:
        if self._file < 0:
            self._file = self._disk.open(CHECKPOINT, folder=self._folder)
        return self._file

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
