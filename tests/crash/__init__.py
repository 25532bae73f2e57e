"""Power cuts and deaths before every call that changes a root."""

import pytest

pytest.register_assert_rewrite("tests.crash.ledger", "tests.crash.cuts")
