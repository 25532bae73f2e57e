"""Pushing to a registry: a second push after `kill -9`, and a whole one against skopeo."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.link import Link, link

from benchmarks import table
from benchmarks.material import GIB, MIB
from benchmarks.programs import Word, started
from benchmarks.pulls import Turns, pull
from benchmarks.registry import Image, absent, running, spent
from benchmarks.session import Session

KILLED_AT = 0.6


def rows(session: Session) -> Iterator[table.Row]:
    """Every row of pushing; none where a peer is not installed."""
    if missing := absent():
        session.say(f"pushes: not installed: {', '.join(missing)}; its rows are left out")
        return
    size = session.size(GIB, quick=32 * MIB)
    with session.scratch(room=8 * GIB if not session.quick else GIB) as folder:
        with running(folder / "source") as registry:
            image = registry.make("pushed", layers=1, each=size)
            root, layout = folder / "root", folder / "layout"
            name = registry.reference(image)
            spent(pull(root, name))
            spent(
                [
                    *("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"),
                    *(f"docker://{name}", f"oci:{layout}:1"),
                ]
            )
        turns = Turns(session, folder, registry)
        yield from _whole(turns, root, layout, image, name)
        yield from _after_a_kill(turns, root, image, name)


def _push(root: Path, name: str, target: str) -> list[Word]:
    return [
        *(sys.executable, "-m", "lading.cli", "--root", root, "push", "--plain-http"),
        *("--progress", "none", name, target),
    ]


def _whole(turns: Turns, root: Path, layout: Path, image: Image, name: str) -> Iterator[table.Row]:
    what = f"push of {image.size // MIB} MiB; skopeo copy from a layout"
    turns.session.say(what)

    def lading() -> float:
        with turns.place() as place, running(place) as registry:
            return spent(_push(root, name, f"{registry.host}/pushed:1")).seconds

    def skopeo() -> float:
        with turns.place() as place, running(place) as registry:
            return spent(
                [
                    *("skopeo", "--insecure-policy", "copy", "--quiet"),
                    *("--dest-tls-verify=false", f"oci:{layout}:1"),
                    f"docker://{registry.host}/pushed:1",
                ]
            ).seconds

    times = turns.session.compare({"lading": lading, "skopeo": skopeo}, uses=image.size)
    yield table.faster(what, times, ours="lading", rival="skopeo", at_least=None)


def _after_a_kill(turns: Turns, root: Path, image: Image, name: str) -> Iterator[table.Row]:
    """A second push after `kill -9` at 60 %: the bytes it sends."""
    what = f"second push of {image.size // MIB} MiB after kill -9 at 60 %; the whole"
    turns.session.say(what)
    whole_bytes: list[int] = []
    second_bytes: list[int] = []

    def whole() -> float:
        with turns.place() as place, running(place) as registry, link(registry.host) as line:
            took = spent(_push(root, name, f"{line.host}/pushed:1")).seconds
            whole_bytes.append(line.up)
            return took

    def second() -> float:
        stop = int(image.size * KILLED_AT)
        with turns.place() as place, running(place) as registry, link(registry.host) as line:
            command = _push(root, name, f"{line.host}/pushed:1")
            with started(command) as program:
                _hold_behind_a_chunk(line, stop)
                _wait_for_session(root, stop)
                program.kill()
            line.cut()
            line.let_go()
            before = line.up
            took = spent(command).seconds
            second_bytes.append(line.up - before)
            return took

    times = turns.session.compare({"second": second, "whole": whole}, uses=image.size)
    row = table.slower(what, times, ours="second", rival="whole", at_most=1.0)
    yield row._replace(target="", met=None)
    yield table.share(
        "… the bytes it sends", moved=second_bytes[1:], whole=whole_bytes[1:], at_most=0.45
    )


def _hold_behind_a_chunk(line: Link, size: int) -> None:
    """Let the chunk pass that is under way when `size` bytes have passed, and nothing behind it.

    An upload that is cut inside of a chunk is forgotten by docker-registry, whatever a client does.
    """
    line.wait_for(lambda line: sum(request.sent for request in line.requests) >= size)
    with line.changed:
        chunk = line.requests[-1]
        line.limit(up=(chunk.length or 0) - chunk.sent)


def _wait_for_session(root: Path, size: int) -> None:
    """Wait until the push has put down that the registry has `size` bytes."""
    while True:
        for file in (root / "uploads").glob("*.json"):
            if json.loads(file.read_text())["offset"] >= size:
                return
        time.sleep(0.01)
