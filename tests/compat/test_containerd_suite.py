"""containerd's own suite for content stores, against lading's daemon, and against containerd.

Its tests are Go, `containerd/suite_test.go`; each is a case here, run in a process of its own. The
run against containerd says that the harness is right.
"""

import os
import subprocess

import pytest

from tests.compat.building import built, shared_folder
from tests.compat.daemon import running_lading
from tests.support.containerd import running_containerd

pytestmark = pytest.mark.slow

CONTENT = [
    "Writer",
    "UpdateStatus",
    "CommitExists",
    "Resume",
    "ResumeTruncate",
    "ResumeDiscard",
    "ResumeCopy",
    "ResumeCopySeeker",
    "ResumeCopyReaderAt",
    "SmallBlob",
    "Labels",
    "CommitErrorState",
]
ALL = {
    "TestContent": CONTENT,
    "TestShared": ["CrossNamespaceAppend", "CrossNamespaceShare"],
    "TestIsolated": ["CrossNamespaceIsolate"],
}


def cases(*suites):
    return [pytest.param(suite, name, id=name) for suite in suites for name in ALL[suite]]


@pytest.fixture(scope="session")
def program(tmp_path_factory, pytestconfig):
    command = ["test", "-c", "-vet=off"]
    return built("suite_test.go", command, pytestconfig, shared_folder(tmp_path_factory))


@pytest.fixture
def passes(program, tmp_path):
    """Run tests of the suite, and give the names of those that passed."""

    def run(address, suite, name=".*"):
        done = subprocess.run(
            [program, "-test.v", "-test.timeout=120s", f"-test.run=^{suite}$/^{name}$"],
            cwd=tmp_path,
            env={**os.environ, "CONTENT_ADDRESS": address, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        found = [line[2] for line in lines if line[:2] == ["---", "PASS:"]]
        return [path.removeprefix(f"{suite}/") for path in found if "/" in path]

    return run


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "two processes"])
def shared(request, tmp_path_factory):
    url, processes = None, 2 if request.param == "two processes" else 1
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        server.execute("CREATE DATABASE containerd_suite")
        url = server.url("containerd_suite")
    folder = tmp_path_factory.mktemp("lading")
    with running_lading(folder, metadata=url, processes=processes) as daemon:
        yield daemon.address
    if url:
        server.execute("DROP DATABASE containerd_suite")


@pytest.fixture(scope="module")
def isolated(tmp_path_factory):
    with running_lading(tmp_path_factory.mktemp("lading"), sharing="isolated") as daemon:
        yield daemon.address


@pytest.fixture(scope="module", params=ALL)
def containerd(request, tmp_path_factory):
    sharing = "isolated" if request.param == "TestIsolated" else "shared"
    with running_containerd(tmp_path_factory.mktemp("containerd"), sharing=sharing) as address:
        yield address, request.param


@pytest.mark.xdist_group("containerd's suite on containerd")
def test_containerd_passes_its_own_suite_in_our_harness_and_we_know_every_test(containerd, passes):
    address, suite = containerd
    assert passes(address, suite) == ALL[suite]


@pytest.mark.xdist_group("containerd's suite")
@pytest.mark.parametrize(("suite", "name"), cases("TestContent", "TestShared"))
def test_lading_passes_containerds_own_suite(shared, passes, suite, name):
    assert passes(shared, suite, name) == [name]


@pytest.mark.xdist_group("containerd's suite, isolated")
@pytest.mark.parametrize(("suite", "name"), cases("TestContent", "TestIsolated"))
def test_lading_passes_containerds_own_suite_where_namespaces_are_isolated(
    isolated, passes, suite, name
):
    assert passes(isolated, suite, name) == [name]


@pytest.mark.xdist_group("containerd's suite, isolated")
@pytest.mark.parametrize(("suite", "name"), cases("TestShared"))
def test_the_suite_notices_a_server_of_another_policy(isolated, program, tmp_path, suite, name):
    done = subprocess.run(
        [program, f"-test.run=^{suite}$/^{name}$"],
        cwd=tmp_path,
        env={**os.environ, "CONTENT_ADDRESS": isolated, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"--- FAIL: {suite}/{name}" in done.stdout
