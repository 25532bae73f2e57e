"""Starting processes, killing them, and keeping account of what they were told."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lading.errors import AlreadyExists
from lading.model.digest import Digest
from lading.stores.local.paths import StorePaths
from lading.stores.local.store import LocalStore
from tests.kills.child import OTHERS, REF

TREE = Path(__file__).parents[2]
LONGEST_SPIN_SECONDS = 0.002
"""How long after a word a kill may come. It is waited for awake: a sleep is coarser than a call."""


class Account:
    """What the store owes to processes that are dead, by what they have said."""

    def __init__(self, data):
        self.data, self.digest = data, Digest.of(data)
        self.offset = self.synced = 0
        self.kept = set()
        self.calls = []
        self.is_over = False
        self.beginnings = []

    def note(self, line):
        word, *facts = line.split()
        match word:
            case "resumed":
                offset, digest = int(facts[0]), Digest(facts[1])
                assert offset >= self.offset, f"{self.offset} bytes were written, {offset} are left"
                self.beginnings.append((offset, digest))
                self.offset = offset
            case "offset":
                self.offset = int(facts[0])
            case "synced":
                self.offset = self.synced = int(facts[0])
            case "truncating":
                self.offset = self.synced = 0
            case "kept":
                self.kept.add(Digest(facts[0]))
                if facts[0] == self.digest:
                    self.offset = self.synced = 0
            case "call":
                self.calls.append(facts[0])
            case "done" | "failed":
                self.is_over = True
            case _:
                raise AssertionError(line)

    def reboot(self):
        """From now on only what was synced is owed."""
        self.offset = self.synced


class Nursery:
    """One warm interpreter that forks a process for each plan."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.child"],
            cwd=TREE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def carry_out(self, plan, account, kill_when=None):
        """Have a plan carried out, up to the kill if there is one; say how its process ended."""
        self._tell(json.dumps(plan))
        word, number = self._hear().split()
        assert word == "process", word  # or we would kill whoever has that number
        child = int(number)
        while kill_when and not account.is_over:
            account.note(self._hear())
            if kill_when(account):
                os.kill(child, signal.SIGKILL)  # at the worst it is dead already, and not buried
                break
        self._tell("wait")
        while not (line := self._hear()).startswith("ended"):
            account.note(line)
        return int(line.split()[1])

    def _tell(self, line):
        self._process.stdin.write(line + "\n")

    def _hear(self):
        line = self._process.stdout.readline()
        assert line, "the nursery is dead"
        return line

    def close(self):
        self._process.communicate()


def in_new_interpreter(plan, account, kill_when=None):
    """Have a plan carried out by a process that begins with nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kills.child", json.dumps(plan)],
        cwd=TREE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        for line in process.stdout:
            account.note(line)
            if kill_when and not account.is_over and kill_when(account):
                process.kill()
                kill_when = None
    return process.returncode


def at_random(choose, size):
    """A moment for a kill: a while after a random byte is in."""
    target, spin = choose.randint(0, size), choose.random() ** 3 * LONGEST_SPIN_SECONDS

    def is_now(account):
        if account.offset < target and not account.kept:
            return False
        end = time.perf_counter() + spin
        while time.perf_counter() < end:
            pass
        return True

    return is_now


def check(root, account):
    """See that everything is there which a dead process was told is there, and nothing untrue."""
    store = LocalStore(root)
    blobs = {blob.digest: blob for blob in store.blobs()}
    for digest, blob in blobs.items():
        held = store.read(digest)
        assert Digest.of(held) == digest
        assert blob.size == len(held)
    assert account.kept <= set(blobs)
    for offset, digest in account.beginnings:
        assert digest == Digest.of(account.data[:offset])
    account.beginnings.clear()
    ingests = {ingest.ref: ingest for ingest in store.ingests()}
    assert set(ingests) <= {REF, *OTHERS}
    if account.digest in blobs:
        account.offset = account.synced = 0  # the commit was done, and nobody lived to say so
    elif account.offset:
        assert ingests[REF].offset >= account.offset


def finish(root, account, *, disk=None):
    """Go on where the dead left off, at once and to the end."""
    store = LocalStore(root, disk=disk)
    data, digest = account.data, account.digest
    known = digest in store
    with store.writer(REF) as writer:
        if not known:
            account.note(f"resumed {writer.offset} {writer.digest}")
        assert writer.digest == Digest.of(data[: writer.offset])
        writer.write(data[writer.offset :])
        if known:
            with pytest.raises(AlreadyExists):
                writer.commit(size=len(data), expected=digest)
        else:
            assert writer.commit(size=len(data), expected=digest).digest == digest
    assert store.read(digest) == data
    for ref in OTHERS:
        if StorePaths(Path(root)).ingest(ref).exists():
            with store.writer(ref) as writer, suppress(AlreadyExists):
                writer.commit()
    assert list(store.ingests()) == []
    assert list((Path(root) / "ingest").iterdir()) == []


@contextmanager
def repeatable(plan):
    """Say which plan it was, whatever goes wrong."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"after {plan}")
        raise
