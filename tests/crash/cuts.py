"""Tells a story up to a call, cuts the power there, and looks at everything that may be left."""

import contextlib
import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore
from tests.crash.ledger import Ledger
from tests.crash.stories import Actor
from tests.support.durable import Choice, Machine, Renames
from tests.support.volatile import VolatileDisk

SEEDS = int(os.environ.get("LADING_CUT_SEEDS", "2"))
"""Random mixtures of what survives, for each call that is cut before."""

Story = Callable[[Actor], None]


class RestartedDisk(Disk):
    """The disk of a machine that has started anew, and stays on."""

    def __init__(self, boot: str) -> None:
        super().__init__()
        self._boot = boot

    def sync_file_system(self, path: Path) -> bool:
        return True

    def boot_id(self) -> str:
        return self._boot


class World:
    """One machine in a folder of its own, the processes on it, and what they were told."""

    def __init__(self, place: Path, *, nameless: bool = True) -> None:
        (place / "machine").mkdir(parents=True)
        self._place, self._nameless = place, nameless
        self._cuts = 0
        self._boot = 1
        self._machine = Machine(place / "machine")
        self.ledger = Ledger()

    def tell(self, story: Story, *, dies_before: int | None = None) -> list[str]:
        """Run a process that tells the story, and maybe dies. Gives the calls that it made."""
        disk = VolatileDisk(
            self._machine,
            boot=f"boot-{self._boot}",
            dies_before=dies_before,
            nameless=self._nameless,
        )
        actor = self._actor(disk)
        self.ledger.check_refs(actor.store)
        try:
            story(actor)
        except BaseException:
            # What a dead process still says, in the handlers that Python runs, nobody hears.
            if not disk.dead:
                raise
        if actor.store._spares:
            actor.store._spares._waiting.clear()  # a process that has ended removes nothing
        _close_below(self._machine.top)
        return disk.calls

    def cut(self, choice: Choice) -> "World":
        """Cut the power, and give the machine that starts again with what is left.

        What was cut stays as it is, so that it can be cut in another way too.
        """
        self._cuts += 1
        left = copy.copy(self)
        left._place = self._place / f"cut-{self._cuts}"
        left._place.mkdir()
        left._cuts = 0
        left._boot = self._boot + 1
        left.ledger = copy.deepcopy(self.ledger)
        self._machine.after_cut(left._place / "machine", choice)
        return left

    def start_again(self) -> None:
        """Follow what a cut left, so that processes can run on it and the power go again."""
        self.ledger.check_refs(self.restarted(), after_cut=True)
        self._machine = Machine(self._place / "machine")

    def restarted(self) -> LocalStore:
        """The store on a machine that has started again and stays on."""
        return self._actor(RestartedDisk(f"boot-{self._boot}")).store

    def check(self, story: Story, *, torn: bool = False, finish: bool = True) -> None:
        """Check all promises in a process after a restart, and that the work can go on.

        To go on is to finish every ingest that is there, or to tell the story again.
        """
        store = self.restarted()
        self.ledger.check_blobs(store)
        self.ledger.check_refs(store, torn=torn, after_cut=True)
        if finish:
            self.ledger.finish_ingests(store)
        else:
            story(self._actor(RestartedDisk(f"boot-{self._boot}")))
        self.ledger.check_blobs(store)
        assert not [path for path, _ in store.strays() if path.is_relative_to(store.root / "blobs")]

    def _actor(self, disk: Disk) -> Actor:
        store = LocalStore(self._place / "machine" / "store", disk=disk)
        return Actor(store, self.ledger, self._place / "source")

    def leave(self) -> None:
        shutil.rmtree(self._place)


def choices(call: int, seeds: int = SEEDS) -> Iterator[tuple[str, Choice]]:
    """The two extremes, and mixtures that are others for each call, with all kinds of renames."""
    yield "nothing unsynced survives", Choice("nothing", Renames.ADDING)
    yield "everything survives", Choice("everything", Renames.WHOLE)
    kinds = list(Renames)
    for number in range(seeds):
        renames = kinds[(call + number) % len(kinds)]
        seed = call * seeds + number
        yield f"Choice({seed}, {renames})", Choice(seed, renames)


@contextlib.contextmanager
def repeatable(told: str) -> Iterator[None]:
    """Say in the traceback of a failure how it can be had again."""
    try:
        yield
    except BaseException as error:
        error.add_note(told)
        raise


def _close_below(top: Path) -> None:
    """Do what the kernel does for a process that died: close its files, and so free its locks."""
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(top):
                os.close(int(link.name))
