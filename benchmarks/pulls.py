"""Pulling from a registry: by the command against ctr and skopeo, by the library against Go."""

import itertools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.support.link import link

from benchmarks import table
from benchmarks.material import GIB, MIB
from benchmarks.measuring import Times
from benchmarks.programs import Word, started
from benchmarks.registry import Image, Registry, Spent, absent, running, spent
from benchmarks.servers import containerd_alone, ctr
from benchmarks.session import Session
from lading.metadata import Metadata
from lading.oci.access.hosts import Hosts
from lading.oci.client import RegistryClient
from lading.stores.local.store import LocalStore

LINK_ROUND_TRIP = timedelta(milliseconds=40)
LINK_RATE = 10 * MIB
"""Bytes a second that one connection has."""
KILLED_AT = 0.9
_LADING = [sys.executable, "-m", "lading.cli"]
_SKOPEO = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]


def rows(session: Session) -> Iterator[table.Row]:
    """Every row of pulling; none where a peer is not installed."""
    if missing := absent():
        session.say(f"pulls: not installed: {', '.join(missing)}; its rows are left out")
        return
    each = session.size(128 * MIB, quick=2 * MIB)
    with session.scratch(room=12 * GIB if not session.quick else GIB) as folder:
        with running(folder / "plain") as registry:
            one = registry.make("one", layers=1, each=4 * each)
            four = registry.make("four", layers=4, each=each)
            many = registry.make("many", layers=session.size(100, quick=5), each=MIB)
            turns = Turns(session, folder, registry)
            for image in (one, four):
                yield from _commands(turns, image, ctr_speed=3.5, skopeo_speed=2.5)
            yield from _commands(turns, many, ctr_speed=1.3, skopeo_speed=1.0)
            yield _library(turns, one, "plain")
            yield _library(turns, four, "plain")
            yield from _over_a_link(turns)
            yield from _after_a_kill(turns)
        with running(folder / "tls", secure=True) as registry:
            one = registry.make("one", layers=1, each=4 * each)
            yield _library(Turns(session, folder, registry), one, "TLS")


