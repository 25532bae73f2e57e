"""What each client does with each lie of a registry: `python -m benchmarks.faults`.

The lies are `tests/support/lies_table.py`. Each is told once, to each client, which then is run
until it says that all is well, three times at most. It prints the tables of docs/faults.md, and
with `--write` puts them there. It takes a quarter of an hour, most of it for those who wait.
"""

import argparse
import contextlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.support.certificates import Authority
from tests.support.containerd import Containerd
from tests.support.lies_table import IMAGE, LAYER, MANIFEST_TYPE, MANIFESTS, ROWS, Row, scene
from tests.support.lying import Lying
from tests.support.peers import peer
from tests.support.registry import digest

from benchmarks.machine import described
from benchmarks.material import ROOT

PAGE = ROOT / "docs" / "faults.md"
RUNS_LIMIT = 3
PATIENCE_SECONDS = 75
"""After this a client that still waits is killed. lading gives up a silent connection after 30."""
_LADING = [sys.executable, "-m", "lading.cli"]
_MARK = "<!-- {} -->"
_NORMAL = [
    (re.compile(r"127\.0\.0\.1:\d+"), "localhost:5000"),
    (re.compile(r"(sha256:[0-9a-f]{6})[0-9a-f]{58}"), r"\1…"),
    (re.compile(r"\b([0-9a-f]{6})[0-9a-f]{58}\b"), r"\1…"),
    (re.compile(r"\s+"), " "),
    (re.compile(r" on [\d.]+:53: no such host"), ": no such host"),
    (re.compile(r"X-Signature=\w+"), "X-Signature=…"),
    (re.compile(r'^time="[^"]*" level=fatal msg="(.*)"$'), r"\1"),
]


class Scene(NamedTuple):
    """A registry that lies, and where it sends people."""

    registry: Lying
    reference: str
    manifest: bytes
    secure: bool

    @property
    def layer_bytes(self) -> int:
        """Bytes of the layer that were sent, from here or there."""
        servers = filter(None, (self.registry, self.registry.other))
        asked = [each for server in servers for each in server.asked("GET")]
        return sum(each.sent for each in asked if each.whole is LAYER)


class Client(Protocol):
    """Somebody who pulls."""

    name: str
    pause_seconds: int
    """How long before it is run again."""

    def command(self, scene: Scene) -> Sequence[str | Path]:
        """What is run."""

    def held(self, name: str) -> bytes | None:
        """The manifest or the layer of this digest, as it has it; None for nothing."""

    def close(self) -> None:
        """Take away what it has."""


class Lading:
    """The command, on a root of its own."""

    name, pause_seconds = "lading", 0

    def __init__(self, folder: Path) -> None:
        self._root = folder / "root"

    def command(self, scene: Scene) -> Sequence[str | Path]:
        way = "--insecure" if scene.secure else "--plain-http"
        options = ("--root", self._root, way, "--progress", "none")
        return [*_LADING, "pull", *options, scene.reference]

    def held(self, name: str) -> bytes | None:
        return _output([*_LADING, "get", "--root", self._root, name])

    def close(self) -> None:
        pass


class Skopeo:
    """`skopeo copy` to a directory."""

    name, pause_seconds = "skopeo", 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "directory"

    def command(self, scene: Scene) -> Sequence[str | Path]:
        copy = (peer("skopeo"), "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false")
        return [*copy, f"docker://{scene.reference}", f"dir:{self._folder}"]

    def held(self, name: str) -> bytes | None:
        file = self._folder / name.removeprefix("sha256:")
        if name != digest(LAYER):
            file = self._folder / "manifest.json"
        return file.read_bytes() if file.exists() else None

    def close(self) -> None:
        pass


class Ctr:
    """`ctr content fetch` with a containerd of its own, whose collector does not come by."""

    name, pause_seconds = "containerd", 0
    collects = False

    def __init__(self, folder: Path) -> None:
        self._server = Containerd(folder / "containerd", collects=self.collects)
        self._server.start()
        self._hosts = folder / "hosts"
        self._ctr: list[str | Path] = [peer("ctr"), "--address", self._server.address]

    def command(self, scene: Scene) -> Sequence[str | Path]:
        way: list[str | Path] = ["--plain-http"]
        if scene.secure:  # without this it speaks no TLS to a loopback address
            host = scene.reference.partition("/")[0]
            file = self._hosts / host / "hosts.toml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'[host."https://{host}"]\n  skip_verify = true\n')
            way = ["--hosts-dir", self._hosts]
        return [*self._ctr, "content", "fetch", *way, scene.reference]

    def held(self, name: str) -> bytes | None:
        return _output([*self._ctr, "content", "get", name])

    def close(self) -> None:
        self._server.close()


class PatientCtr(Ctr):
    """The same, by somebody who waits until the collector has been there."""

    name, pause_seconds = "containerd, 10 s apart", 10
    collects = True


CLIENTS = {client.name: client for client in (Lading, Skopeo, Ctr, PatientCtr)}


