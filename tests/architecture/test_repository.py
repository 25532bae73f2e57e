"""What no file of the repository may say, and what its tools insist on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.pages import ROOT, repository_files

# In parts, or this file would be the first to break the rule it checks.
REGISTRIES = [
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("maven", "org"),
    )
]
REGISTRY = "(?i)" + "|".join(map(re.escape, REGISTRIES))

# Where sessions that wrote this lived, the home of whoever runs it, and this checkout.
SESSIONS = Path("/", "work")
PLACES = {SESSIONS, Path("/", "root"), Path.home(), ROOT}
ABSOLUTE = "|".join(re.escape(str(place)) for place in sorted(PLACES) if len(place.parts) > 1)
# What stands before tells an absolute path from the end of another one.
PLACE = rf"(?<![\w.}}>/-])(?:{ABSOLUTE})(?![\w.-])"

REASONED = r": [A-Z]+\d+(?:, [A-Z]+\d+)* - \S|\[[\w-]+\]  # \S"
UNREASONED = rf"# (?:noqa|type: ignore)(?!{REASONED})"


def lines_with(pattern):
    found = re.compile(pattern.encode())
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in repository_files()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if found.search(line)
    ]


def test_no_file_names_the_host_of_a_package_registry():
    assert lines_with(REGISTRY) == []


def test_no_file_names_a_directory_of_the_machine_it_was_written_on():
    assert lines_with(PLACE) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        pytest.param(REGISTRY, f"see https://{REGISTRIES[0]}/simple", id="a host"),
        pytest.param(REGISTRY, f"at {REGISTRIES[6].upper()}", id="a host in capitals"),
        pytest.param(PLACE, f"cd {SESSIONS}/main", id="a session's folder"),
        pytest.param(PLACE, f'open("{Path.home()}/notes")', id="a home"),
        pytest.param(PLACE, f"PATH={ROOT}/src", id="this checkout"),
        pytest.param(UNREASONED, "import x  # " + "noqa", id="a bare ignore"),
        pytest.param(UNREASONED, "import x  # " + "noqa: F401", id="no reason"),
        pytest.param(UNREASONED, "x  # type: " + "ignore", id="a bare ignore for mypy"),
        pytest.param(UNREASONED, "x  # type: " + "ignore[misc]", id="no reason for mypy"),
    ],
)
def test_the_forbidden_is_seen(pattern, line):
    assert re.search(pattern, line)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        pytest.param(PLACE, f"frame{SESSIONS}/main", id="the end of another path"),
        pytest.param(PLACE, "<root>/root/blobs", id="a path in a store"),
        pytest.param(UNREASONED, "import x  # " + "noqa: F401 - why", id="a reason"),
        pytest.param(UNREASONED, "x  # type: " + "ignore[misc]  # why", id="a reason for mypy"),
    ],
)
def test_the_allowed_is_not(pattern, line):
    assert not re.search(pattern, line)


FORBIDDEN = {
    "mark": "import pytest\n@pytest.mark.slwo\ndef test_it(): pass",
    "warning": "import warnings\ndef test_it(): warnings.warn('w', stacklevel=1)",
    "leak": "def test_it(): open(__file__)",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_it(): pass",
}


@pytest.mark.slow
def test_pytest_fails_what_our_settings_forbid(tmp_path):
    for name, test in {"allowed": "def test_it(): pass", **FORBIDDEN}.items():
        (tmp_path / f"test_{name}.py").write_text(test + "\n")
    settings = ["-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider"]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *settings,
            "--continue-on-collection-errors",
            "-rA",
            tmp_path,
        ],
        capture_output=True,
        cwd=tmp_path,
        text=True,
        check=False,
    )
    said = set(re.findall(r"^(?:PASSED|FAILED|ERROR) test_\w+\.py", run.stdout, re.MULTILINE))
    assert said == {
        "PASSED test_allowed.py",
        "ERROR test_mark.py",
        "FAILED test_warning.py",
        "FAILED test_leak.py",
        "FAILED test_xfail.py",
    }


def test_every_ignored_lint_says_why():
    settings = (ROOT / "pyproject.toml").read_text()
    lint = settings[settings.index("[tool.ruff.lint]") : settings.index("[tool.mypy]")]
    codes = re.findall(r'^\s*"[A-Z]+\d*",?(.*)$', lint, re.MULTILINE)
    assert codes
    assert [rest for rest in codes if "#" not in rest] == []


def test_every_suppressed_lint_in_the_code_says_why():
    found = [line for line in lines_with(UNREASONED) if line.partition(":")[0].endswith(".py")]
    assert found == []
