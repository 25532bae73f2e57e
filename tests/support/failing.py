"""Disks that take less than they are given, and disks whose calls fail."""

import errno
import os
import random
from collections.abc import Callable
from typing import Any

from lading.model.digest import Data
from lading.stores.local.disk import Disk

CALLS = (
    "open", "open_nameless", "write", "copy", "reserve", "start_write_back", "truncate", "seal",
    "unseal", "rename", "replace_within", "rename_exclusively", "link", "link_within", "remove",
    "make_folder", "make_directory", "remove_folder", "sync", "sync_directory", "sync_file_system",
)  # fmt: skip
"""Every call that can fail."""


class ShortDisk(Disk):
    """Takes as many bytes of each write, and of each copy, as it likes: often just one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 - to be repeated

    def write(self, file: int, data: Data, offset: int) -> int:
        return super().write(file, memoryview(data)[: self._some(len(data))], offset)

    def copy(self, source: int, target: int, count: int, start: int, offset: int) -> int:
        return super().copy(source, target, self._some(count), start, offset)

    def _some(self, count: int) -> int:
        return self._random.choice((1, self._random.randint(1, count))) if count else 0


class FailingDisk(Disk):
    """Fails call number `fails_at` with the error `number`, and all later ones too if it `lasts`.

    A write that fails for want of room has first taken half of what it was given, as real ones do.
    """

    def __init__(self, number: int, *, fails_at: int = -1, lasts: bool = False) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.failed: list[str] = []
        self._fails_at, self._number, self._lasts = fails_at, number, lasts

    def fail_after(self, more: int) -> None:
        """Fail when so many calls more have been made."""
        self._fails_at = len(self.calls) + more

    def mend(self) -> None:
        self._fails_at = -1

    def _meet(self, name: str) -> None:
        here = len(self.calls)
        self.calls.append(name)
        if here == self._fails_at or (self._lasts and 0 <= self._fails_at < here):
            self.failed.append(name)
            raise OSError(self._number, os.strerror(self._number))


def _counted(name: str) -> Callable[..., Any]:
    real = getattr(Disk, name)

    def call(disk: FailingDisk, *arguments: Any, **options: Any) -> Any:
        try:
            disk._meet(name)
        except OSError as error:
            if name == "write" and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                file, data, offset = arguments
                real(disk, file, memoryview(data)[: len(data) // 2], offset)
            raise
        return real(disk, *arguments, **options)

    return call


for _name in CALLS:
    setattr(FailingDisk, _name, _counted(_name))