class Outcome(NamedTuple):
    """What became of the runs of one client."""

    runs: tuple[str, ...]
    """Each: ok, fails, waits, or what it has and should not have."""
    sentence: str
    """What it said when it failed first."""
    layer_bytes: int

    def __str__(self) -> str:
        *failures, last = self.runs
        times = self.layer_bytes / len(LAYER)
        cost = f" ({times:.1f} layers)" if last == "ok" and times >= 1.05 else ""  # noqa: PLR2004 - what is rounded to more than one
        if not failures:
            return f"{last}{cost}"
        if last == "ok":
            return f"{', '.join(failures)}, then ok{cost}"
        return f"**{', '.join(self.runs)}**"


def outcome(kind: type[Client], row: Row, certificate: ssl.SSLContext) -> Outcome:
    """Let a new client pull while the lies of a row are told, each once."""
    folder = Path(tempfile.mkdtemp(prefix="lading-faults-", dir=ROOT / "build"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        client = kind(folder)  # type: ignore[call-arg]  # each takes a folder
        stack.callback(client.close)
        played = stack.enter_context(_played(row, certificate))
        runs: list[str] = []
        sentence = ""
        while len(runs) < RUNS_LIMIT and "ok" not in runs:
            if runs:
                time.sleep(client.pause_seconds)
            said = _run(client, played)
            runs.append(said.partition(":")[0])
            sentence = sentence or said.partition(": ")[2]
        return Outcome(tuple(runs), sentence, played.layer_bytes)


@contextlib.contextmanager
def _played(row: Row, certificate: ssl.SSLContext) -> Iterator[Scene]:
    secure = row.needs == "tls"
    registry = Lying(scene(), tokens=row.needs == "tokens", context=certificate if secure else None)
    registry.other = Lying()
    try:
        for file, data in MANIFESTS.items():
            registry.add_manifest("team/app", file.replace(" ", "-"), data, MANIFEST_TYPE)
        registry.lie(row.told())
        manifest = MANIFESTS.get(row.needs, IMAGE.manifest)
        yield Scene(registry, f"{registry.host}/team/app:{_tag(row)}", manifest, secure)
    finally:
        registry.close()
        registry.other.close()


def _tag(row: Row) -> str:
    return row.needs.replace(" ", "-") if row.needs in MANIFESTS else "1"


def _run(client: Client, played: Scene) -> str:
    try:
        ran = subprocess.run(
            client.command(played),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"waits: it said nothing, and was killed after {PATIENCE_SECONDS} s"
    if ran.returncode == 0:
        for right in (played.manifest, LAYER):
            held = client.held(digest(right))
            if held != right:
                return "has nothing" if held is None else "has wrong bytes"
        return "ok"
    lines = ran.stderr.decode(errors="replace").splitlines() or ["nothing"]
    return f"fails: {_normal(lines[-1])}"


def _normal(line: str) -> str:
    for pattern, text in _NORMAL:
        line = pattern.sub(text, line)
    return line.strip().replace("|", "\\|")


def _output(command: Sequence[str | Path]) -> bytes | None:
    ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return ran.stdout if ran.returncode == 0 else None


def _versions() -> Mapping[str, str]:
    programs: dict[str, list[str | Path]] = {
        "lading": [*_LADING, "--version"],
        "skopeo": [peer("skopeo"), "--version"],
        "containerd": [peer("containerd"), "--version"],
    }
    said = {name: (_output(words) or b"").decode() for name, words in programs.items()}
    found = {name: re.search(r"\d+\.\d+\.\d+\S*", text) for name, text in said.items()}
    return {name: version[0] if version else "?" for name, version in found.items()}


def _certificate(folder: Path) -> ssl.SSLContext:
    """A server's, by an authority that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(folder).vouch("registry"))
    return context


def tables(names: Sequence[str], wanted: str = "") -> Iterator[str]:
    """The lines of both tables: what happened, and what was said."""
    rows = [*ROWS, *(Row(f"a manifest that {each}", {}, needs=each) for each in MANIFESTS)]
    rows = [row for row in rows if wanted in row.name]
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(names)) as crew:
        certificate = _certificate(Path(folder))
        yield f"| the lie | {' | '.join(names)} |"
        yield f"|---|{'---|' * len(names)}"
        for row in rows:
            # Side by side, since most of the time is that of those who wait.
            found = list(crew.map(lambda name: outcome(CLIENTS[name], row, certificate), names))  # noqa: B023 - done before the next row
            yield f"| {row.name} | {' | '.join(map(str, found))} |"
            said += [
                f"| {row.name} | {name} | {each.sentence} |"
                for name, each in zip(names, found, strict=True)
                if each.sentence
            ]
    yield ""
    yield "| the lie | who | what it said first |"
    yield "|---|---|---|"
    yield from said


def main() -> None:
    """Run them all, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--lies", default="", help="only those with this in their sentence")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    lines = [f"Made on {described(ROOT)}; {versions}.", ""]
    print(*lines, sep="\n")
    for line in tables(options.clients, options.lies):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        begin, end = _MARK.format("tables"), _MARK.format("end of the tables")
        before, _, rest = PAGE.read_text().partition(begin)
        after = rest.partition(end)[2]
        made = "\n".join(lines)
        PAGE.write_text(f"{before}{begin}\n{made}\n{end}{after}")


if __name__ == "__main__":
    main()
