import pytest

from lading.stores.local.store import LocalStore
from tests.conformance.contract import StoreContract
from tests.conformance.labels import NoLabelContract


class TestLocalStore(StoreContract, NoLabelContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "root")

    @pytest.fixture
    def twin(self, tmp_path, store):
        return LocalStore(tmp_path / "root")
