"""events.v1 as containerd's clients call it."""

import logging
import threading

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from lading.content.events import BlobCreated, BlobsCollected
from lading.content.store import time_of
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.rpc.events_service import EVENT_LIMIT, WAITING_LIMIT
from lading.rpc.protos import (
    content_pb2,
    happenings_pb2,
    images_pb2,
    progress_pb2,
    version_pb2,
)
from lading.rpc.protos import events_pb2 as messages

PATH = "/containerd.services.events.v1.Events/"
DIGEST = Digest.of(b"blob")
TARGET = Descriptor("text/plain", DIGEST, 4)
CREATED = BlobCreated("default", 1_700_000_000_123_456_789, DIGEST, 4)


class Subscriber:
    """Hears from its making on."""

    def __init__(self, service, *filters):
        request = messages.SubscribeRequest(filters=filters)
        self.call = service.stream(PATH + "Subscribe", request, messages.Envelope, namespace=None)
        self.call.initial_metadata()  # waits until nothing is missed any more

    def hear(self, count):
        return [next(self.call) for _ in range(count)]


@pytest.fixture
def subscribe(service):
    """Subscribe at the server."""
    made = []

    def subscribe(*filters, service=service):
        made.append(Subscriber(service, *filters))
        return made[-1]

    yield subscribe
    for each in made:
        each.call.cancel()


def publish(service, topic="/tasks/start", event=None, **headers):
    event = event or Any(type_url="containerd.events.TaskStart", value=b"\n\x01x")
    request = messages.PublishRequest(topic=topic, event=event)
    service.unary(PATH + "Publish", request, Empty, **headers)
    return event


def forward(service, envelope):
    request = messages.ForwardRequest(envelope=envelope)
    service.unary(PATH + "Forward", request, Empty, namespace=None)


def code_of(function, *arguments, **keywords):
    with pytest.raises(grpc.RpcError) as caught:
        function(*arguments, **keywords)
    return caught.value.code()


def version_of(service):
    path = "/containerd.services.version.v1.Version/Version"
    return service.unary(path, Empty(), version_pb2.VersionResponse, namespace=None)


def told(envelope, kind):
    """The message in an envelope."""
    assert envelope.event.type_url == kind.DESCRIPTOR.full_name
    return kind.FromString(envelope.event.value)


def test_an_envelope_has_the_moment_to_the_nanosecond_and_containerds_message(service, subscribe):
    heard = subscribe()
    service.catalog.events.emit(CREATED)
    (envelope,) = heard.hear(1)
    assert envelope.timestamp == Timestamp(seconds=1_700_000_000, nanos=123_456_789)
    assert (envelope.namespace, envelope.topic) == ("default", "/content/create")
    assert envelope.event.type_url == "containerd.events.ContentCreate"
    assert told(envelope, happenings_pb2.ContentCreate).digest == DIGEST
    assert told(envelope, happenings_pb2.ContentCreate).size == 4


def test_whatever_happens_to_blobs_images_and_namespaces_is_told_as_containerd_does(
    service, subscribe
):
    heard = subscribe()
    catalog = service.catalog
    namespace = catalog.namespace("a")
    catalog.label_namespace("a", {"x": "1"})
    catalog.label_namespace("a", {"x": "2"})
    namespace.add(b"blob")
    namespace.images.create("image", TARGET)
    namespace.images.update("image", labels={"x": "1"}, fields=["labels"])
    namespace.images.delete("image")
    namespace.delete(DIGEST)
    catalog.delete_namespace("a")
    expected = [
        ("/namespaces/create", happenings_pb2.NamespaceCreate(name="a")),
        ("/namespaces/update", happenings_pb2.NamespaceUpdate(name="a")),
        ("/content/create", happenings_pb2.ContentCreate(digest=DIGEST, size=4)),
        ("/images/create", images_pb2.ImageCreate(name="image")),
        ("/images/update", images_pb2.ImageUpdate(name="image")),
        ("/images/delete", images_pb2.ImageDelete(name="image")),
        ("/content/delete", happenings_pb2.ContentDelete(digest=DIGEST)),
        ("/namespaces/delete", happenings_pb2.NamespaceDelete(name="a")),
    ]
    for envelope, (topic, message) in zip(heard.hear(8), expected, strict=True):
        assert (envelope.namespace, envelope.topic) == ("a", topic)
        assert told(envelope, type(message)) == message


