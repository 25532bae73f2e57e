"""What an end does to those who are just writing: they keep their offset."""

import signal

import grpc
import pytest

from lading.errors import Unavailable
from lading.rpc.client import RemoteStore
from lading.rpc.protos import content_pb2
from tests.daemon.conftest import KEPT

pytestmark = pytest.mark.slow

PIECE = bytes(range(256)) * 4096


@pytest.fixture(params=[1, 2])
def processes(request):
    return request.param


def resumed(serve, connect, namespace="default"):
    """Start the next daemon, and connect to it."""
    (address,) = serve().addresses()
    return connect(address, namespace=namespace)


def finished(client, ref, offset, rest):
    """Go on with a ref from its offset, and commit."""
    stream = client.write(ref, rest, offset=offset)
    end = {"ref": ref, "offset": offset + len(rest), "labels": KEPT}
    answer = stream.send(action=content_pb2.COMMIT, **end)
    stream.close()
    return answer.digest


def test_a_writer_that_is_cut_short_by_a_stop_keeps_its_offset(serve, connect):
    daemon = serve("--grace", "0s")
    (address,) = daemon.addresses()
    stream = connect(address).write("r", PIECE)
    code, _ = daemon.stopped()
    assert code == 0
    with pytest.raises(grpc.RpcError):
        next(stream.answers)
    client = resumed(serve, connect)
    assert client.offset("r") == len(PIECE)
    digest = finished(client, "r", len(PIECE), b"end")
    assert client.size(digest) == len(PIECE) + 3


def test_a_writer_may_end_in_the_grace_of_a_stop(serve, connect, path):
    daemon = serve("--grace", "1h")
    (address,) = daemon.addresses()
    client = connect(address)
    watching = client.watch()
    assert next(watching) == "SERVING"
    stream = client.write("r", PIECE)
    daemon.send(signal.SIGTERM)
    # From here on it is ready no more, and what has begun goes on.
    assert next(watching) == "NOT_SERVING"
    end = {"ref": "r", "offset": len(PIECE), "labels": KEPT}
    answer = stream.send(action=content_pb2.COMMIT, **end)
    stream.close()
    list(stream.answers)
    watching.cancel()
    code, _ = daemon.ended()
    assert code == 0
    assert resumed(serve, connect).size(answer.digest) == len(PIECE)


def test_in_the_grace_of_a_stop_no_new_call_is_answered(serve, connect):
    daemon = serve("--grace", "1h")
    (address,) = daemon.addresses()
    client = connect(address)
    watching = client.watch()
    assert next(watching) == "SERVING"
    stream = client.write("r", PIECE)
    daemon.send(signal.SIGTERM)
    assert next(watching) == "NOT_SERVING"
    watching.cancel()
    with pytest.raises(grpc.RpcError) as refused:
        # One that comes at the very moment may still be answered; no second one is.
        list(map(client.now, ["r"] * 1000))
    # Its connection is going down, or has gone.
    codes = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    assert refused.value.code() in codes
    # Nor does the next daemon begin before this one has ended.
    early = serve()
    assert early.process.stdout.readline() == b""
    assert early.ended()[0] == 7
    stream.answers.cancel()
    code, _ = daemon.ended()
    assert code == 0


def test_who_only_watches_does_not_hold_up_a_stop(serve, connect):
    daemon = serve("--grace", "1h")
    (address,) = daemon.addresses()
    watching = connect(address).watch()
    assert next(watching) == "SERVING"
    code, _ = daemon.stopped()
    assert code == 0


def test_a_second_signal_does_not_wait_and_loses_nothing(serve, connect):
    daemon = serve("--grace", "1h")
    (address,) = daemon.addresses()
    client = connect(address)
    watching = client.watch()
    assert next(watching) == "SERVING"
    client.write("r", PIECE)
    daemon.send(signal.SIGTERM)
    assert next(watching) == "NOT_SERVING"
    code, _ = daemon.stopped(signal.SIGINT)
    assert code == -signal.SIGINT
    client = resumed(serve, connect)
    digest = finished(client, "r", client.offset("r"), b"end")
    assert client.size(digest) == len(PIECE) + 3


def test_a_kill_in_the_middle_of_a_write_loses_no_byte_that_was_told(serve, connect):
    daemon = serve()
    (address,) = daemon.addresses()
    stream = connect(address).write("r", PIECE, total=3 * len(PIECE))
    told = stream.send(action=content_pb2.WRITE, ref="r", offset=len(PIECE), data=PIECE).offset
    assert told == 2 * len(PIECE)
    code, _ = daemon.stopped(signal.SIGKILL)
    assert code == -signal.SIGKILL
    client = resumed(serve, connect)
    assert client.offset("r") == told
    digest = finished(client, "r", told, PIECE)
    assert client.size(digest) == 3 * len(PIECE)


def test_a_remote_store_goes_on_where_a_killed_daemon_has_stopped(serve, path):
    daemon = serve()
    daemon.addresses()
    store = RemoteStore(f"unix://{path}")
    try:
        writer = store.writer("r")
        for _ in range(8):
            writer.write(PIECE)
        told = writer.status().offset
        assert told == 8 * len(PIECE)
        daemon.stopped(signal.SIGKILL)
        with pytest.raises(Unavailable):
            writer.commit()
        writer.close()
        serve().addresses()
        with store.writer("r") as again:
            assert again.offset == told
            again.write(b"end")
            blob = again.commit(labels=KEPT)
        assert store.read(blob.digest) == PIECE * 8 + b"end"
    finally:
        store.close()


def test_a_stop_before_it_is_ready_is_a_stop(serve, root, path):
    daemon = serve()
    # Its lock is the first thing that it makes; much is still to be done.
    lock = path.with_name(f"{path.name}.lock")
    while not lock.exists() and daemon.process.poll() is None:
        pass
    code, said = daemon.stopped()
    assert (code, "Traceback" in said) == (0, False)
    assert not path.exists()
