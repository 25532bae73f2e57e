"""A process that will be killed. It brings known bytes into a store, and says how far it is.

    python -m tests.kills.child         forks one process for each plan that it reads
    python -m tests.kills.child PLAN    carries out one plan by itself

What it says on its standard output, one line each, is what its store has answered for:

    resumed OFFSET DIGEST    the ref is open, and so many bytes with this digest are there
    offset OFFSET            a write has returned
    synced OFFSET            a sync, or a close, has returned
    truncating               from now on nothing of the ingest needs to be there
    kept DIGEST              a commit, or an add, has returned
    call NAME                the disk is called for
    done, failed             all that was planned is done, or an error ended it
"""

import io
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from lading.content.store import ContentStore, Writer
from lading.errors import AlreadyExists
from lading.model.digest import Digest
from lading.stores.local import spares
from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore

REF = "r"
OTHERS = ("another 0", "another 1", "another 2")
KIB, MIB = 1 << 10, 1 << 20
Report = Callable[[str], None]


class Plan(NamedTuple):
    """What one process does, and where it ends."""

    root: str
    story: str
    seed: int
    turn: int = 0
    dies_at: int | None = None
    """The number of the call of its disk before which the process kills itself."""
    halfway: bool = False
    """Count writes only, and die when half of the bytes are written."""
    boot: str | None = None


class MortalDisk(Disk):
    """A disk whose process dies before its call number `dies_at`, or in the middle of it."""

    def __init__(self, plan: Plan, report: Report) -> None:
        super().__init__()
        self._plan, self._report = plan, report
        self._calls = 0

    def boot_id(self) -> str:
        return self._plan.boot or super().boot_id()