def test_leases_and_collections_are_told_in_messages_of_ours(service, subscribe):
    heard = subscribe()
    with service.catalog.namespace("a").lease("mine") as lease:
        lease.add(b"blob")
    service.catalog.collect()
    made, _, ended, collected, deleted = heard.hear(5)
    assert told(made, progress_pb2.LeaseCreate).id == "mine"
    assert told(ended, progress_pb2.LeaseDelete).id == "mine"
    assert told(collected, progress_pb2.ContentCollect).digests == [DIGEST]
    assert told(deleted, progress_pb2.BytesDelete) == progress_pb2.BytesDelete(
        digests=[DIGEST], size=4
    )
    assert [each.topic for each in (made, ended, collected, deleted)] == [
        "/leases/create",
        "/leases/delete",
        "/content/collect",
        "/content/bytes/delete",
    ]
    assert [each.namespace for each in (collected, deleted)] == ["a", ""]


def test_the_progress_of_a_write_is_told(service, subscribe):
    heard = subscribe('topic=="/ingests/progress"')
    request = content_pb2.WriteContentRequest(
        action=content_pb2.WRITE, ref="layer", total=10, data=b"half "
    )
    list(service.write([request], namespace="a"))
    (envelope,) = heard.hear(1)
    assert envelope.namespace == "a"
    assert told(envelope, progress_pb2.IngestProgress) == progress_pb2.IngestProgress(
        ref="layer", offset=5, total=10
    )


@pytest.mark.parametrize(
    ("filters", "heard"),
    [
        (['topic=="/content/create"'], ["one", "two"]),
        (['topic~="^/content/"', "namespace==none"], ["one", "two"]),
        (["namespace==a"], ["one", "image"]),
        ([f"event.digest=={Digest.of(b'two')}"], ["two"]),
        (["event.size==3,event.digest"], ["one", "two"]),
        (["event.name==image"], ["image"]),
        (["event.mediaType"], []),
        (["event", "event.digest.x,namespace==none", "timestamp"], []),
        (['event.labels."a.b"==1'], ["told"]),
        (["event.labels.c"], []),
        ([], ["one", "image", "two", "told"]),
    ],
)
def test_filters_see_the_topic_the_namespace_and_fields_of_the_message(
    service, subscribe, filters, heard
):
    subscriber = subscribe(*filters, 'topic=="/end"') if filters else subscribe()
    one = service.catalog.namespace("a")
    one.add(b"one")
    one.images.create("image", TARGET)
    service.catalog.namespace("b").add(b"two")
    message = images_pb2.ImageCreate(name="told", labels={"a.b": "1"})
    event = Any(type_url="types.googleapis.com/containerd.services.images.v1.ImageCreate")
    event.value = message.SerializeToString()
    publish(service, event=event)
    publish(service, "/end")
    names = {Digest.of(b"one"): "one", Digest.of(b"two"): "two"}
    found = []
    for envelope in subscriber.call:
        if envelope.topic == "/end":
            break
        kind = {
            "containerd.events.ContentCreate": happenings_pb2.ContentCreate,
            "containerd.services.images.v1.ImageCreate": images_pb2.ImageCreate,
        }[envelope.event.type_url.rpartition("/")[2]]
        message = kind.FromString(envelope.event.value)
        found.append(names[message.digest] if hasattr(message, "digest") else message.name)
    assert found == heard


def test_a_bad_filter_is_refused(service):
    request = messages.SubscribeRequest(filters=["topic=="])
    call = service.stream(PATH + "Subscribe", request, messages.Envelope)
    assert code_of(next, call) == grpc.StatusCode.INVALID_ARGUMENT
    assert not service.catalog.events.is_heard


def test_what_a_client_publishes_reaches_every_subscriber_as_it_is(service, subscribe):
    subscribers = [subscribe(), subscribe()]
    event = publish(service, "/tasks/start.x", namespace="a")
    for each in subscribers:
        (envelope,) = each.hear(1)
        assert (envelope.namespace, envelope.topic) == ("a", "/tasks/start.x")
        assert envelope.event == event
        assert envelope.timestamp.seconds > 1_700_000_000


