"""Whatever holds bytes is taken as its bytes, in their order."""

import ctypes

import pytest

from lading.model.digest import ALGORITHMS, Digest, bytes_of
from tests.conformance.samples import BUFFERS


@pytest.mark.parametrize("data", BUFFERS.values(), ids=BUFFERS)
def test_a_buffer_is_its_bytes_one_after_another(data):
    view = bytes_of(data)
    assert (view.format, view.ndim, view.c_contiguous) == ("B", 1, True)
    assert view == bytes(data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("data", BUFFERS.values(), ids=BUFFERS)
def test_a_digest_is_of_the_bytes_and_not_of_how_they_lie(data, algorithm):
    assert Digest.of(data, algorithm) == Digest.of(bytes(data), algorithm)


def test_a_table_kept_by_columns_is_read_by_rows():
    # Only an extension makes one, such as numpy, or CPython's own for its tests.
    buffers = pytest.importorskip("_testbuffer")
    table = buffers.ndarray(list(range(6)), shape=[2, 3], format="B", flags=buffers.ND_FORTRAN)
    assert bytes_of(memoryview(table)) == table.tobytes()


@pytest.mark.parametrize(
    "memory",
    [
        (ctypes.c_uint8 * 3 * 0)(),
        (ctypes.c_uint8 * 3 * 2)((1, 2, 3), (4, 5, 6)),
        (ctypes.c_uint32 * 2)(1, 2),
        ctypes.c_uint64(3),
    ],
    ids=["empty-table", "table", "numbers", "number"],
)
def test_memory_that_c_described_is_its_bytes(memory):
    assert bytes_of(memoryview(memory)) == bytes(memory)


def test_bytes_that_lie_together_are_not_copied():
    data = bytearray(b"abc")
    view = bytes_of(memoryview(data)[1:])
    data[1:] = b"xy"
    assert view == b"xy"
