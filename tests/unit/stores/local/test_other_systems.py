"""What is done where the system is not Linux, as far as one that is can tell."""

import fcntl
import importlib
import os
import sys

import pytest

import lading.stores.local
from lading.stores.local.disk import Disk


@pytest.fixture
def file(tmp_path):
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield file
    os.close(file)


@pytest.fixture
def calls(monkeypatch):
    """Have a `fcntl` that knows macOS's full sync, and the calls that reach the system."""
    calls = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda file, command: calls.append(("fcntl", command)))
    monkeypatch.setattr(os, "fsync", lambda file: calls.append("fsync"))
    return calls


def test_a_sync_is_a_full_sync_where_there_is_one(file, tmp_path, calls):
    Disk().sync(file)
    Disk().sync_directory(tmp_path)
    assert calls == [("fcntl", 51), ("fcntl", 51)]


def test_a_file_system_without_a_full_sync_gets_the_plain_one(file, calls, monkeypatch):
    def refuse(file, command):
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    Disk().sync(file)
    assert calls == ["fsync"]


def test_a_full_sync_that_fails_is_a_failure(file, calls, monkeypatch):
    def fail(file, command):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fcntl, "fcntl", fail)
    with pytest.raises(OSError, match="Input/output error"):
        Disk().sync(file)
    assert calls == []


def test_windows_is_told_in_one_sentence_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImportError, match=r"on Windows, run lading in WSL$"):
        importlib.reload(lading.stores.local)
    monkeypatch.undo()
    importlib.reload(lading.stores.local)
