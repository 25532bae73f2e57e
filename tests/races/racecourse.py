"""The place of a race: a gate, and processes that start from it together."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

TREE = Path(__file__).parents[2]


class Track:
    """A gate, and racers that start from it together."""

    def __init__(self, folder):
        self.root, self._proof = folder / "root", folder / "proof"
        self._gate, self._opener = os.pipe()
        self._racers = []
        self._ends = ExitStack()
        self._ends.callback(os.close, self._gate)
        self._ends.callback(os.close, self._opener)

    def enter(self, count):
        """Start so many processes more."""
        for _ in range(count):
            racer = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.races.racer",
                    self.root,
                    self._proof,
                    str(self._gate),
                ],
                cwd=TREE,
                pass_fds=[self._gate],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            self._ends.callback(racer.communicate)
            self._racers.append(racer)
        return self._racers[-count:]

    def race(self, *commands, spins=()):
        """Have each racer do its command, all at once; give their answers in that order."""
        waits = [*spins, *[0] * len(commands)]
        for racer, (name, *arguments), spin_ns in zip(self._racers, commands, waits, strict=False):
            racer.stdin.write(json.dumps([name, spin_ns, *arguments]) + "\n")
        os.write(self._opener, b"g" * len(commands))
        return [hear(racer) for racer in self._racers[: len(commands)]]

    def leave(self):
        self._ends.close()


def tell(racer, name, *arguments):
    """Have one racer begin a command by itself."""
    racer.stdin.write(json.dumps([name, None, *arguments]) + "\n")


def hear(racer):
    """What a racer answers; an answer that never comes is its death."""
    line = racer.stdout.readline()
    assert line, "a racer is dead: see what it said on its standard error"
    return json.loads(line)


def ask(racer, name, *arguments):
    """Have one racer do a command by itself."""
    tell(racer, name, *arguments)
    return hear(racer)
