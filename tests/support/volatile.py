"""A disk that forgets: the real calls on the real files, and beside them what would be durable."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from lading.model.digest import Data
from lading.stores.local.disk import NEW, Disk
from tests.support.durable import Folder, Machine, Move


class Dead(BaseException):
    """The power went, or the process died, before a call. No handler of errors may catch it."""


class VolatileDisk(Disk):
    """The disk of one process on a `Machine`. It dies before its call number `dies_before`.

    Once dead it makes no call any more, whoever asks: the handlers that Python still runs are those
    of a process that is no more.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        boot: str = "boot-1",
        dies_before: int | None = None,
        nameless: bool = True,
    ) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._machine, self._boot, self._dies_before = machine, boot, dies_before
        self._nameless = nameless
        self.dead = False
        self._one_call = threading.RLock()

    @contextlib.contextmanager
    def _call(self, name: str) -> Iterator[None]:
        with self._one_call:
            if len(self.calls) == self._dies_before:
                self.dead = True
            if self.dead:
                raise Dead(name)
            self.calls.append(name)
            yield

    # Files

    def open(self, path: str | Path, flags: int = NEW, *, folder: int | None = None) -> int:
        with self._call(f"open {Path(path).name}"):
            new = flags & os.O_CREAT and not _exists(path, folder)
            file = super().open(path, flags, folder=folder)
            if new:
                self._place(path, folder).step({Path(path).name: self._machine.new_file(file)})
            elif flags & os.O_TRUNC:
                self._machine.file(file).change(file)
            return file

    def open_nameless(self, folder: Path) -> int | None:
        with self._call("open_nameless"):
            file = super().open_nameless(folder) if self._nameless else None
            if file is not None:
                self._machine.new_file(file)
            return file

    def write(self, file: int, data: Data, offset: int) -> int:
        with self._call(f"write at {offset}"):
            count = super().write(file, data, offset)
            self._machine.file(file).change(file, offset, bytes(memoryview(data)[:count]))
            return count

    def copy(self, source: int, target: int, count: int, start: int, offset: int) -> int:
        with self._call(f"copy to {offset}"):
            copied = super().copy(source, target, count, start, offset)
            self._machine.file(target).change(target, offset, os.pread(target, copied, offset))
            return copied

    def reserve(self, file: int, offset: int, size: int) -> None:
        with self._call("reserve"):
            super().reserve(file, offset, size)

    def start_write_back(self, file: int, offset: int, size: int) -> None:
        with self._call("start_write_back"):
            super().start_write_back(file, offset, size)

    def truncate(self, file: int, size: int) -> None:
        with self._call("truncate"):
            super().truncate(file, size)
            self._machine.file(file).change(file)

    def seal(self, file: int, now_ns: int) -> None:
        with self._call("seal"):
            super().seal(file, now_ns)
            self._machine.file(file).change(file)

    def unseal(self, file: int) -> None:
        with self._call("unseal"):
            super().unseal(file)
            self._machine.file(file).change(file)

    # Names

    def rename(self, source: str | Path, target: str | Path, *, folder: int | None = None) -> None:
        with self._call(f"rename {Path(source).name}"):
            node = self._machine.find(source, folder)
            super().rename(source, target, folder=folder)
            self._moved(source, folder, target, node)

    def replace_within(self, folder: int, source: str, target: str) -> None:
        with self._call(f"replace_within {target}"):
            node = self._machine.find(source, folder)
            super().replace_within(folder, source, target)
            self._machine.folder(folder).step({source: None, target: node})

    def rename_exclusively(
        self, source: str | Path, target: str | Path, *, folder: int | None = None
    ) -> None:
        with self._call(f"rename_exclusively {Path(source).name}"):
            node = self._machine.find(source, folder)
            super().rename_exclusively(source, target, folder=folder)
            self._moved(source, folder, target, node)

    def link(self, file: int, target: str | Path) -> None:
        with self._call("link"):
            super().link(file, target)
            self._place(target, None).step({Path(target).name: self._machine.file(file)})

    def link_within(self, source: Path, folder: int, name: str) -> None:
        with self._call(f"link_within {name}"):
            super().link_within(source, folder, name)
            self._machine.folder(folder).step({name: self._machine.find(source, None)})

    def remove(self, name: str | Path, *, folder: int | None = None) -> bool:
        with self._call(f"remove {Path(name).name}"):
            was_there = super().remove(name, folder=folder)
            if was_there:
                self._place(name, folder).step({Path(name).name: None})
            return was_there

    # Folders

    def make_folder(self, path: Path) -> None:
        with self._call(f"make_folder {path.name[:12]}"):
            new = not path.exists()
            super().make_folder(path)
            if new:
                self._place(path, None).step({path.name: self._machine.new_folder(path)})

    def make_directory(self, path: Path, mode: int = 0o777) -> None:
        if not path.parent.is_dir():
            self.make_directory(path.parent)
        if not path.is_dir():
            self.make_folder(path)
            path.chmod(mode & 0o755)
        super().make_directory(path, mode)

    def remove_folder(self, path: Path) -> bool:
        with self._call(f"remove_folder {path.name[:12]}"):
            was_there = super().remove_folder(path)
            if was_there:
                self._place(path, None).step({path.name: None})
            return was_there

    # Syncs

    def sync(self, file: int) -> None:
        with self._call("sync"):
            node = self._machine.file(file)
            try:
                super().sync(file)
            except OSError:
                node.lose()
                raise
            node.settle()

    def sync_directory(self, path: Path) -> None:
        with self._call(f"sync_directory {path.name[:12]}"):
            node = self._machine.folder(path)
            try:
                super().sync_directory(path)
            except OSError:
                node.lose()
                raise
            node.settle()

    def sync_file_system(self, path: Path) -> bool:
        with self._call("sync_file_system"):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # The real one would wait for all that this machine has to write. This one can fail.
                super().sync(folder)
            except OSError:
                for node in self._machine:
                    node.lose()
                raise
            finally:
                os.close(folder)
            for node in self._machine:
                node.settle()
            return True

    def boot_id(self) -> str:
        return self._boot

    # Inside

    def _place(self, path: str | Path, folder: int | None) -> Folder:
        """The folder that a name stands in."""
        return self._machine.folder(Path(path).parent if folder is None else folder)

    def _moved(
        self, source: str | Path, folder: int | None, target: str | Path, node: object
    ) -> None:
        old, new = self._place(source, folder), self._place(target, None)
        move = Move() if old is not new else None
        if move is None:
            new.step({Path(source).name: None, Path(target).name: node})
        else:
            new.step({Path(target).name: node}, move)
            old.step({Path(source).name: None}, move)


def _exists(path: str | Path, folder: int | None) -> bool:
    try:
        os.stat(path, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
