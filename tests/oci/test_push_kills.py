"""Real pushes that are killed, and the next ones: to a real registry, and to one by the book.

A registry by the book says how much it has, so that a push goes on at that byte. Debian's
docker-registry, as all of distribution, forgets an upload whose connection breaks within a chunk:
its address names the bytes that were there before, and is the only one we have. There a push goes
on after the last chunk, or, killed within one, begins anew.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import lading
from lading import LocalStore
from tests.support.link import Link, link
from tests.support.lying import lying
from tests.support.lying_uploads import Quirks
from tests.support.registry import digest, image, running_registry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("push kills")]

COMMAND = [sys.executable, "-m", "lading.cli"]
SOURCE = str(Path(lading.__file__).parents[1])
MIB = 1 << 20
MADE = image({"weights": os.urandom(64 * MIB)})
LAYER = MADE.layers[0]
NAME = digest(LAYER)
BY_THE_BOOK = Quirks(states=False, relative=True)  # or they would lead around the link
FIRST = 16 * MIB
"""The first chunk. The next ones may be larger, by how fast it went."""


def wait_until(condition):
    """Wait for what happens in another process, which nobody here is told of."""
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.005)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A root that every test reads from."""
    made = LocalStore(tmp_path_factory.mktemp("store") / "root")
    for blob in MADE.blobs.values():
        made.add(blob)
    return made


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder) as registry:
        registry.uploads = lambda: list(folder.glob("storage/**/_uploads"))
        yield registry


