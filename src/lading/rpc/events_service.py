"""containerd.services.events.v1.Events: what has happened here, and what clients tell each other.

A subscriber keeps a thread while it listens. It waits as a silent client does, so that where all
threads are taken it is the first to lose its stream; it can subscribe again. One that does not read
loses the oldest events, and nobody waits for it.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from lading.content.events import Events
from lading.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from lading.model.filters import EVERYTHING, parse
from lading.rpc import wire
from lading.rpc.calls import Watch
from lading.rpc.happenings import PassedOn, enveloped, field_of
from lading.rpc.methods import Call, Method, first, read, unary
from lading.rpc.protos import events_pb2 as messages

_LOG = logging.getLogger(__name__)
WAITING_LIMIT = 2000
"""Events that wait for a subscriber: at most some 100 MB, where each tells of 500 blobs."""
EVENT_LIMIT = 16 << 10
"""Bytes of an event that a client tells, since it may wait for many subscribers."""
TOPIC_LIMIT = 1024
_NAME = r"(?=[^/]{1,76}(?:/|$))[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
_TOPIC = re.compile(f"(?:/{_NAME})+", re.ASCII)


class EventsService:
    """The events service of one daemon: what happens in another is not told here."""

    name = "containerd.services.events.v1.Events"

    def __init__(self, events: Events, clock: Callable[[], int] = time.time_ns) -> None:
        self._events, self._clock = events, clock

    def methods(self) -> Mapping[str, Method]:
        """The three calls."""
        return {
            "Publish": unary(messages.PublishRequest, self._publish),
            "Forward": unary(messages.ForwardRequest, self._forward),
            "Subscribe": Method(answers_once=False, run=self._subscribe, changes=False),
        }

    def _publish(self, call: Call, request: messages.PublishRequest) -> Empty:
        if not call.namespace:
            raise FailedPrecondition("namespace is required")
        namespace = call.catalog.namespace(call.namespace).name
        self._pass_on(namespace, wire.timestamp(self._clock()), request.topic, request.event)
        return Empty()

    def _forward(self, call: Call, request: messages.ForwardRequest) -> Empty:
        told = request.envelope
        namespace = call.catalog.namespace(told.namespace).name
        if call.pinned not in {None, namespace}:
            raise PermissionDenied(
                f"namespace {namespace!r}",
                f"this listener is pinned to the namespace {call.pinned!r}",
            )
        if not told.HasField("timestamp"):
            raise InvalidArgument("an event that is forwarded has a timestamp")
        self._pass_on(namespace, told.timestamp, told.topic, told.event)
        return Empty()

    def _pass_on(self, namespace: str, moment: Timestamp, topic: str, event: Packed) -> None:
        """Tell every subscriber what a client has told, or raise `InvalidArgument`."""
        if len(topic) > TOPIC_LIMIT or not _TOPIC.fullmatch(topic):
            raise InvalidArgument(
                f"{topic[:80]!a} is no topic: write /name/name, names as those of namespaces"
            )
        if event.ByteSize() > EVENT_LIMIT:
            raise InvalidArgument(
                f"an event of {event.ByteSize()} bytes; {EVENT_LIMIT} are passed on at most"
            )
        envelope = messages.Envelope(
            timestamp=moment, namespace=namespace, topic=topic, event=event
        )
        self._events.emit(PassedOn(namespace, wire.nanoseconds(moment), envelope))

    def _subscribe(self, call: Call, requests: Iterator[bytes], watch: Watch) -> Iterator[bytes]:
        request = read(messages.SubscribeRequest, first(requests))
        accepts = parse(*request.filters)
        with self._events.stream(limit=WAITING_LIMIT) as stream:
            if not call.context.add_callback(stream.close):
                return  # gone already
            watch.is_endless = True
            # Tells the client that nothing is missed from here on.
            call.context.send_initial_metadata(())
            lost = 0
            for event in watch.heard(stream):
                before, lost = lost, stream.lost  # read once: it grows while this is told
                if lost > before:
                    _LOG.warning("a subscriber does not keep up: it lost %d events", lost - before)
                if not call.context.is_active():
                    return
                if call.pinned not in {None, event.namespace}:
                    continue
                envelope = enveloped(event)
                if envelope and (accepts is EVERYTHING or accepts(partial(field_of, envelope))):
                    yield envelope.SerializeToString()
