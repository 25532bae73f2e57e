"""What a disk would hold after a power cut: the part that was synced, and some of the rest.

Modelled, per file: the bytes in sectors of 512, and the inode (size, mode, time of the last
write) as one unit. Each is durable as of the file's last sync. After a cut every sector, and apart
from them the inode, is as it was after any one of the later changes: so writes are torn and
reordered, a size may be ahead of its bytes (which then read as zeros) or behind them, and a
truncation may be undone around bytes that were written after it.

Modelled, per folder: its entries as of its last sync. Of the later steps (create, link, rename,
unlink) any subset may have reached the disk. A rename within one folder is one step. One between
two folders is a step in each, and file systems differ: `Renames` says how the two belong together.

A sync of a file does not record its name, and the sync of a folder no file's bytes. A sync that
fails has lost what it was to write: the memory still shows it, no later sync writes it.

Not modelled: damage to what was synced, sectors that are torn within, the metadata of folders,
what is done to a file past the `Disk` (the lock file's text), and the times at which things are
read. A drive that lies about its cache is a broken drive; nothing in here lies.
"""

import enum
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 512


class Renames(enum.Enum):
    """What a file system makes of a rename between two folders when the power goes."""

    WHOLE = "both names change or neither does, as with a journal"
    ADDING = "the old name may still be there beside the new one"
    TORN = "either name may be there, both, or none"


class Attributes(NamedTuple):
    size: int
    mode: int
    mtime_ns: int


class Change(NamedTuple):
    """Bytes that were written at `offset`, if any, and the inode as it was then."""

    offset: int
    data: bytes
    after: Attributes

    def apply(self, content: bytearray) -> None:
        _resize(content, self.after.size)
        content[self.offset : self.offset + len(self.data)] = self.data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _attributes(file: int) -> Attributes:
    found = os.fstat(file)
    return Attributes(found.st_size, stat.S_IMODE(found.st_mode), found.st_mtime_ns)


