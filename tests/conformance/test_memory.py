import pytest

from tests.conformance.contract import StoreContract
from tests.conformance.labels import LabelContract, NoLabelContract
from tests.support.memory import LabelledMemoryStore, MemoryStore


class TestMemoryStore(StoreContract, NoLabelContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class TestLabelledMemoryStore(StoreContract, LabelContract):
    @pytest.fixture
    def store(self):
        return LabelledMemoryStore()
