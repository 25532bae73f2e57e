"""The local store where every commit leaves its folder to the next ingest, from the first on."""

import pytest

from lading.stores.local import spares
from lading.stores.local.store import LocalStore
from tests.conformance.contract import StoreContract
from tests.conformance.labels import NoLabelContract


class TestLocalStoreWithSpareFolders(StoreContract, NoLabelContract):
    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setattr(spares, "AFTER", 0)
        return LocalStore(tmp_path / "root")

    @pytest.fixture
    def twin(self, tmp_path, store):
        return LocalStore(tmp_path / "root")
