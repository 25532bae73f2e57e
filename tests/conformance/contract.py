"""StoreContract: what every content store promises. A store joins by giving a `store`.

    class TestMyStore(StoreContract, NoLabelContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)

A store that keeps labels joins `LabelContract` in place of `NoLabelContract`.
"""

import pytest

from lading.content.store import ContentStore
from tests.conformance.aborting import AbortingContract
from tests.conformance.adding import AddingContract
from tests.conformance.committing import CommittingContract
from tests.conformance.copying import CopyingContract
from tests.conformance.listing import ListingContract
from tests.conformance.locking import LockingContract
from tests.conformance.racing import RacingContract
from tests.conformance.reading import ReadingContract
from tests.conformance.resuming import ResumingContract
from tests.conformance.retrying import RetryingContract
from tests.conformance.transferring import TransferringContract
from tests.conformance.writing import WritingContract


class StoreContract(
    ReadingContract,
    ListingContract,
    AddingContract,
    WritingContract,
    CopyingContract,
    CommittingContract,
    ResumingContract,
    LockingContract,
    AbortingContract,
    RacingContract,
    TransferringContract,
    RetryingContract,
):
    @pytest.fixture
    def store(self) -> ContentStore:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def twin(self, store: ContentStore) -> ContentStore:
        """The same content through another object, as another process has it; if there is one."""
        return store
