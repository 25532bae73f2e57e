"""Whatever a client sends, that client gets an error, and the others are served."""

import contextlib
import socket
import threading

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.model.digest import Digest
from lading.rpc.codes import DETAILS, TRAILERS_LIMIT
from lading.rpc.protos import content_pb2 as m
from lading.rpc.protos.content_pb2 import COMMIT, STAT, WRITE
from lading.rpc.server import MESSAGE_LIMIT, STREAMS_LIMIT
from lading.rpc.wire import NAMESPACE
from lading.rpc.write_message import split

CONTENT = "/containerd.services.content.v1.Content/"
METHODS = ("Info", "Update", "List", "Delete", "Read", "Status", "ListStatuses", "Write", "Abort")
HEADERS = ((NAMESPACE, "default"),)


def answer_to(service, method, *messages, timeout=20):
    """The code that raw bytes get."""
    call = service.channel.stream_stream(CONTENT + method)
    try:
        list(call(iter(messages), metadata=HEADERS, timeout=timeout))
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def is_serving(service, ref="well"):
    data = ref.encode()
    request = m.WriteContentRequest(action=COMMIT, ref=ref, data=data)
    with contextlib.suppress(grpc.RpcError):  # it is there already
        list(service.write([request]))
    request = m.InfoRequest(digest=Digest.of(data))
    return service.unary(CONTENT + "Info", request, m.InfoResponse).info.size == len(data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "message",
    [b"\x0a\x02\xff\xfe", b"\x0a\xff\xff\xff\xff\x0f", b"\x07", b"\xff" * 64, b"\x12\x03\xc3\x28z"],
    ids=["bad UTF-8", "long", "kind", "ones", "bad UTF-8 in 2"],
)
def test_a_message_that_is_none_is_an_invalid_argument(service, method, message):
    code = answer_to(service, method, message)
    assert code in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OK,  # List takes anything that is no filter
        grpc.StatusCode.NOT_FOUND,
    }
    assert is_serving(service)


@pytest.mark.parametrize("letter", ["x", "é", "%", "\U0001f4e6"])
@pytest.mark.parametrize("size", [700, 1360, 4000, 20_000], ids=str)
def test_an_error_about_a_long_ref_comes_whole_each_time(service, letter, size):
    # grpc turns headers of 8 to 16 KiB away by a throw of dice, with RESOURCE_EXHAUSTED for a code
    ref = letter * (size // len(letter.encode()))
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            service.unary(CONTENT + "Status", m.StatusRequest(ref=ref), m.StatusResponse)
        error = caught.value
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert letter * 50 in error.details()
        trailers = [(name, value) for name, value in error.trailing_metadata() if name == DETAILS]
        assert sum(len(value) for _, value in trailers) * 4 / 3 <= TRAILERS_LIMIT


@pytest.mark.slow
def test_fuzzed_bytes_never_reach_further_than_an_answer(service):
    bad = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}

    @settings(
        max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(METHODS), st.lists(st.binary(max_size=200), max_size=4))
    def send(method, messages):
        assert answer_to(service, method, *messages) not in bad

    send()
    assert is_serving(service)


REQUESTS = st.builds(
    m.WriteContentRequest,
    action=st.integers(-1, 4) | st.just(1000),
    ref=st.sampled_from(["", "a", "b", "a/b", "\0", "x" * 70_000]),
    total=st.sampled_from([0, 1, 5, -1, (1 << 63) - 1]),
    expected=st.sampled_from(["", "x", Digest.of(b""), Digest.of(b"abc"), "sha512:" + "0" * 128]),
    offset=st.sampled_from([0, 1, 2, 3, 6, -1, 1 << 62]),
    data=st.sampled_from([b"", b"a", b"abc", bytes(5000)]),
    labels=st.dictionaries(st.sampled_from(["a", "", "k" * 5000]), st.text(max_size=3)),
    lading_ticket=st.sampled_from(["", "", "", "stolen"]),
    lading_size=st.sampled_from([0, 5, -1]),
)


