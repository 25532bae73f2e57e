"""References and platforms are read as distribution's and containerd's own packages read them."""

import json
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lading.errors import InvalidArgument, InvalidReference
from lading.model.platform import Platform
from lading.model.reference import Reference
from tests.compat.building import built, shared_folder
from tests.unit.model.test_platform import FOLDED, NO_PLATFORMS
from tests.unit.model.test_reference import BAD, GOOD

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("values")]

A = "a" * 64
MACHINES = [
    *("linux/amd64", "linux/amd64/v2", "linux/amd64/v4", "linux/386", "linux/s390x"),
    *("linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"),
    *("windows/amd64", "darwin/arm64", "linux/riscv64"),
]
CANDIDATES = [*MACHINES, "linux/amd64/v3", "linux/ppc64le", "windows/arm64"]


class Go:
    """The program, which answers as long as it is asked."""

    def __init__(self, program):
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, kind, text, candidates=()):
        question = {"Kind": kind, "Text": text, "Candidates": list(candidates)}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def go(pytestconfig, tmp_path_factory):
    program = built("values.go", ["build"], pytestconfig, shared_folder(tmp_path_factory))
    asked = Go(program)
    yield asked
    asked.close()


def read(text):
    """A reference as `go` answers it."""
    try:
        found = Reference.parse(text)
    except InvalidReference:
        return None
    return [found.host, found.repository, found.tag or "", str(found.digest or "")]


def is_newer(text):
    """What distribution takes only since Debian's sources: IPv6, and hosts in capitals alone.

    And what skopeo alone takes: a scheme.
    """
    first = text.partition("/")[0]
    return "[" in text or text.startswith("docker:") or first != first.lower()


def check(go, text):
    theirs = go.ask("reference", text)
    # A host that cannot be one is taken for a part of a repository at no host: we refuse it.
    assert read(text) == (None if theirs and not theirs[0] else theirs)


@pytest.mark.parametrize("text", [text for text in [*GOOD, *BAD] if not is_newer(text)])
def test_references_of_the_table_are_read_alike(go, text):
    check(go, text)


PIECES = st.sampled_from(
    [
        *("a", "b1", "A", "aa", "0", "library", "docker.io", "index.docker.io", "localhost"),
        *(":", "/", "@", ".", "-", "_", "__", "___", "--", "[", "]", "::1", "[::1]", "5000"),
        *(
            "sha256:",
            A,
            f"sha256:{A}",
            f"@sha256:{A}",
            "latest",
            ":1.0",
            "é",
            " ",
            "\n",
            "127.0.0.1",
        ),
    ]
)


@given(st.lists(PIECES, max_size=9).map("".join))
@settings(max_examples=4000)
def test_references_of_any_pieces_are_read_alike(go, text):
    assume(not is_newer(text))
    check(go, text)


def parsed(text):
    """A platform as `go` answers it."""
    try:
        found = Platform.parse(text)
    except InvalidArgument:
        return None
    return [found.os, found.architecture, found.variant]


@pytest.mark.parametrize("text", [*FOLDED, *NO_PLATFORMS])
def test_platforms_of_the_table_are_read_alike(go, text):
    assert parsed(text) == go.ask("platform", text)


PARTS = st.sampled_from(
    [
        *("linux", "Linux", "macos", "windows", "amd64", "x86_64", "x86-64", "i386", "386", "arm"),
        *("arm64", "aarch64", "AARCH64", "armhf", "armel", "v1", "v2", "v7", "v8", "7", "8", "5"),
        *("", "*", "x y", "s390x", "riscv64", "é"),
    ]
)


@given(st.lists(PARTS, min_size=1, max_size=4).map("/".join))
@settings(max_examples=2000)
def test_platforms_of_any_parts_are_read_alike(go, text):
    assert parsed(text) == go.ask("platform", text)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_platforms_serve_a_machine_in_the_same_order(go, machine):
    ours = []
    for served in Platform.parse(machine).served_by():
        ours += [text for text in CANDIDATES if Platform.parse(text) == served]
    assert ours == go.ask("served", machine, CANDIDATES)
