"""A batch: all its bytes, one sync, all its names; and what a failure leaves of that."""

import errno
import os
from contextlib import suppress

import pytest

from lading.errors import DiskFailed, WriterClosed
from lading.model.digest import Digest
from lading.stores.local import batch as batches
from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore


class FailingDisk(Disk):
    """Its next sync of bytes fails, once."""

    fails = True

    def sync(self, file):
        if self.fails:
            self.fails = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(file)


def test_a_batch_that_failed_stays_failed_even_if_somebody_caught_it(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "OPEN_LIMIT", 3)
    store = LocalStore(tmp_path, disk=FailingDisk())
    with pytest.raises(DiskFailed), store.batch() as batch:  # noqa: PT012 - the end is what raises
        batch.add(b"1")
        batch.add(b"2")
        with pytest.raises(DiskFailed):
            batch.add(b"3")
        with pytest.raises(WriterClosed):
            batch.add(b"4")
    assert list(store.blobs()) == []


def test_an_error_in_the_block_publishes_nothing_of_the_group(tmp_path):
    store = LocalStore(tmp_path)
    with suppress(ZeroDivisionError), store.batch() as batch:
        batch.add(b"1")
        raise ZeroDivisionError
    assert list(store.blobs()) == []


@pytest.mark.parametrize("limit", ["OPEN_LIMIT", "SIZE_LIMIT"])
def test_a_batch_keeps_no_more_open_than_its_limits(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, limit, 4)
    store = LocalStore(tmp_path)
    with store.batch() as batch:
        for number in range(10):
            batch.add(b"%d" % number)
            batch.add(b"%d" % number)
            assert len(batch._waiting) < 4
    assert {blob.digest for blob in store.blobs()} == {
        Digest.of(b"%d" % number) for number in range(10)
    }
