"""The repository's files and pages, as the tests of this folder read them."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lading"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if not path.stem.endswith("_pb2"))
FENCED = re.compile(
    r"^```(?P<language>\w+)(?P<mark>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a page: what follows its language, and the line its code begins on."""

    language: str
    mark: str
    line: int
    code: str


def blocks(page: str) -> Iterator[Block]:
    """Every fenced block that names its language."""
    for found in FENCED.finditer(page):
        line = page.count("\n", 0, found.start("code")) + 1
        yield Block(found["language"], found["mark"].strip(), line, found["code"])


def rows(page: str) -> list[list[str]]:
    """The cells of every table row, without the head and the rule under it."""
    tables = re.findall(r"^\|.*\n\|[-:| ]+\|\n((?:^\|.*\n?)*)", page, re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for table in tables
        for line in table.splitlines()
    ]


def headings(page: str, level: int) -> list[str]:
    """The headings of one level, in their order."""
    return re.findall(rf"^{'#' * level} (.+)$", page, re.MULTILINE)


def repository_files() -> list[Path]:
    """Every file that is, or may be, part of the repository."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout
    paths = (ROOT / name for name in names.decode().split("\0") if name)
    return sorted(path for path in paths if path.is_file())
