"""Real pulls from a real registry that are killed at any byte and any step, and the next ones."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import lading
from lading import LocalStore
from lading.metadata import Metadata
from lading.model.digest import Digest
from tests.oci.pulls import digests_in
from tests.support.link import Link, link
from tests.support.registry import digest, image, running_registry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pull kills")]

COMMAND = [sys.executable, "-m", "lading.cli"]
SOURCE = str(Path(lading.__file__).parents[1])
MADE = image({"a": os.urandom(3_000_000)}, {"b": os.urandom(1_500_000)}, {"c": os.urandom(9)})
TOTAL = sum(map(len, MADE.blobs.values()))
LAYERS = {digest(layer): len(layer) for layer in MADE.layers}
HEADS = 16 << 10
"""Bytes of all heads of answers of a pull, at most."""
HELD = 32 << 10
"""Bytes that the link holds, and counts when their connection is gone."""
EVENTS = 24
"""More than a pull has."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        registry.push(MADE, "team/app:1")
        yield registry


class Site(NamedTuple):
    """A root of the test's own, and a link to the registry."""

    root: Path
    line: Link
    environment: dict[str, str]

    @property
    def store(self):
        return LocalStore(self.root)

    @property
    def reference(self):
        return f"{self.line.host}/team/app:1"

    def start(self, *options):
        return subprocess.Popen(
            [*COMMAND, "pull", "--plain-http", *options, self.reference],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def on_disk(self):
        """Bytes of all ingests and blobs."""
        found = 0
        for pattern in ("ingest/*/data", "blobs/sha256/*"):
            for path in self.root.glob(pattern):
                try:
                    found += path.stat().st_size
                except FileNotFoundError:  # an ingest became a blob
                    return self.on_disk()
        return found

    def kept(self):
        """How far each layer is that is neither new nor whole, by its digest."""
        with self.metadata() as metadata:
            ingests = metadata.namespace("default").ingests()
            return {
                ingest.ref.removeprefix("layer-"): ingest.offset
                for ingest in ingests
                if ingest.ref.startswith("layer-") and ingest.offset
            }

    @contextmanager
    def metadata(self):
        with Metadata(f"sqlite:///{self.root}/metadata.db", content=self.store) as metadata:
            yield metadata

    def ends_right(self, *options):
        """Pull again, and look at everything. Gives what was said on stderr."""
        self.line.cut()
        self.line.let_go()
        process = self.start(*options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        assert out.decode() == f"{self.line.host}/team/app@{MADE.digest}\n"
        with self.metadata() as metadata:
            namespace = metadata.namespace("default")
            metadata.collect()
            assert digests_in(namespace) == sorted(MADE.blobs)
            assert all(self.store.read(Digest(name)) == data for name, data in MADE.blobs.items())
            assert namespace.images.get(self.reference).target.digest == MADE.digest
            assert namespace.blob(Digest(MADE.digest)).labels
            assert list(namespace.leases()) == []
            assert list(namespace.ingests()) == []
        return err.decode()

    def asked_again(self, since):
        """The ranges that layers were asked for, from a request on, by their digest."""
        return {
            request.path.rpartition("/")[2]: request.range
            for request in self.line.requests[since:]
            if request.method == "GET" and request.path.rpartition("/")[2] in LAYERS
        }


@pytest.fixture
def site(registry, own_environment, tmp_path):
    with link(registry.host) as line:
        root = tmp_path / "root"
        environment = own_environment | {"LADING_ROOT": str(root), "PYTHONPATH": SOURCE}
        yield Site(root, line, environment)


def test_a_pull_that_nobody_kills_ends_right(site):
    site.ends_right()
    assert site.line.down <= TOTAL + HEADS


@pytest.mark.parametrize(
    "at",
    [
        *(0, 1, 300, 1_000, 1_500, 2_000, 3_000),  # what it stands for, manifest, heads of blobs
        *(20_000, 300_001, 1_000_000, 2_222_222, 3_333_333, 4_000_000, 4_400_000),
        TOTAL - 1,
    ],
)
def test_a_pull_that_is_killed_at_a_byte_goes_on_at_that_byte(site, at):
    site.line.limit(down=at)
    process = site.start("-j", "2")
    site.line.wait_for(lambda line: line.down >= at)
    # All that has passed the link is on its way to the disk, and nothing else is.
    site.line.wait_for(lambda _: site.on_disk() >= at - HEADS)
    process.kill()
    process.communicate()
    kept = site.kept() if (site.root / "metadata.db").exists() else {}
    first, since = site.line.down, len(site.line.requests)
    site.ends_right()
    asked = site.asked_again(since)
    for name, offset in kept.items():
        if offset < LAYERS[name]:
            assert asked[name] == f"bytes={offset}-{LAYERS[name] - 1}"
    # Not a byte of a layer came twice.
    assert site.line.down - first <= max(TOTAL - at, 0) + HEADS + HELD


def test_a_second_pull_says_how_much_it_did_not_have_to_fetch(site):
    site.line.limit(down=3_000_000)
    process = site.start()
    site.line.wait_for(lambda line: site.on_disk() >= 3_000_000 - HEADS)
    process.kill()
    process.communicate()
    said = site.ends_right("--progress", "lines")
    there = re.search(r"; resumed: (\S+) MB of 4\.5\d* MB were there$", said, re.MULTILINE)
    assert float(there[1]) == pytest.approx(3.0, abs=0.02)
    assert "are there\n" in said


@pytest.mark.parametrize("step", range(1, EVENTS, 2))
def test_a_pull_that_is_killed_at_a_step_is_finished_by_the_next(site, step):
    process = site.start("--progress", "jsonl", "-j", "1")
    for _ in range(step):
        line = process.stderr.readline()
        if not line:
            break
        assert json.loads(line)["event"]
    process.kill()
    process.communicate()
    site.ends_right()


def test_two_processes_that_pull_at_once_both_end_right_and_move_it_once(registry, site):
    with link(registry.host, rate=2 << 20) as slow:
        there = site._replace(line=slow)
        first = there.start()
        slow.wait_for(lambda _: there.on_disk() >= 100_000)
        second = there.start("--progress", "lines")
        for process in (first, second):
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err.decode()
            assert out.decode().endswith(f"@{MADE.digest}\n")
        assert "is locked by" in err.decode()
        assert slow.down <= TOTAL + HEADS
        there.ends_right()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_stopped_says_how_to_go_on_and_that_works(site, number):
    site.line.limit(down=2_000_000)
    process = site.start("-j", "3", "--platform", "linux/amd64")
    site.line.wait_for(lambda line: site.on_disk() >= 2_000_000 - HEADS)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == (b"", 128 + number)
    word = "interrupted" if number == signal.SIGINT else "terminated"
    (sentence,) = (line for line in err.decode().splitlines() if line.startswith("lading: "))
    told = re.fullmatch(
        rf"lading: {word}; (\S+) MB of 4\.5\d* MB are here; go on with: lading (.*)", sentence
    )
    assert told, sentence
    assert float(told[1]) <= 2.0
    assert told[2] == f"pull --platform linux/amd64 --plain-http {site.reference}"
    kept, since = site.kept(), len(site.line.requests)
    assert site.on_disk() >= 2_000_000 - HEADS
    site.ends_right(*told[2].split()[1:-1])
    for name, asked in site.asked_again(since).items():
        if name in kept:
            assert asked == f"bytes={kept[name]}-{LAYERS[name] - 1}"


def test_a_stderr_that_nobody_reads_any_more_does_not_stop_a_pull(site):
    process = site.start("--progress", "lines")
    process.stderr.close()
    assert process.stdout.read().decode().endswith(f"@{MADE.digest}\n")
    assert process.wait() == 0
    process.stdout.close()