@pytest.mark.slow
def test_any_order_of_write_messages_gets_an_answer_and_leaves_a_right_store(service):
    bad = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}

    @settings(
        max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(REQUESTS, min_size=1, max_size=5))
    def send(requests):
        messages = [request.SerializeToString() for request in requests]
        assert answer_to(service, "Write", *messages) not in bad

    send()
    assert is_serving(service)
    namespace = service.catalog.namespace("default")
    for blob in namespace.blobs():
        assert Digest.of(namespace.read(blob.digest), blob.digest.algorithm) == blob.digest


@given(st.binary(max_size=5000), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_request_is_taken_apart_as_protobuf_would(data, is_first):
    request = m.WriteContentRequest(
        action=WRITE, ref="r" * 40, total=1 << 40, offset=7, labels={"a": "b"}
    )
    rest, mine = request.SerializeToString(), m.WriteContentRequest(data=data).SerializeToString()
    padding = bytes(5000)  # beyond what is parsed as a whole
    extra = m.WriteContentRequest(lading_ticket=padding.decode()).SerializeToString()
    message = mine + rest + extra if is_first else rest + extra + mine
    found, view = split(message)
    whole = m.WriteContentRequest.FromString(message)
    assert bytes(view) == whole.data
    assert (found.ref, found.offset, found.labels) == (whole.ref, whole.offset, whole.labels)


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (MESSAGE_LIMIT - 64, grpc.StatusCode.OK),
        (MESSAGE_LIMIT, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["under", "over"],
)
def test_a_message_at_the_limit_passes_and_one_over_it_is_refused(service, size, code):
    request = m.WriteContentRequest(action=COMMIT, ref="r", data=bytes(size))
    assert answer_to(service, "Write", request.SerializeToString()) is code
    assert is_serving(service)


def test_a_method_and_a_service_that_are_not_are_unimplemented(service):
    for path in (CONTENT + "Nothing", "/no.such.Service/Call"):
        with pytest.raises(grpc.RpcError) as failure:
            service.unary(path, Empty(), Empty)
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_http_hurt_nobody(service):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" * 9):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(service.address.removeprefix("unix:"))
            raw.sendall(data)
    assert is_serving(service)


class Idle:
    """Streams that say nothing, or have said something and then nothing more."""

    def __init__(self, service, count, *, first=None):
        self.channels, self.streams = [], []
        self.end = threading.Event()
        for number in range(count):
            if number % STREAMS_LIMIT == 0:
                options = (("grpc.use_local_subchannel_pool", 1),)
                self.channels.append(grpc.insecure_channel(service.address, options))
            call = self.channels[-1].stream_stream(CONTENT + "Write")
            self.streams.append(call(self._messages(first, number), metadata=HEADERS))

    def _messages(self, first, number):
        if first:
            yield first(number).SerializeToString()
        self.end.wait()

    def close(self):
        self.end.set()
        for channel in self.channels:
            channel.close()


@pytest.mark.slow
@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "one message each"])
def test_more_idle_streams_than_threads_do_not_keep_the_others_waiting(serve, speaks):
    service = serve(workers=8)

    def first(number):
        return m.WriteContentRequest(action=WRITE, ref=f"idle-{number}", data=b"kept")

    idle = Idle(service, 60, first=first if speaks else None)
    try:
        for number in range(3):
            assert is_serving(service, ref=f"busy-{number}")
    finally:
        idle.close()
    if speaks:
        kept = [i for i in service.catalog.namespace("default").ingests() if i.offset == 4]
        assert kept


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_its_own_call_and_no_more_memory(serve):
    service = serve(workers=8)
    digest = service.catalog.namespace("default").add(bytes(8 << 20)).digest
    request = m.ReadContentRequest(digest=digest)
    lazy = [
        service.stream(CONTENT + "Read", request, m.ReadContentResponse, timeout=60)
        for _ in range(16)
    ]
    assert is_serving(service)
    for call in lazy:
        call.cancel()


def test_a_client_that_vanishes_frees_its_ref_and_leaves_its_bytes(service, feed):
    _, stream = feed(service, m.WriteContentRequest(action=WRITE, ref="r", data=b"on"))
    next(stream)
    stream.cancel()
    answers = list(service.write([m.WriteContentRequest(action=STAT, ref="r")]))
    assert answers[0].offset == 2
