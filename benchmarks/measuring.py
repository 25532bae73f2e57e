"""Measuring fairly: idle cores, warm memory, interleaved rounds, medians.

A virtual machine that hands free memory back to its host pays seconds per GiB when that memory is
touched again, so memory is warmed before each timing. Rivals take turns in a random order within
each round, so that a slow minute of the machine falls on all of them.
"""

import contextlib
import mmap
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

Contestant = Callable[[], float]
"""Does its work once, and returns the seconds that the work alone took."""

Times = Mapping[str, Sequence[float]]
"""For each contestant its seconds, one for each round, in the order of the rounds."""

IDLE_SHARE = 0.9
IDLE_WINDOW_SECONDS = 0.25
IDLE_ATTEMPTS = 80


class CpuTime(NamedTuple):
    """What all cores together have done since the system started, in its own ticks."""

    idle: int
    total: int

    def idle_share_since(self, earlier: "CpuTime") -> float:
        """How much of the time between the two the cores had nothing to do, from 0 to 1."""
        total = self.total - earlier.total
        return (self.idle - earlier.idle) / total if total > 0 else 1.0


def cpu_time(text: str | None = None) -> CpuTime | None:
    """Read the kernel's own count, or None where the kernel is not Linux."""
    if text is None:
        try:
            text = Path("/proc/stat").read_text()
        except OSError:
            return None
    # user nice system idle iowait irq softirq steal; guest time is counted in user already.
    ticks = [int(field) for field in text.splitlines()[0].split()[1:9]]
    return CpuTime(idle=ticks[3] + ticks[4], total=sum(ticks))


def wait_for_idle(
    sample: Callable[[], CpuTime | None] = cpu_time,
    pause: Callable[[], None] = lambda: time.sleep(IDLE_WINDOW_SECONDS),
    attempts: int = IDLE_ATTEMPTS,
) -> bool:
    """Wait until the cores were idle for one window; say whether they ever were.

    After `attempts` windows the caller goes on regardless, on a busy machine, and has to say so.
    True at once where the kernel does not tell.
    """
    earlier = sample()
    for _ in range(attempts):
        pause()
        now = sample()
        if earlier is None or now is None or now.idle_share_since(earlier) >= IDLE_SHARE:
            return True
        earlier = now
    return False


def warm(size: int) -> None:
    """Touch `size` bytes of memory and give them back, so that the next to ask gets them warm.

    In huge pages where the system has them, since the page cache asks for large pieces too.
    """
    if size <= 0:
        return
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if (huge := getattr(mmap, "MADV_HUGEPAGE", None)) is not None:
            with contextlib.suppress(OSError):
                memory.madvise(huge)
        for offset in range(0, size, mmap.PAGESIZE):
            memory[offset] = 1


def interleave(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    before: Callable[[], None] = lambda: None,
    order: random.Random | None = None,
) -> Times:
    """Let each contestant work once in each round, in a new order each time.

    A first round goes uncounted: it fills the caches for everybody. `before` runs ahead of every
    single turn.
    """
    order = order or random.Random()  # noqa: S311 - an order of turns keeps no secret
    names = list(contestants)
    times: dict[str, list[float]] = {name: [] for name in names}
    for counted in [False] + [True] * rounds:
        order.shuffle(names)
        for name in names:
            before()
            seconds = contestants[name]()
            if counted:
                times[name].append(seconds)
    return times


def longest_beside(work: Callable[[], object], step: Contestant) -> float:
    """Do a step again and again while `work` runs in a thread; the most seconds that one took."""
    ended, worst = threading.Event(), 0.0

    def run() -> None:
        try:
            work()
        finally:
            ended.set()

    working = threading.Thread(target=run)
    working.start()
    while not ended.is_set():
        worst = max(worst, step())
    working.join()
    return worst


class Ratio(NamedTuple):
    """How often one time goes into another: by the medians, and in the extreme rounds."""

    median: float
    lowest: float
    highest: float


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide median by median, and the two times of each round."""
    singles = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(median(above) / median(below), min(singles), max(singles))
