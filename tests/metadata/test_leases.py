from datetime import timedelta

import pytest

from lading.content.catalog import Resource
from lading.content.store import time_of
from lading.errors import AlreadyExists, InvalidArgument, InvalidDigest, NotFound
from lading.metadata.labels import EXPIRE
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest

HELLO = b"hello, world"
RIGHT = Digest.of(HELLO)
HOUR = timedelta(hours=1)


def held(lease):
    return [(resource.kind, resource.id) for resource in lease.resources()]


# Made, listed, ended


def test_a_lease_ends_in_a_day_unless_it_is_told(namespace, clock):
    lease = namespace.lease("l")
    day_ns = clock.now_ns + 24 * 3600 * 1_000_000_000
    assert lease.record() == ("l", clock.now_ns, day_ns, {EXPIRE: time_of(day_ns).isoformat()})
    assert list(namespace.leases()) == [lease.record()]
    lease.end()
    assert list(namespace.leases()) == []
    for call in (lease.end, lease.record, lease.renew, lambda: namespace.leased("l")):
        with pytest.raises(NotFound, match="lease 'l'"):
            call()


def test_a_lease_without_an_id_gets_one_of_its_own(namespace):
    ids = {namespace.lease().id for _ in range(3)}
    assert len(ids) == 3
    assert {lease.id for lease in namespace.leases()} == ids


def test_an_id_that_is_taken_is_refused_and_the_lease_left_alone(namespace):
    before = namespace.lease("l", labels={"a": "1"}).record()
    with pytest.raises(AlreadyExists):
        namespace.lease("l", expires_in=HOUR, labels={"a": "2"})
    assert namespace.leased("l").record() == before


@pytest.mark.parametrize("id_", ["", "x" * 1025, "é" * 513, "nul\0", "\ud800"])
def test_what_can_be_no_id_is_refused(namespace, id_):
    with pytest.raises(InvalidArgument):
        namespace.lease(id_)
    assert list(namespace.leases()) == []


@pytest.mark.parametrize("id_", ["x" * 1024, "a/b", "é", " ", "'; --", "%(x)s :y"])
def test_any_other_text_is_an_id(namespace, id_):
    lease = namespace.lease(id_)
    lease.add(HELLO)
    assert held(namespace.leased(id_)) == [("content", RIGHT)]


def test_leases_are_listed_in_one_order(namespace):
    for id_ in ("b", "A", "a", "B", "~", "-"):
        namespace.lease(id_)
    assert [lease.id for lease in namespace.leases()] == ["-", "A", "B", "a", "b", "~"]


@pytest.mark.parametrize("span", [timedelta(0), -HOUR, timedelta.max])
def test_a_span_that_can_be_none_is_refused(namespace, span):
    with pytest.raises(InvalidArgument):
        namespace.lease("l", expires_in=span)
    lease = namespace.lease("l")
    before = lease.record()
    with pytest.raises(InvalidArgument):
        lease.renew(span)
    assert lease.record() == before


# Its label


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2030-01-01T00:00:00Z", 1_893_456_000),
        ("2030-01-01T02:00:00+02:00", 1_893_456_000),
        ("2030-01-01T00:00:00.5Z", 1_893_456_000.5),
        ("2030-01-01T00:00:00.500000000Z", 1_893_456_000.5),
        ("9999-12-31T23:59:59Z", None),
        ("2030-01-01T00:00:00", None),
        ("tomorrow", None),
        ("2030-13-01T00:00:00Z", None),
    ],
)
def test_the_label_says_when_a_lease_ends_and_a_bad_one_says_never(namespace, text, seconds):
    lease = namespace.lease("l", labels={EXPIRE: text})
    expected = None if seconds is None else int(seconds * 1_000_000_000)
    assert lease.record().expires_ns == expected
    assert lease.record().labels == {EXPIRE: text}


def test_a_lease_without_end_has_no_label(namespace):
    assert namespace.lease("l", expires_in=None).record()[2:] == (None, {})


def test_a_renewed_lease_ends_later_and_says_so(namespace, clock):
    lease = namespace.lease("l", expires_in=HOUR, labels={"a": "1"})
    clock.advance(HOUR / 2)
    record = lease.renew(HOUR)
    assert record == namespace.leased("l").record()
    assert record.expires_ns == clock.now_ns + 3600 * 1_000_000_000
    assert record.labels == {"a": "1", EXPIRE: time_of(record.expires_ns).isoformat()}


def test_a_lease_whose_labels_are_too_long_is_not_made(namespace):
    with pytest.raises(InvalidArgument):
        namespace.lease("l", labels={"k": "v" * 4096})
    assert list(namespace.leases()) == []


# What it holds


def test_a_lease_holds_what_comes_in_through_it(namespace):
    lease = namespace.lease("l")
    lease.add(b"added")
    with lease.batch() as batch:
        batch.add(b"in a batch")
    with lease.writer("w") as writer:
        writer.write(b"written")
        assert ("ingests", "w") in held(lease)
        writer.commit()
    namespace.add(b"beside it")
    digests = [Digest.of(data) for data in (b"added", b"in a batch", b"written")]
    assert held(lease) == [("content", digest) for digest in sorted(digests)]


