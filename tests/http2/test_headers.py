"""What the headers of a call say."""

from hpack import Encoder

from lading.rpc.http2.headers import _KNOWN_LIMIT, _KNOWN_SIZE, Opening, Reader

_REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def test_the_same_bytes_say_something_else_when_the_table_has_changed():
    encoder, reader = Encoder(), Reader()
    reader.read(encoder.encode((*_REQUEST, ("who", "one"))))
    indices = encoder.encode((*_REQUEST, ("who", "one")))
    first = reader.read(indices)
    assert isinstance(first, Opening)
    assert first.metadata == (("who", "one"),)
    assert reader.read(indices) == first
    # Every index of the table moves by one: the newest field is the first of them.
    reader.read(encoder.encode((*_REQUEST, ("who", "two"))))
    assert reader.read(indices) != first
    again = reader.read(encoder.encode((*_REQUEST, ("who", "one"))))
    assert isinstance(again, Opening)
    assert again.metadata == (("who", "one"),)


def test_few_and_short_headers_are_remembered_of_a_connection():
    encoder, reader = Encoder(), Reader()
    reader.read(encoder.encode(_REQUEST))
    for count in range(1, 200):
        reader.read(encoder.encode((*_REQUEST, *[("te", "trailers")] * count)))
    assert len(reader._known) == _KNOWN_LIMIT
    assert max(map(len, reader._known)) <= _KNOWN_SIZE


def test_of_a_header_that_comes_twice_the_first_counts():
    found = Reader().read(Encoder().encode((*_REQUEST, ("who", "one"), ("who", "two"))))
    assert isinstance(found, Opening)
    assert found.metadata == (("who", "one"), ("who", "two"))
    assert found.firsts == {"who": "one"}
