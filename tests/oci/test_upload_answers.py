"""What is believed of a registry's answers to an upload."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import Digest
from lading.errors import Refused
from lading.oci.uploads.answers import after_chunk, begun, finished_at, moved_to, offset_of
from lading.oci.uploads.sessions import LIFE_NS, UploadSession

HERE = "https://registry.example/v2/me/model/blobs/uploads/"
SESSION = UploadSession(url=HERE + "1", began_ns=0, deadline_ns=1)
SIZE = 1_000_000
DIGEST = Digest.of(b"a layer")


class Answer(NamedTuple):
    headers: dict
    url: str = HERE
    status: int = 202


def at(offset, **fields):
    return replace(SESSION, offset=offset, **fields)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://registry.example/v2/x?_state=1", "https://registry.example/v2/x?_state=1"),
        ("/v2/x?_state=1", "https://registry.example/v2/x?_state=1"),
        ("2", HERE + "2"),
        ("https://storage.example/x", "https://storage.example/x"),
        # From behind a proxy that it does not know of.
        ("http://registry.example/v2/x", "https://registry.example/v2/x"),
        ("http://registry.example:80/v2/x", "https://registry.example/v2/x"),
    ],
)
def test_a_session_is_where_the_location_says(location, url):
    session = begun(Answer({"Location": location}), now_ns=5)
    assert (session.url, session.offset) == (url, 0)
    assert session.deadline_ns == 5 + LIFE_NS
    assert moved_to(SESSION, Answer({"Location": location})).url == url


@pytest.mark.parametrize(
    "location", ["", "file:///etc/passwd", "http://storage.example/x", "https://[", "https://a:b/"]
)
def test_nothing_is_sent_where_nobody_should_go(location):
    with pytest.raises(Refused):
        begun(Answer({"Location": location}), now_ns=0)


def test_without_a_location_a_session_stays_where_it_is():
    assert moved_to(SESSION, Answer({})) == SESSION


@pytest.mark.parametrize(
    ("least", "known"), [("1000", 1000), ("", 0), ("-5", 0), ("9" * 40, 0), ("lots", 0)]
)
def test_the_smallest_chunk_is_a_number_or_nothing(least, known):
    headers = {"Location": "1", "OCI-Chunk-Min-Length": least}
    assert begun(Answer(headers), now_ns=0).least_chunk == known


@pytest.mark.parametrize(
    ("said", "offset"),
    [
        ("0-999", 1_000),
        ("bytes=0-999", 1_000),
        ("bytes 0-999/5000", 1_000),
        ("500-999", 1_000),
        (f"0-{SIZE - 1}", SIZE),
        # Nobody can tell.
        ("0-0", None),
        ("bytes=0-0", None),
        # Nonsense, and more than there is.
        (f"0-{SIZE}", None),
        ("999-0", None),
        ("all", None),
        ("0-", None),
        ("0-" + "9" * 40, None),
    ],
)
def test_a_status_says_how_much_is_there(said, offset):
    assert offset_of(at(2_000), {"Range": said}, SIZE) == offset


def test_without_a_range_there_is_nothing_where_nothing_was_sent():
    assert offset_of(at(0), {}, SIZE) == 0
    assert offset_of(at(2_000), {}, SIZE) is None


def test_of_a_blob_of_one_byte_0_0_is_all():
    assert offset_of(at(0), {"Range": "0-0"}, 1) == 1


def test_a_registry_that_counts_from_the_chunk_is_understood():
    after = after_chunk(at(1_000), Answer({"Range": "0-499"}), 500)
    assert (after.offset, after.counts_chunks, after.last_chunk) == (1_500, True, 500)
    # In the next process, too: the same chunk is still its last one.
    assert offset_of(after, {"Range": "0-499"}, SIZE) == 1_500
    assert offset_of(after, {"Range": "0-300"}, SIZE) is None


@pytest.mark.parametrize("said", ["0-1499", "1000-1499", "bytes=0-1499", None])
def test_a_chunk_that_was_taken_counts(said):
    headers = {} if said is None else {"Range": said}
    after = after_chunk(at(1_000), Answer(headers), 500)
    assert (after.offset, after.counts_chunks) == (1_500, False)


@pytest.mark.parametrize("said", ["0-1200", "0-2000", "0-0"])
def test_a_chunk_that_was_taken_in_part_has_to_be_asked_for(said):
    assert after_chunk(at(1_000), Answer({"Range": said}), 500) is None


@given(st.text(), st.integers(0, SIZE))
def test_no_range_makes_an_offset_that_there_is_not(said, before):
    offset = offset_of(at(before), {"Range": said}, SIZE)
    assert offset is None or 0 <= offset <= SIZE


@pytest.mark.parametrize(
    ("url", "finished"),
    [
        ("https://a/b", f"https://a/b?digest={DIGEST}"),
        ("https://a/b?", f"https://a/b?digest={DIGEST}"),
        ("https://a/b?_state=x%2Fy%3D%3D", f"https://a/b?_state=x%2Fy%3D%3D&digest={DIGEST}"),
        (f"https://a/b?digest={DIGEST}&s=1", f"https://a/b?s=1&digest={DIGEST}"),
        ("https://a/b?digest=sha256:other", f"https://a/b?digest={DIGEST}"),
    ],
)
def test_the_last_request_names_the_digest_once(url, finished):
    assert finished_at(url, DIGEST) == finished
