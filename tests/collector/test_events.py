"""Events: who is told what, and that nobody's failure is another's."""

import logging
import threading

import pytest

from lading.content.events import BlobCreated, BlobDeleted, BlobsCollected, BytesDeleted, Events
from lading.model.digest import Digest

DIGEST = Digest.of(b"blob")
CREATED = BlobCreated("images", 1, DIGEST, 4)
DELETED = BlobDeleted("images", 2, DIGEST)


def test_a_subscriber_is_told_everything_in_order_until_it_closes(events):
    heard = []
    with events.subscribe(heard.append):
        events.emit(CREATED)
        events.emit(DELETED)
    events.emit(CREATED)
    assert heard == [CREATED, DELETED]
    assert [event.topic for event in heard] == ["/content/create", "/content/delete"]


def test_a_subscriber_that_fails_fails_neither_the_call_nor_the_others(events, caplog):
    heard = []
    with events.subscribe(lambda event: 1 / 0), events.subscribe(heard.append):
        events.emit(CREATED)
    assert heard == [CREATED]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_closing_twice_does_no_harm(events):
    subscription = events.subscribe(print)
    subscription.close()
    subscription.close()


def test_a_stream_gives_what_happened_and_ends_when_it_is_closed(events):
    stream = events.stream()
    events.emit(CREATED)
    events.emit(DELETED)
    stream.close()
    events.emit(CREATED)
    assert list(stream) == [CREATED, DELETED]


def test_a_stream_waits_for_what_comes(events):
    stream = events.stream()
    emitter = threading.Thread(target=events.emit, args=[CREATED])
    emitter.start()
    assert next(iter(stream)) == CREATED
    emitter.join()
    stream.close()


def test_a_stream_that_nobody_reads_forgets_the_oldest_and_says_so(events):
    stream = events.stream(limit=2)
    for _ in range(3):
        events.emit(CREATED)
    events.emit(DELETED)
    stream.close()
    assert list(stream) == [CREATED, DELETED]
    assert stream.lost == 2


def test_a_subscriber_may_subscribe_and_close_while_it_is_told():
    events = Events()
    heard = []

    def once(event):
        subscription.close()
        events.subscribe(heard.append)

    subscription = events.subscribe(once)
    events.emit(CREATED)
    assert heard == []
    events.emit(DELETED)
    assert heard == [DELETED]


def test_a_collection_tells_of_each_blob_and_of_its_bytes(metadata, events, collector, clock):
    digests = {metadata.namespace("one").add(bytes([number])).digest for number in range(3)}
    metadata.namespace("two").add(b"\x00", labels={"containerd.io/gc.root": "1"})
    heard = []
    with events.subscribe(heard.append):
        collector.collect()
    rows, deleted = heard
    assert isinstance(rows, BlobsCollected)
    assert (rows.namespace, rows.at_ns, set(rows.digests)) == ("one", clock(), digests)
    assert isinstance(deleted, BytesDeleted)
    assert set(deleted.digests) == digests - {Digest.of(b"\x00")}
    assert (deleted.namespace, deleted.size) == ("", 2)


@pytest.mark.parametrize("event", [CREATED, DELETED])
def test_an_event_cannot_be_changed(event):
    with pytest.raises(AttributeError):
        event.namespace = "other"
