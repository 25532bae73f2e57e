"""Labels as a row has them: what `json` would write, keys in order."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lading.metadata.labels import from_row, to_row


@given(st.dictionaries(st.text(), st.text()))
def test_labels_are_written_as_json_writes_them_and_come_back(labels):
    kept = {key: value for key, value in labels.items() if value}
    assert to_row(labels) == (json.dumps(kept, sort_keys=True) if kept else "")
    assert from_row(to_row(labels)) == kept
