"""The tests. The suites that stores join are no test modules, so their asserts need a word here."""

import pytest

pytest.register_assert_rewrite("tests.conformance", "tests.support")