def test_a_lease_holds_what_was_there_already(namespace):
    namespace.add(HELLO)
    lease = namespace.lease("l")
    with pytest.raises(AlreadyExists):
        lease.writer("w", expected=RIGHT)
    assert held(lease) == [("content", RIGHT)]
    second = namespace.lease("second")
    with second.writer("w") as writer:
        writer.write(HELLO)
        with pytest.raises(AlreadyExists):
            writer.commit()
    assert held(second) == [("content", RIGHT)]
    third = namespace.lease("third")
    third.add(HELLO)
    assert held(third) == [("content", RIGHT)]


@pytest.mark.parametrize("ref", ["w", "nul\0", "x" * 2000])
def test_an_ingest_is_held_until_it_ends(namespace, ref):
    lease = namespace.lease("l")
    lease.writer(ref).close()
    assert held(lease) == [("ingests", ref)]
    namespace.abort(ref)
    assert held(lease) == []


def test_an_ingest_is_held_by_each_lease_that_wrote_to_it(namespace):
    one, two = namespace.lease("one"), namespace.lease("two")
    one.writer("w").close()
    with two.writer("w") as writer:
        writer.write(HELLO)
        writer.commit()
    assert held(one) == []
    assert held(two) == [("content", RIGHT)]


def test_a_deleted_blob_is_held_no_more(namespace):
    lease = namespace.lease("l")
    lease.add(HELLO)
    namespace.delete(RIGHT)
    assert held(lease) == []


@pytest.mark.parametrize(
    "resource",
    [
        Resource("content", RIGHT),
        Resource("ingests", "w"),
        Resource("ingests", "nul\0"),
        Resource("images", "alpine"),
    ],
)
def test_what_is_held_by_name_is_let_go_by_name(namespace, resource):
    lease = namespace.lease("l")
    lease.hold(resource)
    lease.hold(resource)
    assert lease.resources() in ([resource], [resource._replace(id=lease.resources()[0].id)])
    lease.release(resource)
    assert lease.resources() == []
    with pytest.raises(NotFound):
        lease.release(resource)


@pytest.mark.parametrize(
    "resource", [("content", "no digest"), ("ingests", ""), ("images", ""), ("files", "x")]
)
def test_what_no_lease_can_hold_is_refused(namespace, resource):
    lease = namespace.lease("l")
    with pytest.raises(InvalidArgument):
        lease.hold(Resource(*resource))
    with pytest.raises(InvalidArgument):
        lease.release(Resource(*resource))
    assert lease.resources() == []
    assert issubclass(InvalidDigest, InvalidArgument)


# Its `with` block


def test_a_lease_ends_with_its_block(namespace):
    with namespace.lease("l") as lease:
        lease.add(HELLO)
    assert list(namespace.leases()) == []


def test_a_lease_outlives_a_block_that_failed(namespace):
    def fail():
        with namespace.lease("l") as lease:
            lease.add(HELLO)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert held(namespace.leased("l")) == [("content", RIGHT)]


# One that has ended


def write(store):
    with store.writer("new") as writer:
        writer.write(b"new")


CALLS = {
    "add": lambda store: store.add(b"new"),
    "add-known": lambda store: store.add(HELLO),
    "add-labels": lambda store: store.add(HELLO, labels={"a": "2"}),
    "write": write,
    "resume": lambda store: store.writer("old").close(),
    "known": lambda store: store.writer("new", expected=RIGHT).close(),
    "label": lambda store: store.label(RIGHT, {"a": "2"}),
    "delete": lambda store: store.delete(RIGHT),
    "abort": lambda store: store.abort("old"),
    "hold": lambda store: store.hold(Resource("content", RIGHT)),
    "image": lambda store: store.images.create("new", Descriptor("m", RIGHT, 1)),
    "image-update": lambda store: store.images.update("old", labels={"a": "2"}),
    "image-delete": lambda store: store.images.delete("old"),
}


def state_of(namespace, content):
    return (
        list(namespace.blobs()),
        [ingest.ref for ingest in namespace.ingests()],
        list(namespace.images.list()),
        [
            resource
            for lease in namespace.leases()
            for resource in namespace.leased(lease.id).resources()
        ],
        sorted(blob.digest for blob in content.blobs() if blob.digest != Digest.of(b"new")),
        sorted(ingest.ref for ingest in content.ingests()),
    )


@pytest.mark.parametrize("end", ["ended", "expired"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_lease_that_is_over_changes_nothing(namespace, content, clock, call, end):
    namespace.add(HELLO, labels={"a": "1"})
    namespace.writer("old").close()
    namespace.images.create("old", Descriptor("m", RIGHT, 1))
    lease = namespace.lease("l", expires_in=HOUR)
    if end == "ended":
        lease.end()
    else:
        clock.advance(HOUR)
    before = state_of(namespace, content)
    with pytest.raises(NotFound, match="lease 'l'"):
        call(lease)
    assert state_of(namespace, content) == before
    namespace.writer("new").close()


def test_a_lease_that_ends_under_a_writer_fails_its_commit_and_keeps_the_bytes(namespace):
    lease = namespace.lease("l")
    with lease.writer("w") as writer:
        writer.write(HELLO)
        lease.end()
        with pytest.raises(NotFound, match="lease 'l'"):
            writer.commit()
    assert RIGHT not in namespace
    with namespace.writer("w") as writer:
        assert writer.offset == len(HELLO)
        assert writer.commit().digest == RIGHT


def test_a_lease_that_expired_may_be_renewed_while_nothing_was_collected(namespace, clock):
    lease = namespace.lease("l", expires_in=HOUR)
    lease.add(HELLO)
    clock.advance(2 * HOUR)
    lease.renew(HOUR)
    lease.add(b"more")
    assert len(held(lease)) == 2
