"""One run of the benchmarks: its folder, its sizes, its rounds, and what it noticed meanwhile."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.measuring import Contestant, Times, interleave, wait_for_idle, warm
from benchmarks.peers import LocalWriter

WARM_MARGIN = 3
"""What is warmed for each byte that a turn uses. With less, some turns still met cold memory."""


class Session:
    """What every row needs to be measured. Whatever it made on the disk goes when it is left."""

    def __init__(self, directory: Path, *, rounds: int, quick: bool) -> None:
        self.rounds = rounds
        self.quick = quick
        self.turns = 0
        self.busy_turns = 0
        directory.mkdir(parents=True, exist_ok=True)
        self._own = tempfile.TemporaryDirectory(prefix="lading-bench-", dir=directory)
        self.folder = Path(self._own.name)

    def size(self, full: int, *, quick: int) -> int:
        """The size that is promised, or the small one of a trial."""
        return quick if self.quick else full

    @cached_property
    def peer(self) -> LocalWriter:
        """The Go reference, built when it is first asked for."""
        return LocalWriter.build()

    @contextmanager
    def scratch(self, *, room: int = 0) -> Iterator[Path]:
        """Lend an empty folder with `room` bytes to spare, and remove it afterwards."""
        free = shutil.disk_usage(self.folder).free
        if free < room:
            sys.exit(f"{self.folder} has {free:,} bytes free and this row needs {room:,}")
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    def lasting(self) -> Path:
        """Make an empty folder that stays until the session ends.

        For many small files. An ext4 without a journal takes no inode again for minutes after its
        file was deleted, and looks at each such inode whenever it needs a new one: one turn's
        clearing up would slow the next turn down.
        """
        return Path(tempfile.mkdtemp(dir=self.folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._own.cleanup()

    def compare(self, contestants: Mapping[str, Contestant], *, uses: int = 0) -> Times:
        """Interleave the contestants, each with idle cores and `uses` bytes of warm memory."""

        def before() -> None:
            self.turns += 1
            if self.quick:
                return
            os.sync()  # what the last turn left to write, or to discard, is not the next one's
            self.busy_turns += not wait_for_idle()
            warm(uses * WARM_MARGIN)

        return interleave(contestants, rounds=self.rounds, before=before)

    def say(self, text: str) -> None:
        """Tell whoever waits what is being measured."""
        print(text, file=sys.stderr, flush=True)
