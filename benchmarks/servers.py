"""The servers that are compared, lading's daemon and containerd, and the client of both."""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from benchmarks.material import ROOT
from benchmarks.peers import Outcome
from benchmarks.programs import Word, output_of, started
from lading.database.statements import Statement
from lading.metadata.catalog import Metadata
from lading.metadata.labels import to_row
from lading.stores.local.store import LocalStore

SOURCE = ROOT / "benchmarks" / "peers" / "contentclient"
BUILD = ROOT / "build" / "contentclient"
GO_PATH = Path("/usr/share/gocode")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
START_SECONDS = 30.0
NAMESPACE = "benchmark"
SEVERAL = "several"
"""The name of the lading that serves with `PROCESSES` processes."""
PROCESSES = 2
ROOT_LABEL = {"containerd.io/gc.root": "benchmark"}
"""What keeps a blob from either collector."""
_SHORT = "/tmp"  # noqa: S108 - the folder made in it is ours alone
_LADING = [sys.executable, "-m", "lading.cli"]
_BATCH = 1000
_CONFIGURATION = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = "{address}"

[ttrpc]
address = "{address}.ttrpc"
"""


class Server(NamedTuple):
    """A server that answers."""

    name: str
    address: str
    process: int

    def cpu_seconds(self) -> float:
        """What all its threads have worked since it began, the kernel's part included."""
        return sum(map(_cpu_ticks, self._processes())) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> int:
        """The most bytes that were resident at a time, of each process that it consists of."""
        return sum(map(_peak_memory, self._processes()))

    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text()
        return [self.process, *map(int, children.split())]


def _cpu_ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _peak_memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class ContentClient:
    """The Go program of peers/contentclient: containerd's own client code."""

    def __init__(self, program: Path) -> None:
        self._program = program

    @classmethod
    def build(cls) -> "ContentClient":
        """Build it, offline, from Debian's packages of containerd's sources."""
        go = found("go")
        assert go is not None
        BUILD.mkdir(parents=True, exist_ok=True)
        program = BUILD / "contentclient"
        alone = {
            "GOCACHE": str(BUILD / "cache"),
            "GOFLAGS": "-trimpath",
            "GO111MODULE": "off",
            "GOPATH": str(GO_PATH),
        }
        output_of([go, "build", "-o", program, "."], folder=SOURCE, environment=os.environ | alone)
        return cls(program)

    def run(self, mode: str, server: Server, **options: object) -> Outcome:
        """Do the work of a mode once; the time is the program's own, without its connecting."""
        words = (f"-{name}={value}" for name, value in options.items())
        address = f"-address={server.address}"
        answer = json.loads(
            output_of([self._program, mode, address, f"-namespace={NAMESPACE}", *words])
        )
        return Outcome(answer["seconds"], answer["digest"])

    def fill(self, database: Path, count: int) -> None:
        """Put the rows of `count` blobs into the database of a containerd that does not run."""
        database.parent.mkdir(parents=True)
        output_of(
            [
                self._program,
                "fill",
                f"-database={database}",
                f"-namespace={NAMESPACE}",
                f"-among={count}",
            ]
        )


def absent() -> list[str]:
    """What is not installed here of what this needs."""
    programs = [name for name in ("containerd", "ctr", "go") if found(name) is None]
    sources = GO_PATH / "src/github.com/containerd/containerd"
    return programs if sources.is_dir() else [*programs, "golang-github-containerd-containerd-dev"]


def ctr(server: Server, *words: Word) -> list[Word]:
    """The command of containerd's client."""
    program = found("ctr")
    assert program is not None
    return [program, "--address", server.address, "--namespace", NAMESPACE, *words]


def lading(server: Server, *words: Word) -> list[Word]:
    """The command of ours, working through a daemon."""
    return [*_LADING, "--address", server.address, "--namespace", NAMESPACE, *words]


@contextmanager
def both(folder: Path, client: ContentClient, *, filled: int = 0) -> Iterator[dict[str, Server]]:
    """Lend a lading, one of two processes and a containerd, each with `filled` blobs."""
    with (
        # A path to a socket has to be short, and a folder for temporary files may lie deep.
        tempfile.TemporaryDirectory(prefix="lading-", dir=_SHORT) as sockets,
        _lading(folder / "lading", f"{sockets}/lading.sock", filled) as one,
        _lading(folder / SEVERAL, f"{sockets}/several.sock", filled, PROCESSES) as several,
        _containerd(folder / "containerd", f"{sockets}/containerd.sock", client, filled) as theirs,
    ):
        yield {"lading": one, SEVERAL: several, "containerd": theirs}


@contextmanager
def containerd_alone(folder: Path) -> Iterator[Server]:
    """Lend a new containerd, and end it."""
    with (
        tempfile.TemporaryDirectory(prefix="lading-", dir=_SHORT) as sockets,
        _containerd(folder, f"{sockets}/containerd.sock", None, 0) as server,
    ):
        yield server


@contextmanager
def _lading(folder: Path, address: str, filled: int, processes: int = 1) -> Iterator[Server]:
    if filled:
        _fill(folder, filled)
    name = "lading" if processes == 1 else SEVERAL
    command: list[Word] = [*_LADING, "--root", folder, "serve", "--listen", f"unix://{address}"]
    command += ["--log-level", "warning", "--processes", str(processes)]
    with _running(name, command, address) as server:
        yield server


@contextmanager
def _containerd(
    folder: Path, address: str, client: ContentClient | None, filled: int
) -> Iterator[Server]:
    program = found("containerd")
    assert program is not None
    folder.mkdir()
    if filled and client is not None:
        client.fill(folder / "root" / "io.containerd.metadata.v1.bolt" / "meta.db", filled)
    configuration = folder / "config.toml"
    configuration.write_text(_CONFIGURATION.format(folder=folder, address=address))
    command: list[Word] = [program, "--config", configuration, "--log-level", "error"]
    with _running("containerd", command, address) as server:
        yield server


@contextmanager
def _running(name: str, command: list[Word], address: str) -> Iterator[Server]:
    with started(command) as program:
        _wait_for(program, name, address)
        try:
            yield Server(name, address, program.pid)
        finally:
            program.terminate()
            program.communicate()


def _wait_for(program: Popen[bytes], name: str, address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while program.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as trial:
            try:
                trial.connect(address)
            except OSError:
                time.sleep(0.05)
            else:
                return
    sys.exit(f"{name} does not answer on {address}")


def _fill(root: Path, count: int) -> None:
    """Store the blobs whose rows containerd gets: the decimals of each number."""
    url = f"sqlite:///{root}/metadata.db"
    with Metadata(url, content=LocalStore(root)) as metadata:
        namespace = metadata.namespace(NAMESPACE)
        for start in range(0, count, _BATCH):
            with namespace.batch() as batch:
                for number in range(start, min(start + _BATCH, count)):
                    batch.add(str(number).encode())
        label = Statement("UPDATE blobs SET labels = :labels")
        metadata.database.write(lambda session: session.run(label, labels=to_row(ROOT_LABEL)))


def found(program: str) -> str | None:
    """The system's own comes first: containerd's sources are older than other Gos."""
    return shutil.which(program, path=SYSTEM_PATH + os.pathsep + os.environ.get("PATH", ""))
