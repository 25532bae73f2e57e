"""How large chunks are."""

import pytest

from lading.oci.uploads.chunks import CHUNKS_LIMIT, LONG_S, SHORT_S, Chunks, ChunkSizes
from lading.oci.uploads.sessions import UploadSession

MIB = 1 << 20
GIB = 1 << 30
SIZES = ChunkSizes()


def session(offset=0, least=0):
    return UploadSession("https://a/", 0, 1, offset=offset, least_chunk=least)


def sizes_at(rate, size):
    """The chunks of a blob over a link of a steady rate, in bytes a second."""
    chunks, offset, found = Chunks(size, SIZES), 0, []
    while offset < size:
        count = chunks.next(session(offset))
        chunks.took(count, count / rate)
        found.append(count)
        offset += count
    return found


@pytest.mark.parametrize("rate_mib", [0.1, 1, 3, 10, 30, 100, 1_000])
def test_a_chunk_takes_a_few_seconds_as_soon_as_the_rate_is_known(rate_mib):
    rate = int(rate_mib * MIB)
    *settled, _ = sizes_at(rate, 4 * GIB)[5:]
    for size in settled:
        assert SHORT_S / 2 <= size / rate <= LONG_S or size in {SIZES.smallest, SIZES.largest}


def test_a_blob_has_no_more_chunks_than_storage_has_parts():
    assert len(sizes_at(MIB, 100 * GIB)) <= CHUNKS_LIMIT + 5


def test_a_blob_of_one_chunk_goes_in_one_request():
    assert Chunks(SIZES.first, SIZES).takes_all
    assert not Chunks(SIZES.first + 1, SIZES).takes_all


def test_what_a_registry_asks_for_comes_first():
    chunks = Chunks(GIB, SIZES)
    assert chunks.next(session(least=300 * MIB)) == 300 * MIB
    assert chunks.next(session(least=4 * GIB)) == GIB


def test_the_last_chunk_is_what_is_left():
    assert Chunks(GIB, SIZES).next(session(GIB - 5)) == 5


def test_what_was_refused_as_too_large_is_not_tried_again():
    chunks = Chunks(GIB, SIZES)
    assert chunks.shrink(16 * MIB, session())
    chunks.took(8 * MIB, 0.01)
    assert chunks.next(session()) == 8 * MIB
    size = 8 * MIB
    while chunks.shrink(size, session()):
        size = chunks.next(session())
    assert size == SIZES.floor


def test_what_a_registry_asks_for_is_not_gone_below():
    assert not Chunks(GIB, SIZES).shrink(8 * MIB, session(least=8 * MIB))
