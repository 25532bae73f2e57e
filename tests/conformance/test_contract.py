"""The contract is one class of many parents: none of them may hide what another tests."""

import pytest

from tests.conformance.contract import StoreContract
from tests.conformance.labels import LabelContract, NoLabelContract


@pytest.mark.parametrize("labels", [LabelContract, NoLabelContract])
def test_no_test_of_the_contract_hides_another(labels):
    names = [
        name
        for part in {*StoreContract.__mro__, *labels.__mro__}
        for name in vars(part)
        if name.startswith("test_")
    ]
    assert len(names) > 100
    assert len(names) == len(set(names))