class File:
    """One inode: what of it is durable, and what has happened since."""

    def __init__(self, content: bytes, attributes: Attributes) -> None:
        self._content, self._attributes = bytearray(content), attributes
        self._changes: list[Change] = []

    def change(self, file: int, offset: int = 0, data: bytes = b"") -> None:
        """Note what was just done to the file that is open as `file`."""
        self._changes.append(Change(offset, data, _attributes(file)))

    def settle(self) -> None:
        for change in self._changes:
            change.apply(self._content)
            self._attributes = change.after
        self._changes.clear()

    def lose(self) -> None:
        """Forget the bytes that a failed sync did not write. The inode may yet be written."""
        self._changes = [change._replace(data=b"") for change in self._changes]

    def after_cut(self, choose: "Choice") -> tuple[bytes, Attributes]:
        last = len(self._changes)
        attributes = [self._attributes, *(change.after for change in self._changes)]
        kept = attributes[choose.version(last)]
        content = bytearray(self._content)
        result = bytearray(kept.size)
        wanted: dict[int, list[int]] = {}
        for sector in range(-(-kept.size // SECTOR)):
            wanted.setdefault(choose.version(last), []).append(sector * SECTOR)
        for version in range(last + 1):
            if version:
                self._changes[version - 1].apply(content)
            for start in wanted.get(version, ()):
                piece = content[start : min(start + SECTOR, kept.size)]
                result[start : start + len(piece)] = piece
        return bytes(result), kept


class Move:
    """A rename between two folders, and which of its two steps are durable."""

    def __init__(self) -> None:
        self.added = self.removed = False


class Step(NamedTuple):
    """A change of one folder's entries; None takes a name away."""

    entries: "dict[str, File | Folder | None]"
    move: Move | None = None


class Folder:
    """One directory: its durable entries, and the steps since."""

    def __init__(self) -> None:
        self._entries: dict[str, File | Folder] = {}
        self._steps: list[Step] = []

    def step(self, entries: "dict[str, File | Folder | None]", move: Move | None = None) -> None:
        self._steps.append(Step(entries, move))

    def settle(self) -> None:
        for entries, move in self._steps:
            self._apply(self._entries, entries)
            if move is not None:
                move.added |= None not in entries.values()
                move.removed |= None in entries.values()
        self._steps.clear()

    def lose(self) -> None:
        """Forget the steps that a failed sync did not write."""
        self._steps.clear()

    def after_cut(self, choose: "Choice") -> "dict[str, File | Folder]":
        left = dict(self._entries)
        for entries, move in self._steps:
            adds = None not in entries.values()
            if choose.step() if move is None else choose.half(move, adds=adds):
                self._apply(left, entries)
        return left

    @staticmethod
    def _apply(
        left: "dict[str, File | Folder]", entries: "dict[str, File | Folder | None]"
    ) -> None:
        for name, node in entries.items():
            if node is None:
                left.pop(name, None)
            else:
                left[name] = node


class Choice:
    """Decides what survives a cut: nothing unsynced, all of it, or a mixture by a seed."""

    def __init__(self, which: "int | str", renames: Renames) -> None:
        self.renames = renames
        self._always = {"nothing": False, "everything": True}.get(str(which))
        self._random = random.Random(f"{which} {renames.name}")  # noqa: S311 - to be repeated
        # Each mixture leans some way: most of a file may be new, or old, while names are the other.
        self._new_bytes = self._random.choice((0.01, 0.3, 0.7, 0.99))
        self._new_names = self._random.choice((0.1, 0.5, 0.9))
        self._moves: dict[Move, tuple[bool, bool]] = {}

    def version(self, last: int) -> int:
        """How many of `last` changes one sector, or one inode, has seen."""
        if self._always is not None:
            return last if self._always else 0
        if self._random.random() < self._new_bytes:
            return last
        return self._random.choice((0, self._random.randint(0, last)))

    def step(self) -> bool:
        if self._always is not None:
            return self._always
        return self._random.random() < self._new_names

    def half(self, move: Move, *, adds: bool) -> bool:
        """Whether one of the two steps of a rename between folders survives."""
        if move not in self._moves:
            added, removed = move.added or self.step(), move.removed or self.step()
            if self.renames is Renames.WHOLE:
                added = removed = added or move.removed
            elif self.renames is Renames.ADDING:
                added = added or move.removed
                removed = removed and added
            self._moves[move] = added, removed
        return self._moves[move][not adds]


class Machine:
    """The files below a real folder `top`, which exists and is durable, and their model."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._nodes: dict[int, File | Folder] = {}
        self._tree = self._adopt_folder(top)

    def __iter__(self) -> "Iterator[File | Folder]":
        return iter(self._nodes.values())

    def file(self, file: int) -> File:
        node = self._nodes[os.fstat(file).st_ino]
        assert isinstance(node, File)
        return node

    def folder(self, place: int | Path) -> Folder:
        node = self._nodes[os.stat(place).st_ino]  # noqa: PTH116 - a path, or a descriptor
        assert isinstance(node, Folder)
        return node

    def find(self, name: str | Path, folder: int | None) -> File | Folder:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return self._nodes[found.st_ino]

    def new_file(self, file: int) -> File:
        """Begin to follow a file that was just made. Its number may have been another's before."""
        node = self._nodes[os.fstat(file).st_ino] = File(b"", _attributes(file))
        return node

    def new_folder(self, path: Path) -> Folder:
        node = self._nodes[path.stat().st_ino] = Folder()
        return node

    def after_cut(self, target: Path, choose: Choice) -> None:
        """Make in `target` what the choice leaves of everything."""
        self._build(self._tree, target, choose, {})

    def _build(
        self, folder: Folder, target: Path, choose: Choice, built: "dict[File | Folder, Path]"
    ) -> None:
        target.mkdir()
        for name, node in folder.after_cut(choose).items():
            path = target / name
            if isinstance(node, Folder):
                # A folder with two names is nothing that a file system's check would leave.
                if node not in built:
                    built[node] = path
                    self._build(node, path, choose, built)
            elif node in built:
                os.link(built[node], path)
            else:
                built[node] = path
                content, attributes = node.after_cut(choose)
                path.write_bytes(content)
                path.chmod(attributes.mode)
                os.utime(path, ns=(attributes.mtime_ns, attributes.mtime_ns))

    def _adopt_folder(self, path: Path) -> Folder:
        folder = self.new_folder(path)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    folder.step({entry.name: self._adopt_folder(Path(entry.path))})
                else:
                    folder.step({entry.name: self._adopt_file(Path(entry.path))})
        folder.settle()
        return folder

    def _adopt_file(self, path: Path) -> File:
        with path.open("rb") as file:
            attributes = _attributes(file.fileno())
            node = self._nodes.setdefault(
                os.fstat(file.fileno()).st_ino, File(file.read(), attributes)
            )
        assert isinstance(node, File)
        return node
