"""The list of mutations is as fresh as the code. `scripts/mutate` makes them."""

import ast
from pathlib import Path

import pytest

from tests.mutations.catalogue import MUTATIONS

TREE = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


@EACH
def test_the_code_that_a_mutation_breaks_is_there_once_and_is_code_when_broken(mutation):
    text = (TREE / mutation.file).read_text()
    assert text.count(mutation.code) == 1
    broken = text.replace(mutation.code, mutation.broken)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(text))


@EACH
def test_the_tests_that_should_notice_are_there(mutation):
    assert mutation.tests
    for test in mutation.tests:
        assert (TREE / test.partition("::")[0]).exists()


def test_no_two_mutations_have_one_name():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_a_mutation_whose_code_has_changed_says_so(tmp_path):
    mutation = MUTATIONS[0]._replace(file="code.py", code="gone")
    (tmp_path / "code.py").write_text("here")
    with pytest.raises(ValueError, match=r"0 times in code\.py; write it anew"):
        mutation.apply(tmp_path)
