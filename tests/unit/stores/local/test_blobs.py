"""Only regular files under the name of a digest are blobs."""

import os

import pytest

from lading.errors import NotFound
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore
from tests.conformance.samples import HELLO

RIGHT = Digest.of(HELLO)


@pytest.fixture
def store(tmp_path):
    store = LocalStore(tmp_path / "root")
    store.add(b"so that the folders are there")
    return store


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "dangling link"])
def test_what_is_no_regular_file_is_no_blob_and_keeps_nobody_waiting(kind, store, tmp_path):
    place = tmp_path / "root" / "blobs" / "sha256" / RIGHT.hex
    (tmp_path / "elsewhere").write_bytes(HELLO)
    match kind:
        case "link":
            place.symlink_to(tmp_path / "elsewhere")
        case "dangling link":
            place.symlink_to("nowhere")
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)
    assert RIGHT not in store
    assert RIGHT not in {blob.digest for blob in store.blobs()}
    for call in (store.blob, store.delete, store.path):
        with pytest.raises(NotFound):
            call(RIGHT)
    for call in (store.open, store.read):
        with pytest.raises(NotFound):
            call(RIGHT)
