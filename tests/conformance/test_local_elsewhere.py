"""The local store where the system has none of Linux's own calls: the way that macOS takes."""

import os

import pytest

from lading.stores.local import disk, kernel
from lading.stores.local.store import LocalStore
from tests.conformance.contract import StoreContract
from tests.conformance.labels import NoLabelContract


class PortableDisk(disk.Disk):
    """Nobody says when the machine was started, so nothing counts but what was synced."""

    def boot_id(self):
        return disk._boot_session()


class TestLocalStoreWithoutLinux(StoreContract, NoLabelContract):
    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setattr(kernel, "_LINUX", False)
        monkeypatch.setattr(disk, "_NAMELESS", 0)
        monkeypatch.delattr(os, "copy_file_range")
        return LocalStore(tmp_path / "root", disk=PortableDisk())

    @pytest.fixture
    def twin(self, tmp_path, store):
        return LocalStore(tmp_path / "root", disk=PortableDisk())
