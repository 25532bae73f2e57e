import pytest

from tests.kills.killing import Nursery


@pytest.fixture
def nursery():
    # One for each test: after a failure it is in the middle of a plan.
    one = Nursery()
    yield one
    one.close()
