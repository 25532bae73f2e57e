"""Power that goes needs no disk that works."""

import pytest

from lading.stores.local import disk


@pytest.fixture(autouse=True)
def _quick_syncs(monkeypatch):
    """A real sync would only take time: what is durable here, the model says."""
    monkeypatch.setattr(disk, "_full_sync", lambda file: None)
