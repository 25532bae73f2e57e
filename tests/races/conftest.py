import pytest

from tests.races.racecourse import Track


@pytest.fixture
def track(tmp_path):
    one = Track(tmp_path)
    yield one
    one.leave()
