"""Which answers count, by their heads alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lading.errors import ConnectionFailed
from lading.oci.fetching.ranges import Part, part_of, range_of, total_of


class Answer:
    """The head of an answer."""

    host = "registry.example"

    def __init__(self, status, **headers):
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def test_ranges_are_closed_where_the_end_is_known():
    assert range_of(5, 10) == "bytes=5-9"
    assert range_of(0, 1) == "bytes=0-0"
    assert range_of(5, None) == "bytes=5-"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes 3-9/10", Part(3, 10, 10)),
        ("bytes 3-9/*", Part(3, 10, 10)),
        ("bytes 3-3/10", Part(3, 4, 10)),
        ("  bytes   3-7/10 ", Part(3, 8, 10)),
    ],
)
def test_a_206_is_the_part_that_it_says_it_is(text, part):
    assert part_of(Answer(206, Content_Range=text), 3, 10, 10) == part


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes 2-9/10",
        "bytes 4-9/10",
        "bytes 3-10/11",
        "bytes 3-10/*",
        "bytes 3-9/9",
        "bytes 3-9/11",
        "bytes 3-2/10",
        "bytes 0-9/10",
        "bytes */10",
        "bytes 3-9",
        "bytes=3-9/10",
        "items 3-9/10",
        "bytes 3-9/10, bytes 3-9/10",
        "bytes +3-9/10",
        "bytes \uff13-9/10",
        "bytes 3-9/-10",
        f"bytes 3-{'9' * 20}/*",
    ],
)
def test_a_206_that_says_anything_else_counts_for_nothing(text):
    with pytest.raises(ConnectionFailed, match=r"registry\.example"):
        part_of(Answer(206, Content_Range=text), 3, 10, 10)


def test_a_206_whose_length_is_another_counts_for_nothing():
    said = {"Content_Range": "bytes 3-9/10"}
    assert part_of(Answer(206, Content_Length="7", **said), 3, 10, 10).end == 10
    assert part_of(Answer(206, Content_Length="7, 7", **said), 3, 10, 10).end == 10
    for length in ("6", "8", "7, 8", "-7", "x", "7.0", "9" * 30):
        with pytest.raises(ConnectionFailed):
            part_of(Answer(206, Content_Length=length, **said), 3, 10, 10)
    chunked = Answer(206, Content_Length="6", Transfer_Encoding="chunked", **said)
    assert part_of(chunked, 3, 10, 10).end == 10


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "zstd", "x-gzip", "gzip, gzip"])
def test_a_206_that_is_compressed_counts_for_nothing(encoding):
    with pytest.raises(ConnectionFailed):
        part_of(Answer(206, Content_Range="bytes 3-9/10", Content_Encoding=encoding), 3, 10, 10)


def test_an_encoding_that_is_none_is_none():
    answer = Answer(206, Content_Range="bytes 3-9/10", Content_Encoding=" Identity ")
    assert part_of(answer, 3, 10, 10) == Part(3, 10, 10)


def test_several_parts_count_for_nothing():
    answer = Answer(206, Content_Type="multipart/byteranges; boundary=x")
    with pytest.raises(ConnectionFailed, match="multipart/byteranges"):
        part_of(answer, 3, 10, 10)


def test_a_200_is_the_whole_whatever_was_asked_for():
    assert part_of(Answer(200), 3, 10, 10) == Part(0, 10, 10)
    assert part_of(Answer(200, Content_Length="10"), 0, 10, 10) == Part(0, 10, 10)
    assert part_of(Answer(200, Content_Length="12"), 0, None, None) == Part(0, 12, 12)
    assert part_of(Answer(200), 0, None, None) == Part(0, None, None)


@pytest.mark.parametrize("length", ["0", "9", "11", "10, 11"])
def test_a_200_of_another_size_counts_for_nothing(length):
    with pytest.raises(ConnectionFailed):
        part_of(Answer(200, Content_Length=length), 0, 10, 10)


def test_a_compressed_200_says_whether_its_length_can_be_the_blobs():
    gzip = {"Content_Encoding": "gzip"}
    assert part_of(Answer(200, **gzip), 0, 10, 10) == Part(0, 10, 10, "gzip")
    same = part_of(Answer(200, Content_Length="10", **gzip), 0, 10, 10)
    assert not same.is_surely_encoded
    other = part_of(Answer(200, Content_Length="7", **gzip), 0, 10, 10)
    assert other.is_surely_encoded


@pytest.mark.parametrize("status", [201, 202, 203, 204, 205, 207, 226, 416])
def test_any_other_status_counts_for_nothing(status):
    with pytest.raises(ConnectionFailed, match=str(status)):
        part_of(Answer(status), 0, 10, 10)


def test_a_416_may_say_how_much_there_is():
    assert total_of(Answer(416, Content_Range="bytes */10")) == 10
    for text in ("", "bytes 0-9/10", "bytes */*", "bytes */-1", f"bytes */{'9' * 30}"):
        assert total_of(Answer(416, Content_Range=text)) is None


headers = some.dictionaries(
    some.sampled_from(
        ["Content_Range", "Content_Length", "Content_Encoding", "Transfer_Encoding", "Content_Type"]
    ),
    some.one_of(
        some.text(max_size=40),
        some.from_regex(r"bytes [0-9]{1,3}-[0-9]{1,3}/([0-9]{1,3}|\*)", fullmatch=True),
        some.from_regex(r"[0-9]{1,3}", fullmatch=True),
    ),
)


@given(
    status=some.sampled_from([200, 206, 204, 416]),
    said=headers,
    start=some.integers(0, 50),
    size=some.integers(1, 50),
    more=some.integers(0, 50),
)
def test_whatever_a_head_says_a_part_is_within_what_was_asked_for(status, said, start, size, more):
    end, total = start + size, start + size + more
    try:
        part = part_of(Answer(status, **said), start, end, total)
    except ConnectionFailed:
        return
    assert part.total == total
    if status == 206:
        assert part.start == start
        assert start < part.end <= end
    else:
        assert (part.start, part.end) == (0, total)
