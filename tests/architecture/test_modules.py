"""Modules are short, are named after the noun they are about, and say what they are."""

import ast
import re
from statistics import median

from tests.architecture.pages import MODULES, SOURCE

LINES_LIMIT = 400
MEDIAN_LIMIT = 150
VAGUE = {
    "base",
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "types",
    "util",
    "utils",
}
SECTIONS = re.compile(
    r"^\s*(:param|:returns?:|:raises|Args:|Arguments:|Returns:|Raises:)", re.MULTILINE
)


def name_of(path):
    return str(path.relative_to(SOURCE))


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def test_no_module_is_longer_than_400_lines():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_LIMIT} == {}


def test_half_of_the_modules_are_no_longer_than_150_lines():
    lengths = [len(path.read_text().splitlines()) for path in MODULES]
    # A package's page that only says what the package is would make the median look good.
    assert median(lines for lines in lengths if lines > 1) <= MEDIAN_LIMIT


def test_no_module_has_a_name_that_says_nothing():
    names = {name_of(path): set(path.relative_to(SOURCE).with_suffix("").parts) for path in MODULES}
    assert [name for name, parts in names.items() if parts & VAGUE] == []


def test_every_module_says_what_it_is():
    assert [name_of(path) for path in MODULES if not next(docstrings(path))] == []


def test_docstrings_are_sentences_and_not_sections():
    sections = {name_of(path): SECTIONS.findall("\n".join(docstrings(path))) for path in MODULES}
    assert {name: found for name, found in sections.items() if found} == {}