class Turns:
    """The rivals, each into a new place in every turn."""

    def __init__(self, session: Session, folder: Path, registry: Registry) -> None:
        self.session, self.folder, self.registry = session, folder, registry
        self._numbers = itertools.count()

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Lend a path where nothing is yet; what is there later is removed."""
        path = self.folder / f"place-{next(self._numbers)}"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def lading(self, image: Image) -> Spent:
        """`lading pull`, its start and its database included."""
        with self.place() as root:
            took = spent(pull(root, self.registry.reference(image)))
            assert image.layers[0] in LocalStore(root)
            return took

    def skopeo(self, image: Image) -> Spent:
        """`skopeo copy` to a folder."""
        with self.place() as target:
            source = f"docker://{self.registry.reference(image)}"
            return spent([*_SKOPEO, source, f"dir:{target}"])

    def ctr(self, image: Image) -> Spent:
        """`ctr content fetch`, and the work of a containerd that has just been started."""
        with self.place() as root, containerd_alone(root) as server:
            before = server.cpu_seconds()
            reference = self.registry.reference(image)
            took = spent(ctr(server, "content", "fetch", "--plain-http", reference))
            return took._replace(cpu=took.cpu + server.cpu_seconds() - before)

    def library(self, image: Image) -> float:
        """`RegistryClient.pull` into a namespace, in this process."""
        tls = self.registry.tls
        authorities = tls.authorities if tls is not None else ()
        with (
            self.place() as root,
            Metadata(f"sqlite:///{root}/metadata.db", content=LocalStore(root)) as metadata,
            RegistryClient(
                hosts=Hosts([], plain_http=tls is None, authorities=authorities)
            ) as client,
        ):
            namespace = metadata.namespace("benchmark")
            began = time.perf_counter()
            client.pull(self.registry.reference(image), into=namespace)
            return time.perf_counter() - began

    def go(self, image: Image) -> float:
        """Each layer by Go: get, write, hash, sync, one step after the other."""
        tls = self.registry.tls
        urls = ",".join(self.registry.url(image, layer) for layer in image.layers)
        with self.place() as root:
            outcome = self.session.peer.run(
                "pull",
                root=root,
                source=urls,
                authority=tls.authorities[0] if tls is not None else "",
            )
        assert outcome.digest == ",".join(image.layers)
        return outcome.seconds


def pull(root: Path, reference: str, *options: Word) -> list[Word]:
    """The command line of a pull into a root."""
    return [
        *_LADING,
        *("--root", root, "pull", "--plain-http", "--progress", "none", *options, reference),
    ]


def _commands(
    turns: Turns, image: Image, *, ctr_speed: float, skopeo_speed: float
) -> Iterator[table.Row]:
    what = f"pull of {_layers(image)}"
    turns.session.say(what)
    cpu: dict[str, list[float]] = {"lading": [], "skopeo": [], "ctr": []}

    def turn(name: str, work: Callable[[Image], Spent]) -> Callable[[], float]:
        def run() -> float:
            seconds, worked = work(image)
            cpu[name].append(worked)
            return seconds

        return run

    times = turns.session.compare(
        {
            "lading": turn("lading", turns.lading),
            "skopeo": turn("skopeo", turns.skopeo),
            "ctr": turn("ctr", turns.ctr),
        },
        uses=2 * image.size,
    )
    worked: Times = {name: values[1:] for name, values in cpu.items()}
    yield table.faster(
        f"{what}; ctr content fetch", times, ours="lading", rival="ctr", at_least=ctr_speed
    )
    yield table.faster(
        f"{what}; skopeo copy", times, ours="lading", rival="skopeo", at_least=skopeo_speed
    )
    if image.name == "one":
        yield table.slower(
            f"… what the cores worked for {what}; skopeo",
            worked,
            ours="lading",
            rival="skopeo",
            at_most=0.5,
        )


def _library(turns: Turns, image: Image, how: str) -> table.Row:
    what = f"pull of {_layers(image)} in a running process, {how}; serial Go"
    turns.session.say(what)
    times = turns.session.compare(
        {"lading": lambda: turns.library(image), "go": lambda: turns.go(image)},
        uses=2 * image.size,
    )
    return table.faster(what, times, ours="lading", rival="go", at_least=1.4)


def _over_a_link(turns: Turns) -> Iterator[table.Row]:
    """One blob through connections that are slow and far away: many ranges against one."""
    size = turns.session.size(256 * MIB, quick=24 * MIB)
    image = turns.registry.make("far", layers=1, each=size)
    what = f"pull of {_layers(image)} over 40 ms and 10 MiB/s a connection; one stream"
    turns.session.say(what)

    def work(streams: int) -> float:
        with (
            turns.place() as root,
            link(turns.registry.host, round_trip=LINK_ROUND_TRIP, rate=LINK_RATE) as line,
        ):
            reference = f"{line.host}/{image.name}:1"
            return spent(pull(root, reference, "--streams", str(streams))).seconds

    times = turns.session.compare({"many": lambda: work(6), "one": lambda: work(1)})
    yield table.faster(what, times, ours="many", rival="one", at_least=3.0)


def _after_a_kill(turns: Turns) -> Iterator[table.Row]:
    """A second pull after `kill -9` at 90 %: what it moves and how long it takes."""
    size = turns.session.size(GIB, quick=32 * MIB)
    image = turns.registry.make("killed", layers=1, each=size)
    what = f"second pull of {_layers(image)} after kill -9 at 90 %; the whole"
    turns.session.say(what)
    whole_bytes: list[int] = []
    second_bytes: list[int] = []

    def whole() -> float:
        with turns.place() as root, link(turns.registry.host) as line:
            took = spent(pull(root, f"{line.host}/{image.name}:1")).seconds
            whole_bytes.append(line.down)
            return took

    def second() -> float:
        with (
            turns.place() as root,
            link(turns.registry.host, down_limit=int(size * KILLED_AT)) as line,
        ):
            command = pull(root, f"{line.host}/{image.name}:1")
            with started(command) as program:
                line.wait_for(lambda line: line.down >= int(size * KILLED_AT))
                program.kill()
            line.let_go()
            before = line.down
            took = spent(command).seconds
            second_bytes.append(line.down - before)
            return took

    times = turns.session.compare({"second": second, "whole": whole}, uses=2 * size)
    yield table.slower(what, times, ours="second", rival="whole", at_most=0.25)
    yield table.share(
        "… the bytes it moves", moved=second_bytes[1:], whole=whole_bytes[1:], at_most=0.15
    )


def _layers(image: Image) -> str:
    count = len(image.layers)
    each = image.size // count // MIB
    return f"{each} MiB" if count == 1 else f"{count} x {each} MiB"
