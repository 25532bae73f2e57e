"""What `lading serve` loads, and when."""

import pytest

from tests.cli.test_start import loaded


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"]], ids=str)
def test_who_only_asks_for_help_does_not_load_the_daemon(environment, words):
    modules = loaded(environment, *words)
    assert modules & {"grpc", "google.protobuf", "sqlite3", "tomllib", "logging"} == set()
    assert not any(name.startswith(("lading.daemon", "lading.rpc")) for name in modules)
