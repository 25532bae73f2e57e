"""What a client is told where the other end is not there, or is something else."""

import multiprocessing
import os
import socket
import time
from concurrent import futures
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace

import grpc
import pytest

from lading.errors import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    RefLocked,
    Unauthenticated,
    Unavailable,
    WriterClosed,
)
from lading.model.digest import Digest
from lading.rpc.client import RemoteStore, channel
from tests.conformance.samples import ABSENT, HELLO
from tests.support.served import served


def test_a_missing_socket_is_told_with_the_command_that_makes_one(tmp_path):
    store = RemoteStore(f"unix://{tmp_path}/s")
    for call in (
        lambda: store.blob(ABSENT),
        lambda: list(store.blobs()),
        lambda: store.open(ABSENT),
        lambda: store.writer("w"),
        lambda: store.add(HELLO),
        lambda: store.abort("w"),
    ):
        with pytest.raises(Unavailable) as caught:
            call()
        assert str(caught.value) == (
            f"no daemon listens on {tmp_path}/s; "
            f"start one with: lading serve --root DIR --listen unix://{tmp_path}/s"
        )
    store.close()


def test_a_socket_that_was_left_behind_is_no_daemon(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/s")
    store = RemoteStore(f"{tmp_path}/s")
    with pytest.raises(Unavailable, match="no daemon listens on"):
        store.blob(ABSENT)
    store.close()


class Refusing(grpc.GenericRpcHandler):
    """A daemon of somebody else, who refuses everything with one code."""

    def __init__(self, code, sentence="so it is"):
        self.code = code
        self.sentence = sentence

    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: context.abort(self.code, self.sentence)
        )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.DATA_LOSS, DataLoss),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
    ],
)
def test_what_somebody_else_refuses_is_the_error_of_its_code(tmp_path, code, error):
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Refusing(code)])
    server.add_insecure_port(f"unix:{tmp_path}/s")
    server.start()
    store = RemoteStore(f"{tmp_path}/s")
    with pytest.raises(error, match="so it is") as caught:
        store.blob(ABSENT)
    assert type(caught.value) is error
    store.close()
    server.stop(None).wait()


def test_a_long_refusal_of_somebody_else_is_the_error_of_its_code(tmp_path):
    # containerd puts a whole ref into its sentence, and a ref may have 64 KiB
    sentence = "é" * 32_768 + ": so it is"
    refusing = Refusing(grpc.StatusCode.FAILED_PRECONDITION, sentence)
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[refusing])
    server.add_insecure_port(f"unix:{tmp_path}/s")
    server.start()
    store = RemoteStore(f"{tmp_path}/s")
    for _ in range(20):
        with pytest.raises(FailedPrecondition, match="so it is"):
            store.blob(ABSENT)
    store.close()
    server.stop(None).wait()


def test_a_daemon_that_is_something_else_is_told_so(tmp_path):
    server = grpc.server(None, handlers=())
    server.add_insecure_port(f"unix:{tmp_path}/s")
    server.start()
    store = RemoteStore(f"{tmp_path}/s")
    for call in (
        lambda: store.blob(ABSENT),
        lambda: list(store.blobs()),
        lambda: store.writer("w"),
    ):
        with pytest.raises(FailedPrecondition, match=r"has no \w+ of containerd\."):
            call()
    store.close()
    server.stop(0).wait()


def test_what_is_no_grpc_at_all_is_no_daemon(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        listener.listen()
        store = RemoteStore(f"{tmp_path}/s", answers_within=timedelta(milliseconds=200))
        with pytest.raises(Unavailable):
            store.blob(ABSENT)
        store.close()


def test_a_call_that_changes_nothing_outlives_a_new_start_of_the_daemon(
    catalog, tmp_path, monkeypatch
):
    with served(catalog, catalog.events, tmp_path / "s") as address:
        store = RemoteStore(address)
        digest = store.add(HELLO).digest
    with ExitStack() as running:

        def restart(seconds):
            if not pauses:
                running.enter_context(served(catalog, catalog.events, tmp_path / "s"))
            pauses.append(seconds)
            time.sleep(seconds)

        pauses = []
        monkeypatch.setattr(channel, "time", SimpleNamespace(sleep=restart))
        assert store.blob(digest) == catalog.namespace("default").blob(digest)
        assert pauses
        store.close()


def test_a_writer_whose_daemon_went_away_is_over_and_its_bytes_are_kept(catalog, tmp_path):
    with served(catalog, catalog.events, tmp_path / "s") as address:
        store = RemoteStore(address)
        writer = store.writer("w")
        writer.write(HELLO)
    with pytest.raises(Unavailable):
        writer.write(b"more")
    for call in (lambda: writer.write(b"more"), writer.commit, writer.status):
        with pytest.raises(WriterClosed):
            call()
    assert writer.offset == len(HELLO)
    writer.close()
    store.close()
    assert catalog.namespace("default").ingest("w").offset == len(HELLO)


def test_a_closed_store_says_that_it_is(service):
    store = RemoteStore(service.address)
    store.blobs()
    store.close()
    store.close()
    with pytest.raises(FailedPrecondition, match="closed"):
        store.blob(ABSENT)


def _in_a_child(store, answers):
    try:
        store.blob(ABSENT)
    except FailedPrecondition as error:
        answers.put(str(error))


def test_a_connection_does_not_go_through_a_fork(service):
    store = RemoteStore(service.address)  # before anything is sent, so that grpc can fork at all
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=_in_a_child, args=(store, answers))
    child.start()
    child.join()
    assert not answers.empty()
    assert "before a fork" in answers.get()
    assert ABSENT not in store
    store.close()


@pytest.mark.parametrize("name", ["", " a", "a\n", "\u00e9"])
def test_what_no_header_can_say_is_no_namespace_and_no_lease(service, store, name):
    with pytest.raises(InvalidArgument):
        RemoteStore(service.address, name)
    with pytest.raises(InvalidArgument):
        store.leased(name)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.label(Digest.of(HELLO), {"a\ud800": "b"}),
        lambda store: store.images.get("a\ud800"),
        lambda store: store.add(HELLO, labels={"a": "\udcff"}),
    ],
)
def test_half_a_character_is_refused_before_anything_is_sent(store, call):
    with pytest.raises(InvalidArgument):
        call(store)
    assert list(store.blobs()) == []


def test_a_writer_that_nobody_closed_lets_go_of_its_ref(service, store):
    def forget():
        store.writer("w").write(HELLO)

    forget()
    with store.writer("w", wait=timedelta(seconds=30)) as writer:
        assert writer.offset == len(HELLO)


def test_a_writer_whose_ref_was_taken_while_it_was_refused_is_closed(service, store, monkeypatch):
    with store.writer("w") as writer:
        writer.write(HELLO)
        other = service.catalog.namespace("default")
        opened = writer._call

        def late():
            other.abort("w")
            with other.writer("w") as theirs:
                theirs.write(HELLO)
            return opened()

        monkeypatch.setattr(writer, "_call", late)
        with pytest.raises(InvalidArgument):
            writer.commit(labels={"k": "v" * 5000})
        with pytest.raises(Aborted):
            writer.commit()
    assert list(other.blobs()) == []
    assert other.ingest("w").offset == len(HELLO)


def test_waiting_asks_again_until_the_ref_is_free(store):
    with store.writer("w"), pytest.raises(RefLocked) as caught:
        store.writer("w", wait=timedelta(milliseconds=1))
    assert caught.value.holder
    assert f"{os.getpid()}" in caught.value.holder
