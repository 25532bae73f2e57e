"""Stores to import into, and the ways in which an archive can come."""

import contextlib
import io
import os
import threading

import pytest

from lading import LocalStore
from lading.metadata import Metadata


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


@pytest.fixture
def namespace(tmp_path, store):
    """A namespace over the store."""
    with Metadata(f"sqlite:///{tmp_path}/metadata.db", content=store) as metadata:
        yield metadata.namespace("images")


@contextlib.contextmanager
def piped(data):
    """The end of a pipe that somebody fills and closes; who stops reading stops the filling."""
    reading, writing = os.pipe()

    def fill():
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as end:
            view = memoryview(data)
            while view:
                view = view[end.write(view) :]

    filling = threading.Thread(target=fill)
    filling.start()
    with os.fdopen(reading, "rb", buffering=0) as end:
        yield end
    filling.join()


@contextlib.contextmanager
def in_a_file(data):
    yield io.BytesIO(data)


@pytest.fixture(params=[in_a_file, piped], ids=["file", "pipe"])
def opened(request):
    """Opens an archive: as one that can seek, and as one that cannot."""
    return request.param
