"""The pages keep their forms, and what they name exists."""

import ast
import re
import tomllib

import pytest

from tests.architecture.pages import MODULES, ROOT, SOURCE, headings, rows

DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
CHANGES = sorted((ROOT / "changes").glob("[0-9]*.md"))
PROMISES = DOCS / "promises.md"
PROMISED = [f"P{number}" for number in range(1, 16)]
TEST_NAME = re.compile(r"(tests/[\w/]+\.py)::([\w:]+)")
NOT_BUILT = re.compile(r"comes with `([\w.]+)`")

NUMBERED = re.compile(r"\d{4}-[a-z0-9]+(?:-[a-z0-9]+)*\.md")
DOCS_PAGE = re.compile(r"\bdocs/[\w/-]+\.md")
TITLE_LIMIT = 72
NOT_IMPERATIVE = re.compile(r"(?:ing|[^e]ed|[^s]s)$")


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", ["changes", "docs/decisions"])
def test_numbered_pages_have_one_number_each_and_a_name(folder):
    names = [path.name for path in (ROOT / folder).glob("*.md") if path.name != "README.md"]
    assert names
    assert [name for name in names if not NUMBERED.fullmatch(name)] == []
    assert len({name[:4] for name in names}) == len(names)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_four_headings(page):
    sections = ["What we faced", "What we chose", "What we gave up", "When to look again"]
    text = page.read_text()
    assert headings(text, 2) == sections
    assert len(headings(text, 1)) == 1
    texts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(section.strip() for section in texts)


def complaints(note):
    """What is wrong with a change note."""
    title, _, body = note.partition("\n")
    paragraphs = [part.strip() for part in body.strip().split("\n\n")]
    first_word = title.removeprefix("# ").partition(" ")[0]
    wrong = {
        "the first line is a title of at most 72 characters, without a full stop": not (
            title.startswith("# ") and len(title) <= TITLE_LIMIT and not title.endswith(".")
        ),
        "the title begins with an imperative": bool(NOT_IMPERATIVE.search(first_word))
        or not first_word.istitle(),
        "the problem comes before what lading now does": len(paragraphs) < 2
        or paragraphs[0].startswith("lading now"),
        "a paragraph says what lading now does": not any(
            part.startswith("lading now ") for part in paragraphs
        ),
        "it is about lading, not about us": bool(re.search(r"\b[Ww]e have\b", note)),
    }
    return [rule for rule, broken in wrong.items() if broken]


@pytest.mark.parametrize("page", CHANGES, ids=lambda page: page.stem)
def test_a_change_note_says_the_problem_and_what_lading_now_does(page):
    assert complaints(page.read_text()) == []


@pytest.mark.parametrize(
    ("note", "broken"),
    [
        ("# Keep it\n\nIt was lost.\n\nlading now keeps it.\n", 0),
        ("# Keeps it\n\nIt was lost.\n\nlading now keeps it.\n", 1),
        ("# Kept, and added.\n\nIt was lost.\n\nlading now keeps it.\n", 1),
        ("# Added it\n\nIt was lost.\n\nlading now keeps it.\n", 1),
        ("# Keep it\n\nlading now keeps it.\n", 1),
        ("# Keep it\n\nIt was lost.\n\nIt is kept.\n", 1),
        ("# Keep it\n\nIt was lost.\n\nlading now keeps it. We have changed that.\n", 1),
        ("Keep it\n\nIt was lost.\n\nlading now keeps it.\n", 1),
    ],
)
def test_a_change_note_of_another_form_is_refused(note, broken):
    assert len(complaints(note)) == broken


def test_every_dependency_has_its_line():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(name for extra in project["project"]["optional-dependencies"].values() for name in extra),
    ]
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in needed} - {"lading"}
    listed = [row[0].strip("`") for row in rows((DOCS / "dependencies.md").read_text())]
    assert names - set(listed) == set()
    # A dependency that is gone leaves no line behind.
    assert set(listed) - names == set()
    assert len(listed) == len(set(listed))


PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
STATED = re.compile(r"\b(?:(?:docs|tests|scripts|src|benchmarks)/[\w./-]*\w)")


@pytest.mark.parametrize("page", [*PAGES, *DOCS.glob("*.md"), *MODULES], ids=name_of)
def test_what_a_page_or_a_module_points_to_is_there(page):
    text = page.read_text()
    pointers = set(STATED.findall(text)) if page.suffix == ".md" else set(DOCS_PAGE.findall(text))
    assert [name for name in sorted(pointers) if not (ROOT / name).exists()] == []


def test_every_top_level_package_is_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tops = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}
    names = {name.removesuffix(".py") for name in tops} - {"__init__"}
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_glossary_has_each_word_once():
    words = [row[0].strip("`*").lower() for row in rows((DOCS / "glossary.md").read_text())]
    assert len(words) == len(set(words))


@pytest.fixture(scope="module")
def promises():
    return {row[0]: row for row in rows(PROMISES.read_text())}


def test_there_are_fifteen_promises(promises):
    assert list(promises) == PROMISED


def is_built(room):
    path = SOURCE.joinpath(*room.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def defined(path, name):
    """Whether a file defines the test, by its class and function names."""
    if not path.exists():
        return False
    scope = ast.parse(path.read_text()).body
    for part in name.split("::"):
        found = [
            node
            for node in scope
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part
        ]
        if not found:
            return False
        scope = found[0].body
    return True


@pytest.mark.parametrize("number", PROMISED)
def test_a_promise_names_tests_that_exist(promises, number):
    *_, tests = promises[number]
    named = TEST_NAME.findall(tests)
    room = NOT_BUILT.search(tests)
    # Only what is not built yet may be without a test, and only until it is.
    assert named or (room and not is_built(room[1]))
    assert [f"{file}::{name}" for file, name in named if not defined(ROOT / file, name)] == []