class Site(NamedTuple):
    """A link to a registry, and who pushes through it."""

    root: Path
    line: Link
    environment: dict[str, str]
    repository: str

    @property
    def reference(self):
        return f"{self.line.host}/{self.repository}:1"

    def start(self, *options):
        return subprocess.Popen(
            [*COMMAND, "push", "--plain-http", "-j", "1", *options, MADE.digest, self.reference],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def remembered(self):
        """How far the registry is, as it has been remembered; None where nothing is."""
        for path in (self.root / "uploads").glob("*.json"):
            try:
                record = json.loads(path.read_text())
            except (FileNotFoundError, ValueError):
                continue
            if record["digest"] == NAME:
                return record["offset"]
        return None

    def chunks(self, since=0):
        """Where each chunk began, and its bytes, of the connections after the first `since`."""
        return [
            (int(request.content_range.split("-")[0]), request.length)
            for request in self.line.requests
            if request.method == "PATCH" and request.connection > since
        ]

    def hold_after_chunk(self, number):
        """Let nothing through after the bytes of a chunk, and wait until it was remembered."""
        self.line.wait_for(lambda _: len(self.chunks()) == number)
        with self.line.changed:
            request = [each for each in self.line.requests if each.method == "PATCH"][-1]
            self.line.limit(up=request.length - request.sent)
        end = sum(self.chunks()[-1])
        wait_until(lambda: self.remembered() == end)
        return end

    def kill(self, process, sign=signal.SIGKILL):
        process.send_signal(sign)
        out, err = process.communicate(timeout=60)
        self.line.cut()
        self.line.let_go()
        return out.decode(), err.decode()

    def ends_right(self):
        """Push again. Gives what was said on stderr, and the chunks of this run."""
        before = self.line.connections
        process = self.start()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert out.decode() == f"{self.line.host}/{self.repository}@{MADE.digest}\n"
        assert list((self.root / "uploads").glob("*")) == []
        return err.decode(), self.chunks(before)


@pytest.fixture
def site(store, own_environment, tmp_path):
    """Make one, before a registry."""
    lines = []

    def make(host, **limits):
        made = link(host, **limits)
        lines.append(made)
        root = tmp_path / "root"
        # The blobs are everybody's, and only read here.
        root.mkdir()
        (root / "blobs").symlink_to(store.root / "blobs")
        environment = own_environment | {"LADING_ROOT": str(root), "PYTHONPATH": SOURCE}
        return Site(root, made.__enter__(), environment, f"team/{tmp_path.name.lower()}")

    yield make
    for line in lines:
        line.__exit__(None, None, None)


def pulled(registry, site, tmp_path):
    """What skopeo gets there."""
    subprocess.run(
        [
            *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"),
            *(f"docker://{registry.host}/{site.repository}:1", f"dir:{tmp_path}/pulled"),
        ],
        check=True,
        capture_output=True,
    )
    return (tmp_path / "pulled" / NAME.removeprefix("sha256:")).read_bytes()


# Debian's docker-registry.


def test_a_push_that_nobody_kills_ends_right(site, registry, tmp_path):
    at = site(registry.host)
    _, chunks = at.ends_right()
    assert chunks[0] == (0, FIRST)
    assert sum(size for _, size in chunks) == len(LAYER)
    assert pulled(registry, at, tmp_path) == LAYER


@pytest.mark.parametrize("chunk", [1, 2])
def test_killed_between_chunks_a_push_goes_on_after_the_last_one(site, registry, tmp_path, chunk):
    at = site(registry.host)
    process = at.start()
    end = at.hold_after_chunk(chunk)
    at.kill(process)
    err, chunks = at.ends_right()
    assert chunks[0][0] == end
    assert sum(size for _, size in chunks) == len(LAYER) - end
    assert "resuming" in err
    assert pulled(registry, at, tmp_path) == LAYER


@pytest.mark.parametrize("at_byte", [100_000, 9 * MIB, FIRST + 200_000, 40 * MIB, 63 * MIB])
def test_killed_within_a_chunk_a_push_begins_anew_and_says_so(site, registry, tmp_path, at_byte):
    at = site(registry.host, up_limit=at_byte)
    process = at.start()
    at.line.wait_for(lambda line: line.up >= at_byte)
    had = at.remembered()
    at.kill(process)
    err, chunks = at.ends_right()
    assert chunks[0][0] == 0
    assert err.count("starting over") == (1 if had else 0)
    assert pulled(registry, at, tmp_path) == LAYER


def test_a_registry_that_has_lost_its_uploads_costs_one_restart(site, registry, tmp_path):
    at = site(registry.host)
    process = at.start()
    at.hold_after_chunk(1)
    at.kill(process)
    for folder in registry.uploads():
        shutil.rmtree(folder)
    err, chunks = at.ends_right()
    assert chunks[0][0] == 0
    assert err.count("starting over") == 1
    assert pulled(registry, at, tmp_path) == LAYER


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_chunk_that_is_under_way(site, registry, sign):
    at = site(registry.host, rate=16 * MIB)
    process = at.start()
    at.line.wait_for(lambda line: line.up >= FIRST // 2)
    out, err = at.kill(process, sign)
    assert process.returncode == (130 if sign == signal.SIGINT else 143)
    assert out == ""
    assert "were sent; go on with: lading push" in err
    assert at.remembered() == FIRST
    _, chunks = at.ends_right()
    assert chunks[0][0] == FIRST


# A registry by the book, which keeps what came of a chunk and says how much.


@pytest.mark.parametrize(
    "at_byte", [1_000, 100_001, 5 * MIB, FIRST + 10_000, FIRST + 3 * MIB + 1, 50 * MIB, 63 * MIB]
)
def test_killed_at_any_byte_a_push_goes_on_at_the_byte_where_the_registry_is(site, at_byte):
    with lying(quirks=BY_THE_BOOK) as registry:
        at = site(registry.host, up_limit=at_byte)
        process = at.start()
        at.line.wait_for(lambda line: line.up >= at_byte)
        at.kill(process)
        # What was on its way when the line was cut arrives, or it does not.
        wait_until(lambda: registry.uploads.is_idle)
        offset = max(registry.uploads.held.values(), default=0)
        assert offset == 0 or at_byte - offset < 64 << 10
        _, chunks = at.ends_right()
        assert chunks[0][0] == offset
        assert registry.blobs[at.repository][NAME] == LAYER


def test_killed_again_and_again_a_push_gets_there(site):
    with lying(quirks=BY_THE_BOOK) as registry:
        at = site(registry.host)
        for _ in range(6):
            before = at.line.up
            at.line.limit(up=9 * MIB)
            process = at.start()
            at.line.wait_for(lambda line, before=before: line.up >= before + 9 * MIB)
            at.kill(process)
            wait_until(lambda: registry.uploads.is_idle)
        _, chunks = at.ends_right()
        assert chunks[0][0] > 50 * MIB
        assert registry.blobs[at.repository][NAME] == LAYER


def test_two_pushes_of_one_image_at_once_both_succeed(site):
    with lying(quirks=BY_THE_BOOK) as registry:
        at = site(registry.host)
        processes = [at.start() for _ in range(2)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err.decode()
        assert registry.blobs[at.repository][NAME] == LAYER
