"""What every store promises of `copy_from`, which it may do in a way of its own."""

import io
import os
from contextlib import contextmanager

import pytest

from lading.errors import SizeMismatch
from lading.model.digest import Digest
from tests.conformance.samples import HELLO, sample


class Drip(io.RawIOBase):
    """A source that gives a few bytes at a time, as a socket does."""

    def __init__(self, data):
        super().__init__()
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(memoryview(buffer)[:1000])


class Broken(io.BytesIO):
    """A source that fails where it should end."""

    def read(self, size=-1):
        if data := super().read(size):
            return data
        raise ConnectionResetError

    def readinto(self, buffer):
        if count := super().readinto(buffer):
            return count
        raise ConnectionResetError


class ReadOnly:
    """A source that knows `read` and nothing else."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


class Pausing:
    """A source that does not block: it gives what it has, and then None."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size=-1):
        return self._data.read(size) or None


KINDS = pytest.mark.parametrize("kind", [io.BytesIO, Drip, ReadOnly, "file"])


@contextmanager
def opened(kind, path, data):
    """Open a source of this kind that holds the data."""
    if kind == "file":
        path.write_bytes(data)
        with path.open("rb") as file:
            yield file
    else:
        yield kind(data)


class CopyingContract:
    @pytest.mark.parametrize("size", [0, 1, 1 << 20, (2 << 20) + 1])
    @KINDS
    def test_a_source_is_copied_from_its_position_to_its_end(self, store, tmp_path, kind, size):
        data = sample(size)
        with (
            opened(kind, tmp_path / "source", b"skipped" + data) as source,
            store.writer("w") as writer,
        ):
            assert source.read(7) == b"skipped"
            writer.write(b"head")
            assert writer.copy_from(source) == size
            assert writer.offset == 4 + size
            assert writer.copy_from(source) == 0
            blob = writer.commit()
        assert store.read(blob.digest) == b"head" + data

    @pytest.mark.parametrize("limit", [0, 1, 5, 12, 13, 1 << 30])
    @KINDS
    def test_a_limit_ends_the_copy_and_leaves_the_rest(self, store, tmp_path, kind, limit):
        with opened(kind, tmp_path / "source", HELLO) as source, store.writer("w") as writer:
            assert writer.copy_from(source, limit=limit) == len(HELLO[:limit])
            assert writer.digest == Digest.of(HELLO[:limit])
            assert source.read(100) == HELLO[limit:]

    def test_what_was_copied_before_its_source_failed_is_kept(self, store):
        data = sample((1 << 20) + 5)
        with store.writer("w") as writer:
            with pytest.raises(ConnectionResetError):
                writer.copy_from(Broken(data))
            assert writer.offset == len(data)
            assert writer.digest == Digest.of(data)

    @pytest.mark.parametrize("buffering", [0, -1])
    def test_a_pipe_that_has_no_more_now_has_not_ended(self, store, buffering):
        end, start = os.pipe()
        os.set_blocking(end, False)
        with (
            os.fdopen(end, "rb", buffering=buffering) as source,
            os.fdopen(start, "wb", buffering=0) as target,
            store.writer("w") as writer,
        ):
            target.write(HELLO[:5])
            with pytest.raises(BlockingIOError):
                writer.copy_from(source)
            assert writer.digest == Digest.of(HELLO[:5])
            target.write(HELLO[5:])
            target.close()
            assert writer.copy_from(source) == len(HELLO) - 5
            assert writer.commit().digest == Digest.of(HELLO)

    def test_a_source_that_reads_none_has_not_ended(self, store):
        with store.writer("w") as writer:
            with pytest.raises(BlockingIOError):
                writer.copy_from(Pausing(HELLO))
            assert writer.digest == Digest.of(HELLO)

    @KINDS
    @pytest.mark.parametrize("more", [b"!", sample(3 << 20)], ids=len)
    def test_a_copy_past_the_total_is_refused(self, store, tmp_path, kind, more):
        with (
            opened(kind, tmp_path / "source", HELLO + more) as source,
            store.writer("w", total=len(HELLO)) as writer,
        ):
            with pytest.raises(SizeMismatch):
                writer.copy_from(source)
            assert writer.offset <= len(HELLO)
            assert writer.digest == Digest.of(HELLO[: writer.offset])
            writer.write(HELLO[writer.offset :])
            assert writer.commit().digest == Digest.of(HELLO)
