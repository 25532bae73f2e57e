"""A process that races: it does what it is told, the moment that the gate opens.

    python -m tests.races.racer ROOT PROOF GATE

It reads one command a line, waits at the gate (a pipe, from which each racer takes one byte), does
it, and answers with one line of JSON: the name of the condition it met, or what it got.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lading.content.store import Writer
from lading.errors import AlreadyExists, Error, RefLocked
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

PATIENCE = timedelta(seconds=30)


class Racer:
    """One process, its handle on the store, and the writers that it has open."""

    def __init__(self, root: str, proof: str, gate: int) -> None:
        self._store = LocalStore(root)
        self._proof, self._gate = Path(proof), gate
        self._writers: dict[str, Writer] = {}

    def answer(self, line: str) -> object:
        """Do one command and say what came of it."""
        name, spin_ns, *arguments = json.loads(line)
        command: Callable[..., object] = getattr(self, name)
        if spin_ns is not None:
            os.read(self._gate, 1)
            end = time.perf_counter_ns() + spin_ns
            while time.perf_counter_ns() < end:
                pass  # a sleep would be coarser than what is raced for
        try:
            return command(*arguments)
        except RefLocked as error:
            return {"error": "RefLocked", "holder": error.holder}
        except Error as error:
            return {"error": type(error).__name__, "says": str(error), "doing": line.strip()}

    # Commands

    def open(self, ref: str, text: str = "", *, waits: bool = False) -> object:
        writer = self._store.writer(ref, wait=PATIENCE if waits else None)
        self._writers[ref] = writer
        writer.write(text.encode())
        return writer.offset

    def wait(self, ref: str) -> object:
        return self.open(ref, waits=True)

    def hold(self, ref: str, *, waits: bool = False) -> object:
        """Open, leave a proof that nobody else has it open, and close."""
        with self._store.writer(ref, wait=PATIENCE if waits else None) as writer:
            # Of two that hold it at once, one finds the other's proof, and dies of it.
            proof = os.open(self._proof, os.O_CREAT | os.O_EXCL)
            writer.write(b"x")
            os.unlink(self._proof)  # noqa: PTH108 - beside the call that made it
            os.close(proof)
            return "held"

    def take_turns(self, ref: str, count: int) -> object:
        for _ in range(count):
            self.hold(ref, waits=True)
        return "held"

    def write(self, ref: str, text: str) -> object:
        return self._writers[ref].write(text.encode())

    def commit(self, ref: str) -> object:
        return self._writers.pop(ref).commit().digest

    def close(self, ref: str) -> object:
        return self._writers.pop(ref).close()

    def abort(self, ref: str) -> object:
        return self._store.abort(ref)

    def ingest(self, ref: str, text: str) -> object:
        """All of it: open, write, commit."""
        data = text.encode()
        try:
            with self._store.writer(ref, expected=Digest.of(data)) as writer:
                writer.truncate()
                writer.write(data)
                return writer.commit().digest
        except AlreadyExists as known:
            return str(known.what)

    def fork(self, ref: str) -> object:
        """Fork while a ref is held; say what the child found, and whether we still hold it."""
        child = os.fork()
        if child == 0:
            os._exit(self._as_child(ref))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return [status, self._writers[ref].write(b"y")]

    def _as_child(self, ref: str) -> int:
        inherited = self._writers[ref]
        try:
            inherited.write(b"z")
        except Error as error:
            if type(error).__name__ != "WriterClosed":
                return 3
        else:
            return 4
        inherited.close()
        try:
            self._store.writer(ref)
        except RefLocked:
            return 0
        return 5


def run() -> None:
    """Obey until there is nobody to command."""
    racer = Racer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(racer.answer(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run()