def test_what_a_client_forwards_keeps_its_moment_and_namespace(service, subscribe):
    heard = subscribe()
    envelope = messages.Envelope(
        timestamp=Timestamp(seconds=5, nanos=6),
        namespace="theirs",
        topic="/tasks/exit",
        event=Any(type_url="nobody.knows.This", value=b"\xff\xff"),
    )
    forward(service, envelope)
    assert heard.hear(1) == [envelope]


@pytest.mark.parametrize(
    "topic", ["", "/", "tasks", "/tasks/", "/tasks//x", "/a b", "/ä", "/a\n", "/" + "x" * 77]
)
def test_what_is_no_topic_is_refused(service, topic):
    assert code_of(publish, service, topic) == grpc.StatusCode.INVALID_ARGUMENT


def test_what_cannot_be_passed_on_is_refused(service):
    large = Any(type_url="x", value=b"\0" * EVENT_LIMIT)
    assert code_of(publish, service, event=large) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(publish, service, "/x" * 1000) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(publish, service, namespace=None) == grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(publish, service, namespace="a b") == grpc.StatusCode.INVALID_ARGUMENT
    now = Timestamp(seconds=1)
    for envelope in (
        messages.Envelope(namespace="a", topic="/x"),
        messages.Envelope(timestamp=now, topic="/x"),
        messages.Envelope(timestamp=now, namespace="a"),
    ):
        assert code_of(forward, service, envelope) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_pinned_listener_hears_and_tells_of_its_namespace_alone(serve, subscribe):
    service = serve(pinned="theirs")
    heard = subscribe(service=service)
    service.catalog.namespace("other").add(b"other")
    with service.catalog.namespace("other").lease() as lease:
        lease.add(b"blob")
    service.catalog.collect()
    publish(service, namespace="other")
    (envelope,) = heard.hear(1)
    assert (envelope.namespace, envelope.topic) == ("theirs", "/tasks/start")
    envelope = messages.Envelope(timestamp=Timestamp(seconds=1), namespace="other", topic="/x")
    assert code_of(forward, service, envelope) == grpc.StatusCode.PERMISSION_DENIED


def test_a_subscriber_that_goes_away_frees_its_thread(serve, subscribe):
    service = serve(workers=1)
    subscribe(service=service).call.cancel()
    version_of(service)  # by the only thread
    assert not service.catalog.events.is_heard


@pytest.mark.slow
def test_subscribers_give_way_when_all_threads_are_taken(serve, subscribe):
    service = serve(workers=2)
    subscribers = [subscribe(service=service), subscribe(service=service)]
    version_of(service)
    service.catalog.events.emit(CREATED)
    codes = []
    for each in subscribers:
        try:
            each.hear(1)
        except grpc.RpcError as error:
            codes.append(error.code())
    assert codes == [grpc.StatusCode.CANCELLED]


@pytest.mark.slow
def test_a_subscriber_that_does_not_read_loses_the_oldest_and_delays_nobody(
    service, subscribe, caplog
):
    caplog.set_level(logging.WARNING, "lading.rpc.events_service")
    heard = subscribe()
    digests = tuple(Digest.of(b"%d" % number) for number in range(500))
    count = 3 * WAITING_LIMIT
    for number in range(count):
        service.catalog.events.emit(BlobsCollected("default", number, digests))
    publish(service, "/end")
    moments = []
    for envelope in heard.call:
        if envelope.topic == "/end":
            break
        moments.append(envelope.timestamp.nanos)
    assert moments == sorted(moments)
    assert moments[-1] == count - 1
    assert WAITING_LIMIT <= len(moments) + 1 < count
    assert sum(record.args[0] for record in caplog.records) == count - len(moments)


def test_a_server_that_stops_ends_its_subscriptions(serve, subscribe):
    service = serve()
    heard = subscribe(service=service)
    stopping = threading.Thread(target=service.server.stop, args=[600])
    stopping.start()
    assert code_of(next, heard.call) in {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAVAILABLE,
    }
    stopping.join(10)
    assert not stopping.is_alive()
    assert not service.catalog.events.is_heard


def test_the_moment_of_an_event_is_now(service, subscribe):
    heard = subscribe()
    service.catalog.namespace("a").add(b"blob")
    (envelope,) = heard.hear(1)
    told_ns = envelope.timestamp.seconds * 10**9 + envelope.timestamp.nanos
    blob = service.catalog.namespace("a").blob(DIGEST)
    assert time_of(told_ns) == blob.created_at