def _mortal(name: str) -> Callable[..., Any]:
    call = getattr(Disk, name)

    def called(disk: MortalDisk, *arguments: Any, **options: Any) -> Any:
        plan = disk._plan
        if plan.dies_at is not None and (name == "write" or not plan.halfway):
            if disk._calls == plan.dies_at:
                if plan.halfway:
                    file, data, offset = arguments
                    call(disk, file, memoryview(data)[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            disk._calls += 1
            disk._report(f"call {name}")
        return call(disk, *arguments, **options)

    return called


for _name in vars(Disk):
    if not _name.startswith("_") and _name != "boot_id":
        setattr(MortalDisk, _name, _mortal(_name))


def chance(*seed: object) -> random.Random:
    """Choices in no pattern, and the same each time."""
    return random.Random(str(seed))  # noqa: S311 - to be had again, not to be secret


def bytes_of(seed: int) -> bytes:
    """All that a transfer with this seed will bring: mostly little, sometimes some MiB."""
    choose = chance(seed)
    most = 12 * MIB if seed % 8 == 0 else 300 * KIB
    return choose.randbytes(choose.randint(1, most))


# Stories


def transfer(store: ContentStore, plan: Plan, report: Report) -> None:
    """Go on until all is in, in pieces and with interludes that seed and turn decide."""
    data, choose = bytes_of(plan.seed), chance(plan.seed, plan.turn)
    writer = _opened(store, report)
    try:
        while writer.offset < len(data):
            rest = data[writer.offset :]
            match choose.randint(0, 24):
                case 0:
                    report("truncating")
                    writer.truncate()
                case 1 | 2:
                    writer.sync()
                    report(f"synced {writer.offset}")
                case 3 | 4:
                    before = writer.offset
                    writer.close()
                    report(f"synced {before}")
                    writer = _opened(store, report)
                case 5:
                    report(f"kept {store.add(choose.randbytes(choose.randint(0, 9000))).digest}")
                case 6:
                    _add_batch(store, choose, choose.randint(0, 12), report)
                case 7 | 8 | 9:
                    writer.copy_from(io.BytesIO(rest), limit=choose.randint(1, 200 * KIB))
                    report(f"offset {writer.offset}")
                case _:
                    writer.write(rest[: choose.randint(1, max(1, len(data) // 8))])
                    report(f"offset {writer.offset}")
        _committed(writer, data, report)
    finally:
        writer.close()


def commit(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write in three pieces, and commit."""
    data = bytes_of(plan.seed)
    with _opened(store, report) as writer:
        _write(writer, data, report)
        _committed(writer, data, report)


def commits(store: ContentStore, plan: Plan, report: Report) -> None:
    """Commit others, each in the folder that the one before has left, and then ours in theirs."""
    spares.AFTER = 0
    for ref in OTHERS:
        data = chance(ref).randbytes(5_000)
        with store.writer(ref) as writer:
            writer.truncate()
            writer.write(data)
            report(f"kept {writer.commit(expected=Digest.of(data)).digest}")
    commit(store, plan, report)


def interrupt(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write a third and sync it, write another third, and die with the writer open."""
    third = len(bytes_of(plan.seed)) // 3
    with _opened(store, report) as writer:
        writer.write(bytes_of(plan.seed)[:third])
        writer.sync()
        report(f"synced {writer.offset}")
        writer.write(bytes_of(plan.seed)[third : 2 * third])
        report(f"offset {writer.offset}")
        report("done")
        os.kill(os.getpid(), signal.SIGKILL)


def begin(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write a third and die, with the writer open and nothing synced."""
    with _opened(store, report) as writer:
        writer.write(bytes_of(plan.seed)[: len(bytes_of(plan.seed)) // 3])
        report(f"offset {writer.offset}")
        report("done")
        os.kill(os.getpid(), signal.SIGKILL)


def close(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write, close, open again, and so on to the end."""
    data = bytes_of(plan.seed)
    for end in (len(data) // 3, len(data) // 2, len(data)):
        with _opened(store, report) as writer:
            writer.write(data[writer.offset : end])
            report(f"offset {writer.offset}")
        report(f"synced {end}")


def truncate(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write other bytes, also durably, and start over, twice."""
    data = bytes_of(plan.seed)
    with _opened(store, report) as writer:
        for durably in (False, True):
            writer.write(data[writer.offset : len(data) // 2])
            report(f"offset {writer.offset}")
            if durably:
                writer.sync()
                report(f"synced {writer.offset}")
            report("truncating")
            writer.truncate()
        _write(writer, data, report)
        _committed(writer, data, report)


def add(store: ContentStore, plan: Plan, report: Report) -> None:
    """Add a blob, and the same again."""
    for _ in range(2):
        report(f"kept {store.add(bytes_of(plan.seed)).digest}")


def batch(store: ContentStore, plan: Plan, report: Report) -> None:
    """Add many, in one batch."""
    _add_batch(store, chance(plan.seed), 12, report)


def follow(store: ContentStore, plan: Plan, report: Report) -> None:
    """Write much, waiting after each piece until it is hashed."""
    with _opened(store, report) as writer:
        for number in range(plan.seed):
            writer.write(chance(number).randbytes(MIB))
            assert writer.digest
            report(f"offset {writer.offset}")


STORIES = {
    story.__name__: story
    for story in (transfer, commit, commits, interrupt, begin, close, truncate, add, batch, follow)
}


def _opened(store: ContentStore, report: Report) -> Writer:
    writer = store.writer(REF)
    report(f"resumed {writer.offset} {writer.digest}")
    return writer


def _write(writer: Writer, data: bytes, report: Report) -> None:
    step = len(data) // 3 + 1
    while writer.offset < len(data):
        writer.write(data[writer.offset : writer.offset + step])
        report(f"offset {writer.offset}")


def _committed(writer: Writer, data: bytes, report: Report) -> None:
    try:
        digest = writer.commit(size=len(data), expected=Digest.of(data)).digest
    except AlreadyExists as known:
        digest = known.what
    report(f"kept {digest}")


def _add_batch(store: ContentStore, choose: random.Random, count: int, report: Report) -> None:
    with store.batch() as many:
        digests = [many.add(choose.randbytes(choose.randint(0, 9000))) for _ in range(count)]
    for digest in digests:
        report(f"kept {digest}")


# The process


def carry_out(plan: Plan) -> None:
    """Live through a plan. Does not return."""
    status = 1
    try:
        disk = MortalDisk(plan, _say)
        STORIES[plan.story](LocalStore(plan.root, disk=disk), plan, _say)
        _say("done")
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, nobody else will say it
        traceback.print_exc()
        _say("failed")
    finally:
        os._exit(status)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _fork_for_each_plan() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _say(f"process {os.getpid()}")
            carry_out(Plan(*json.loads(line)))
        # Not before we are told: until then the number is this child's, dead or alive.
        sys.stdin.readline()
        _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        carry_out(Plan(*json.loads(sys.argv[1])))
    _fork_for_each_plan()
