"""Bodies that were compressed, undone piece by piece."""

import gzip
import random
import tracemalloc

import pytest

from lading.errors import ConnectionFailed
from lading.oci.fetching.encoding import Decoder

DATA = random.Random(3).randbytes(50_000) + bytes(50_000)  # noqa: S311 - the same each time


def undone(packed, *, step=1000, size=777):
    decoder = Decoder("registry.example", "gzip")
    found = b""
    for start in range(0, len(packed), step):
        decoder.give(packed[start : start + step])
        while data := decoder.take(size):
            assert len(data) <= size
            found += data
    return found, decoder.is_complete


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_a_body_comes_out_as_it_was(step):
    assert undone(gzip.compress(DATA), step=step) == (DATA, True)


def test_members_that_follow_one_another_are_one_body():
    packed = gzip.compress(DATA[:1000]) + gzip.compress(b"") + gzip.compress(DATA[1000:])
    assert undone(packed) == (DATA, True)


def test_a_body_that_ends_in_the_middle_is_not_complete():
    assert undone(gzip.compress(DATA)[:-1])[1] is False
    assert undone(b"")[1] is False


@pytest.mark.parametrize("packed", [b"no gzip at all", gzip.compress(DATA) + b"junk"])
def test_what_is_no_gzip_is_an_error_that_names_the_host(packed):
    with pytest.raises(ConnectionFailed, match=r"registry\.example: its gzip is broken"):
        undone(packed)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 1000])
def test_another_encoding_is_an_error_in_one_line(encoding):
    with pytest.raises(ConnectionFailed) as raised:
        Decoder("registry.example", encoding)
    assert len(str(raised.value)) < 200


@pytest.mark.slow
def test_a_bomb_costs_no_more_memory_than_is_asked_for():
    packed = gzip.compress(bytes(200 << 20), compresslevel=9)
    decoder = Decoder("registry.example", "gzip")
    tracemalloc.start()
    try:
        decoder.give(packed)
        for _ in range(50):
            assert len(decoder.take(1 << 16)) == 1 << 16
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
