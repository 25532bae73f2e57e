"""The programs on our pages run.

A page's `python` blocks are one program, run in order in an empty directory; its `sh` blocks are
another. In the README every `python` block runs, but for those marked `peers`, which are run with a
registry by tests/compat; elsewhere, and for `sh`, those marked `run` after the language do.
"""

import subprocess
import sys

import pytest

from tests.architecture.pages import ROOT, blocks

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]


def runnable(page, language):
    """The page's program, each line on the line it has in the page, so a traceback points there."""
    lines = []
    for block in blocks(page.read_text()):
        always = page == README and language == "python" and block.mark != "peers"
        if block.language == language and (always or block.mark == "run"):
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    return "\n".join(lines) + "\n" if lines else ""


def programs(language):
    pages = [page for page in PAGES if page.exists() and runnable(page, language)]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def run(command, program, name, tmp_path, environment):
    """Run a program in an empty directory; nothing of ours is in the way there."""
    file = tmp_path / name
    file.write_text(program)
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = subprocess.run(
        [*command, file],
        cwd=empty,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Warning" not in ran.stderr, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", programs("python"))
def test_the_python_of_a_page_is_one_program_that_runs(page, tmp_path, own_environment):
    command = [sys.executable, "-W", "error"]
    run(command, runnable(page, "python"), page.name, tmp_path, own_environment)


@pytest.mark.slow
@pytest.mark.parametrize("page", programs("sh"))
def test_the_commands_of_a_page_run(page, tmp_path, own_environment):
    run(["sh", "-eu"], runnable(page, "sh"), page.name, tmp_path, own_environment)


def test_the_readme_shows_the_library_and_the_command():
    assert runnable(README, "python")
    assert runnable(README, "sh")


def test_a_traceback_points_into_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python run\nfirst = 1\n```\n\ntext\n\n```python run\nsecond = 2\n```\n"
    )
    assert runnable(page, "python").splitlines()[3] == "first = 1"
    assert runnable(page, "python").splitlines()[9] == "second = 2"


def test_blocks_of_other_pages_run_only_where_they_are_marked(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nraise SystemExit(1)\n```\n\n```sh\nfalse\n```\n")
    assert runnable(page, "python") == runnable(page, "sh") == ""
