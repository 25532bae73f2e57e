"""Stock `ctr`, at one server or at two; answers are compared, times and orders of maps apart."""

import re
import subprocess
import tempfile
from typing import NamedTuple

from tests.support.peers import peer
from tests.support.registry import digest

_AGES = r"Less than a second|About an? \w+(?: ago)?|\d+ (?:second|minute)s?(?: ago)?"
_TIMES = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+ ]\S+ UTC)?"
_DURATIONS = r"\b\d+(?:\.\d+)?(?:ns|µs|ms|s)\b"
_NORMAL = [
    (re.compile(_TIMES), "TIME"),
    (re.compile(_AGES), "AGE"),
    (re.compile(_DURATIONS), "DURATION"),
]


class Said(NamedTuple):
    """What a run of `ctr` answered."""

    code: int
    out: str
    err: str

    @property
    def condition(self) -> str:
        """What containerd calls the kind of its error: the end of its message."""
        lines = [line for line in self.err.splitlines() if line.startswith("ctr: ")]
        return lines[-1].rpartition(": ")[2] if lines else ""


class Ctr:
    """`ctr` at an address."""

    def __init__(self, address: str) -> None:
        self.address = address.removeprefix("unix://")

    def command(self, *arguments: object, namespace: str = "default") -> list[str]:
        """The whole command line."""
        place = ("--address", self.address, "--namespace", namespace)
        return [str(peer("ctr")), *place, *map(str, arguments)]

    def __call__(self, *arguments: object, namespace: str = "default", data: bytes = b"") -> Said:
        with tempfile.TemporaryFile() as source:  # `ctr` resumes from a file, and from no pipe
            source.write(data)
            source.seek(0)
            run = subprocess.run(
                self.command(*arguments, namespace=namespace),
                stdin=source,
                capture_output=True,
                check=False,
                timeout=60,
            )
        return Said(run.returncode, run.stdout.decode(errors="replace"), run.stderr.decode())


def normal(text: str) -> list[str]:
    """The lines of an output, without what differs from one run to the next."""
    lines = []
    for line in text.splitlines():
        for pattern, word in _NORMAL:
            line = pattern.sub(word, line)  # noqa: PLW2901 - a line becomes normal step by step
        # Columns are as wide as what is in them, and Go prints maps in any order.
        cells = re.split(r"\s{2,}|\t", line.strip())
        lines.append("\t".join(",".join(sorted(cell.split(","))) for cell in cells))
    return lines


class Both:
    """One `ctr` for containerd and one for lading, in one namespace of each."""

    def __init__(self, theirs, ours, namespace):
        self.theirs, self.ours, self.namespace = theirs, ours, namespace

    def __call__(self, *arguments, data=b"", namespace=None):
        """Run a command against both, and give what both have answered."""
        theirs, ours = self.each(*arguments, data=data, namespace=namespace)
        assert ours.code == theirs.code, (theirs, ours)
        # containerd lists ingests in the order of hashes that nobody sees.
        order = sorted if arguments[:2] == ("content", "active") else list
        assert order(normal(ours.out)) == order(normal(theirs.out))
        assert ours.condition == theirs.condition, (theirs, ours)
        return ours

    def each(self, *arguments, data=b"", namespace=None):
        """Run a command against both, and give both answers."""
        name = namespace or self.namespace
        return [each(*arguments, namespace=name, data=data) for each in (self.theirs, self.ours)]

    def add(self, data, ref="added"):
        assert self("content", "ingest", ref, data=data).code == 0
        return digest(data)
