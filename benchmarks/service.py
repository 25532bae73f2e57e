"""The daemon against containerd: the same client, the same bytes, durable and with metadata."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import table
from benchmarks.material import BLOCK_SIZE, GIB, KIB, MIB, write_file
from benchmarks.measuring import Times
from benchmarks.peers import Outcome
from benchmarks.programs import Word, output_of
from benchmarks.servers import (
    PROCESSES,
    SEVERAL,
    ContentClient,
    Server,
    absent,
    both,
    ctr,
    lading,
)
from benchmarks.session import Session

EACH = 4 * KIB
CLIENTS = 4
IDLE, WRITING = 100, 8
MEMORY_LIMIT = 250 * MIB
_LADINGS = {"lading": "", SEVERAL: f", by {PROCESSES} processes"}
"""The ladings that are measured, and what is said of each."""
Work = Callable[[Server, int], Outcome]
"""What a client does in one turn, given a number that no other round has."""


def rows(session: Session) -> Iterator[table.Row]:
    """Every row of the service; none where containerd or its sources are not installed."""
    if missing := absent():
        session.say(f"service: not installed: {', '.join(missing)}; its rows are left out")
        return
    client = ContentClient.build()
    with session.scratch(room=session.size(8 * GIB, quick=GIB)) as folder:
        block = write_file(folder / "block", BLOCK_SIZE)
        work = partial(client.run, source=block)
        with both(folder / "bytes", client) as servers:
            yield from _writes(session, servers, work)
            yield from _reads(session, servers, work)
            yield from _commands(session, servers, work, folder)
        with both(folder / "small", client) as servers:
            yield from _commits(session, servers, work)
            yield from _deletions(session, servers, work)
        with both(folder / "streams", client) as servers:
            yield from _memory(session, servers, work)
        count = session.size(100_000, quick=1_000)
        with both(folder / "rows", client, filled=count) as servers:
            yield from _lookups(session, servers, work, count)
            yield from _listings(session, servers, work, count)


def _writes(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome]
) -> Iterator[table.Row]:
    size = session.size(GIB, quick=8 * MIB)
    for streams, speed in ((1, 2.8), (CLIENTS, 2.2)):
        what = f"Write of {size // MIB} MiB, {_counted(streams, 'stream')}"
        session.say(what)

        def work(server: Server, number: int, streams: int = streams) -> Outcome:
            return client("write", server, size=size // streams, clients=streams, round=number)

        times, cpu = _turns(
            session, servers, work, clients=streams, uses=2 * size, after=partial(client, "clear")
        )
        yield from _faster(what, times, speed)
        if streams == 1:
            yield _worked(what, cpu, 0.4)


def _reads(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome]
) -> Iterator[table.Row]:
    size = session.size(512 * MIB, quick=8 * MIB)
    what = f"Read of {size // MIB} MiB"
    session.say(what)
    for server in servers.values():
        client("write", server, size=size)

    def work(server: Server, number: int) -> Outcome:
        return client("read", server, size=size)

    times, cpu = _turns(session, servers, work, uses=size)
    yield from _faster(what, times, 1.45)
    yield _worked(what, cpu, 0.5)


def _commits(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome]
) -> Iterator[table.Row]:
    count = session.size(1_000, quick=32)
    for clients, speed, first in ((1, 2.0, 0), (CLIENTS, 2.5, 1000)):
        what = f"{count:,} commits of 4 KiB, {_counted(clients, 'client')}"
        session.say(what)

        def work(
            server: Server, number: int, clients: int = clients, first: int = first
        ) -> Outcome:
            return client(
                "commit", server, count=count, each=EACH, clients=clients, round=first + number
            )

        yield from _faster(what, _turns(session, servers, work, clients=clients)[0], speed)


def _deletions(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome]
) -> Iterator[table.Row]:
    count = session.size(1_000, quick=32)
    what = f"{count:,} calls of Delete, one by one"
    session.say(what)

    def work(server: Server, number: int) -> Outcome:
        some = {"count": count, "each": EACH, "round": 2000 + number}
        client("commit", server, clients=CLIENTS, **some)
        return client("delete", server, **some)

    yield from _faster(what, _turns(session, servers, work)[0], 1.0)


def _lookups(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome], among: int
) -> Iterator[table.Row]:
    count = session.size(10_000, quick=100)
    for clients, speed in ((1, 0.6), (CLIENTS, 0.35)):
        what = f"{count:,} calls of Info, {_counted(clients, 'client')}"
        session.say(what)

        def work(server: Server, number: int, clients: int = clients) -> Outcome:
            return client("info", server, count=count, clients=clients, among=among)

        yield from _faster(what, _turns(session, servers, work, clients=clients)[0], speed)


def _listings(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome], among: int
) -> Iterator[table.Row]:
    what = f"List of {among:,}"
    session.say(what)

    def work(server: Server, number: int) -> Outcome:
        return client("list", server)

    yield from _faster(what, _turns(session, servers, work)[0], 0.8)


def _memory(
    session: Session, servers: Mapping[str, Server], client: Callable[..., Outcome]
) -> Iterator[table.Row]:
    size = session.size(128 * MIB, quick=MIB)
    what = f"peak memory, {IDLE} idle and {WRITING} writing streams"
    session.say(what)
    for server in servers.values():
        client("hold", server, idle=IDLE, clients=WRITING, size=size)
    for name, added in _LADINGS.items():
        row = table.within(what + added, servers[name].peak_memory(), limit=MEMORY_LIMIT)
        yield row._replace(rival=f"{servers['containerd'].peak_memory() / MIB:.0f} MiB")


def _commands(
    session: Session,
    servers: Mapping[str, Server],
    client: Callable[..., Outcome],
    folder: Path,
) -> Iterator[table.Row]:
    """The commands of both, on a file that is cached; their start is part of the work."""
    size = session.size(512 * MIB, quick=8 * MIB)
    source, target = write_file(folder / "source", size), folder / "target"
    digest = (
        output_of(lading(servers["lading"], "ingest", "--progress", "none", source))
        .decode()
        .strip()
    )
    output = _fed(ctr(servers["containerd"], "content", "ingest", "first"), source)
    assert output == b""

    def get(command: Sequence[Word]) -> float:
        began = time.perf_counter()
        with (
            target.open("wb") as file,
            subprocess.Popen([*command, digest], stdout=file) as program,
        ):
            assert program.wait() == 0
        took = time.perf_counter() - began
        assert target.stat().st_size == size
        return took

    what = f"of {size // MIB} MiB by the command"
    session.say(f"get and ingest {what}")
    times = session.compare(
        {
            "lading": lambda: get(lading(servers["lading"], "get")),
            "containerd": lambda: get(ctr(servers["containerd"], "content", "get")),
        },
        uses=2 * size,
    )
    yield from _faster(f"get {what}", times, 4.0)

    def ingest(server: Server, command: Callable[[], object]) -> float:
        client("clear", server)
        began = time.perf_counter()
        command()
        return time.perf_counter() - began

    ours, theirs = servers["lading"], servers["containerd"]
    times = session.compare(
        {
            "lading": lambda: ingest(
                ours, lambda: output_of(lading(ours, "ingest", "--progress", "none", source))
            ),
            "containerd": lambda: ingest(
                theirs, lambda: _fed(ctr(theirs, "content", "ingest", "again"), source)
            ),
        },
        uses=2 * size,
    )
    yield from _faster(f"ingest {what}", times, 4.0)


def _fed(command: Sequence[Word], source: Path) -> bytes:
    with source.open("rb") as file:
        return output_of(command, stdin=file)


def _turns(
    session: Session,
    servers: Mapping[str, Server],
    work: Work,
    *,
    clients: int = 1,
    uses: int = 0,
    after: Callable[[Server], object] = lambda server: None,
) -> tuple[Times, Times]:
    """Let the client work with each server in turn: its seconds, and what the server worked.

    One client alone has nothing of a second process.
    """
    servers = {name: each for name, each in servers.items() if clients > 1 or name != SEVERAL}
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    done: dict[str, list[str]] = {name: [] for name in servers}

    def turn(server: Server) -> float:
        began = server.cpu_seconds()
        outcome = work(server, len(done[server.name]))
        cpu[server.name].append(server.cpu_seconds() - began)
        done[server.name].append(outcome.digest)
        after(server)
        return outcome.seconds

    times = session.compare(
        {name: partial(turn, server) for name, server in servers.items()}, uses=uses
    )
    first, *others = (sorted(each) for each in done.values())
    assert all(each == first for each in others), "they have not done the same"
    return times, {name: each[1:] for name, each in cpu.items()}  # the first round is not counted


def _faster(what: str, times: Times, at_least: float) -> Iterator[table.Row]:
    for name, added in _LADINGS.items():
        if name in times:
            title = f"{what}{added}; containerd"
            yield table.faster(title, times, ours=name, rival="containerd", at_least=at_least)


def _worked(what: str, cpu: Times, at_most: float) -> table.Row:
    return table.slower(
        f"{what}: what the server's cores worked; containerd",
        cpu,
        ours="lading",
        rival="containerd",
        at_most=at_most,
    )


def _counted(count: int, noun: str) -> str:
    return f"one {noun}" if count == 1 else f"{count} {noun}s"
