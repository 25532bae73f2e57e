"""Several processes are one daemon: whichever of them a client comes to, it finds the same."""

import os
import re
import signal
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from lading.content.catalog import OWNER
from lading.daemon.children import DEATHS_LIMIT
from lading.model.digest import Digest
from lading.rpc import file_socket
from lading.rpc.protos import (
    content_pb2,
    events_pb2,
    files_pb2,
    happenings_pb2,
    introspection_pb2,
    namespaces_pb2,
)
from lading.rpc.wire import NAMESPACE
from tests.daemon.conftest import SECONDS, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds children in /proc"),
]

ASKED_ONLY = [
    part
    for each in ("startup=24h", "poll=24h", "deletions=1000000", "mutations=0")
    for part in ("--collection", each)
]
CREATED = happenings_pb2.ContentCreate


@pytest.fixture
def processes():
    return 2


@pytest.fixture
def clients(serve, connect):
    """Start a daemon, and connect to it so often; neighbours are with different children."""

    def several(count, *words, **settings):
        daemon = serve(*words, **settings)
        (address,) = daemon.addresses()
        found = [connect(address) for _ in range(count)]
        for client in found:
            assert client.health() == "SERVING"
        return daemon, found

    return several


def asked(client, path, request, answer, *, namespace="default"):
    """Call a method of one answer."""
    call = client.channel.unary_unary(path, type(request).SerializeToString, answer.FromString)
    return call(request, metadata=[(NAMESPACE, namespace)], timeout=SECONDS)


def gone(client, digest):
    """Whether a blob is not there any more."""
    request = content_pb2.ListContentRequest(filters=[f"digest=={digest}"])
    call = client.channel.unary_stream(
        "/containerd.services.content.v1.Content/List",
        content_pb2.ListContentRequest.SerializeToString,
        content_pb2.ListContentResponse.FromString,
    )
    pages = call(request, metadata=[(NAMESPACE, "default")], timeout=SECONDS)
    return not any(page.info for page in pages)


def unkept(client, data):
    """Store a blob that nothing keeps."""
    stream = client.write(f"ref of {data}")
    digest = stream.send(action=content_pb2.COMMIT, ref=f"ref of {data}", data=data).digest
    stream.close()
    list(stream.answers)
    return digest


def delete(client, digest):
    request = content_pb2.DeleteContentRequest(digest=digest)
    asked(client, "/containerd.services.content.v1.Content/Delete", request, Empty)


def subscribed(client, *filters):
    """Subscribe, and wait until nothing is missed any more."""
    call = client.channel.unary_stream(
        "/containerd.services.events.v1.Events/Subscribe",
        events_pb2.SubscribeRequest.SerializeToString,
        events_pb2.Envelope.FromString,
    )
    heard = call(events_pb2.SubscribeRequest(filters=filters), timeout=SECONDS)
    heard.initial_metadata()
    return heard


def socket_of(client):
    """Where files are handed over to the child that a client is with."""
    path = "/lading.services.files.v1.Files/Socket"
    return asked(client, path, files_pb2.SocketRequest(), files_pb2.SocketResponse).path


def number_of(client):
    """The number of the child that a client is with."""
    return int(socket_of(client).endswith(".1"))


def files_of(process):
    """How many files a process has open."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def is_alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_clients_go_to_each_child_in_turn(clients):
    daemon, found = clients(4, "--log-level", "debug")
    for number, client in enumerate(found):
        client.size(client.add("r", f"bytes {number}".encode()))
    _, said = daemon.stopped()
    assert re.findall(r"Content/Info .* process=(\d)", said).count("0") == 2
    assert re.findall(r"Content/Info .* process=(\d)", said).count("1") == 2


def test_a_client_goes_to_the_child_that_has_the_fewest(clients, connect, path):
    daemon, found = clients(4)
    left = daemon.children()[number_of(found[0])]
    before = files_of(left)
    for client in (found[0], found[2]):
        client.channel.close()
    until(lambda: files_of(left) <= before - 2)
    newcomers = [connect(f"unix:{path}") for _ in range(2)]
    assert {number_of(each) for each in newcomers} == {number_of(found[1]) ^ 1}


def test_the_parent_is_small_and_has_one_thread(clients):
    daemon, _ = clients(1)
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert re.search(r"^Threads:\s+1$", status, re.MULTILINE)
    loaded = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert [name for name in ("cygrpc", "_sqlite3", "libsqlite", "_upb") if name in loaded] == []
    assert len(daemon.children()) == 2


def test_clients_are_told_of_the_process_that_was_started(clients):
    daemon, found = clients(2)
    path = "/containerd.services.introspection.v1.Introspection/Server"
    answers = [asked(each, path, Empty(), introspection_pb2.ServerResponse) for each in found]
    assert {answer.pid for answer in answers} == {daemon.process.pid}
    assert len({answer.uuid for answer in answers}) == 1


def test_what_happens_in_any_child_is_heard_in_all_in_its_order(clients):
    _, found = clients(2, *ASKED_ONLY)
    heard = [subscribed(each, 'topic=="/content/create"') for each in found]
    for client in found:
        digests = [client.add("r", f"{id(client)} {number}".encode()) for number in range(50)]
        for each in heard:
            told = [CREATED.FromString(next(each).event.value).digest for _ in digests]
            assert told == digests
    for each in heard:
        each.cancel()


def test_what_one_client_publishes_the_clients_of_other_children_hear(clients):
    _, found = clients(2)
    heard = [subscribed(each, 'topic=="/tasks/start"') for each in found]
    for client in found:
        request = events_pb2.PublishRequest(topic="/tasks/start")
        request.event.type_url = "containerd.events.TaskStart"
        asked(client, "/containerd.services.events.v1.Events/Publish", request, Empty)
        assert {next(each).topic for each in heard} == {"/tasks/start"}
    for each in heard:
        each.cancel()


def test_a_subscriber_hears_nothing_of_what_was_before_it(clients):
    _, found = clients(2, *ASKED_ONLY)
    for number, client in enumerate(found):
        client.add("r", f"before {number}".encode())  # which whoever counts is told of later
    heard = [subscribed(each) for each in found]
    digest = found[0].add("r", b"after")
    assert {CREATED.FromString(next(each).event.value).digest for each in heard} == {digest}
    for each in heard:
        each.cancel()


def test_a_deletion_in_any_child_makes_a_collection_due(clients):
    usual = [part for each in ("startup=24h", "poll=24h") for part in ("--collection", each)]
    _, found = clients(2, *usual)
    for number, client in enumerate(found):
        loose = unkept(client, f"loose {number}".encode())
        delete(client, client.add("r", f"deleted {number}".encode()))
        until(lambda client=client, loose=loose: gone(client, loose))


def test_changes_in_all_children_count_together(clients):
    words = ("startup=24h", "poll=24h", "deletions=1000000", "mutations=20")
    usual = [part for each in words for part in ("--collection", each)]
    _, found = clients(2, *usual)
    loose = unkept(found[0], b"loose")
    for number in range(18):
        found[number % 2].add("r", f"a change {number}".encode())
    assert not gone(found[0], loose)  # which makes 19
    found[1].add("r", b"the last one")
    until(lambda: gone(found[0], loose))


def test_a_ticket_is_good_at_the_socket_of_any_child(clients):
    _, found = clients(2)
    digest = found[0].add("r", b"bytes")
    paths = [socket_of(each) for each in found]
    assert len(set(paths)) == 2
    request = files_pb2.OpenRequest(digest=digest)
    for client in found:
        for path in paths:
            answer = asked(
                client, "/lading.services.files.v1.Files/Open", request, files_pb2.OpenResponse
            )
            with file_socket.fetch(path, answer.ticket) as file:
                assert file.read() == b"bytes"


def test_a_file_that_was_left_with_one_child_is_named_to_another(clients, folder):
    _, found = clients(2)
    (folder / "file").write_bytes(b"skipped, taken")
    for number, path in enumerate(map(socket_of, found)):
        for client in found:
            ref = f"{number} {id(client)}"
            with (folder / "file").open("rb", buffering=0) as file:
                file.seek(9)
                ticket = file_socket.leave(path, file.fileno())
            stream = client.write(ref, lading_ticket=ticket, lading_size=5)
            assert client.offset(ref) == 5
            answer = stream.send(action=content_pb2.COMMIT, ref=ref, offset=5)
            assert answer.digest == Digest.of(b"taken")
            stream.close()
            list(stream.answers)
            delete(client, answer.digest)


def test_a_child_that_is_killed_is_told_and_born_again_and_the_others_go_on(clients):
    daemon, found = clients(2)
    streams = [client.write(f"r{number}", b"abc") for number, client in enumerate(found)]
    killed, _ = daemon.children()
    os.kill(killed, signal.SIGKILL)
    until(lambda: any("a process serves again" in line for line in daemon.said()))
    assert len(daemon.children()) == 2
    went_on = []
    for number, stream in enumerate(streams):
        try:
            fields = {"action": content_pb2.WRITE, "ref": f"r{number}", "offset": 3}
            went_on.append(stream.send(data=b"def", **fields).offset)
        except grpc.RpcError:
            assert found[number].offset(f"r{number}") == 3  # by another child, or the new one
    assert went_on == [6]
    assert any(
        f'message="a process has died" process=0 pid={killed} signal=9' in line
        or f'message="a process has died" process=1 pid={killed} signal=9' in line
        for line in daemon.said()
    )
    for stream in streams:
        stream.answers.cancel()
    assert daemon.stopped()[0] == 0


def test_a_child_that_dies_again_and_again_ends_the_daemon(clients, path):
    daemon, _ = clients(1)
    staying, dying = daemon.children()
    for _ in range(DEATHS_LIMIT):
        os.kill(dying, signal.SIGKILL)
        before = dying
        found = until(
            lambda before=before: (
                daemon.process.poll() is not None
                or [each for each in daemon.children() if each not in {staying, before}]
            )
        )
        dying = found[0] if isinstance(found, list) else 0
    code, said = daemon.ended()
    assert code == 1
    assert f"lading: process 1 died {DEATHS_LIMIT} times within 60 seconds" in said
    assert said.count('message="a process has died"') == DEATHS_LIMIT
    assert not is_alive(staying)
    assert list(path.parent.iterdir()) == []


def test_a_child_that_cannot_open_again_says_why_and_ends_the_daemon(clients, root, folder):
    daemon, _ = clients(1)
    root.rename(folder / "moved")
    root.write_bytes(b"a file")
    os.kill(daemon.children()[1], signal.SIGKILL)
    code, said = daemon.ended()
    assert code == 1
    assert f"lading: process 1 died {DEATHS_LIMIT} times within 60 seconds" in said
    assert f'code=1 error="{root}: not a directory' in said


def test_what_is_not_installed_is_said_as_by_one_process(serve, environment, folder):
    (folder / "hidden" / "grpc").mkdir(parents=True)
    missing = 'raise ModuleNotFoundError("hidden", name="grpc")\n'
    (folder / "hidden" / "grpc" / "__init__.py").write_text(missing)
    path = os.pathsep.join((str(folder / "hidden"), environment["PYTHONPATH"]))
    code, said = serve(env=environment | {"PYTHONPATH": path}).ended()
    assert code == 1
    assert said == (
        "lading: serve needs packages that are not installed; "
        "run: pip install 'lading[metadata,rpc]'\n"
    )


def test_children_end_with_a_parent_that_is_killed_and_the_next_daemon_takes_over(
    clients, serve, connect
):
    daemon, found = clients(2)
    stream = found[0].write("r", b"abc")
    children = daemon.children()
    daemon.stopped(signal.SIGKILL)
    until(lambda: not any(map(is_alive, children)))
    with pytest.raises(grpc.RpcError):
        next(stream.answers)
    (address,) = serve().addresses()
    assert connect(address).offset("r") == 3


def test_a_second_signal_ends_the_children_too(clients):
    daemon, found = clients(2, "--grace", "1h")
    watching = found[0].watch()
    assert next(watching) == "SERVING"
    found[0].write("r", b"abc")
    children = daemon.children()
    daemon.send(signal.SIGTERM)
    assert next(watching) == "NOT_SERVING"
    code, _ = daemon.stopped(signal.SIGTERM)
    assert code == -signal.SIGTERM
    until(lambda: not any(map(is_alive, children)))


def test_a_signal_that_all_of_them_get_is_the_parents_to_answer(clients):
    daemon, found = clients(2, "--grace", "1h")
    for child in daemon.children():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(child, number)
    stream = found[1].write("r", b"abc")
    watching = found[1].watch()
    assert next(watching) == "SERVING"
    for process in (daemon.process.pid, *daemon.children()):
        os.kill(process, signal.SIGTERM)
    assert next(watching) == "NOT_SERVING"
    watching.cancel()
    # The grace is the call's, in whichever child it is.
    assert stream.send(action=content_pb2.COMMIT, ref="r", offset=3).offset == 3
    stream.close()
    list(stream.answers)
    code, said = daemon.ended()
    assert code == 0
    assert "Traceback" not in said
    assert "has died" not in said


def test_a_namespace_that_was_handed_back_is_not_taken_again_by_a_new_child(serve, connect, folder):
    where = [f"unix://{folder}/pinned.sock,namespace=k8s", f"unix://{folder}/a.sock"]
    daemon = serve(listen=where)
    _, address = daemon.addresses()
    path = "/containerd.services.namespaces.v1.Namespaces/Update"
    request = namespaces_pb2.UpdateNamespaceRequest(
        namespace=namespaces_pb2.Namespace(name="k8s", labels={OWNER: ""}),
        update_mask={"paths": [f"labels.{OWNER}"]},
    )
    asked(connect(address), path, request, namespaces_pb2.UpdateNamespaceResponse)
    for child in daemon.children():
        os.kill(child, signal.SIGKILL)
    again = 'message="a process serves again"'
    until(lambda: sum(again in line for line in daemon.said()) == 2)
    path = "/containerd.services.namespaces.v1.Namespaces/Get"
    request = namespaces_pb2.GetNamespaceRequest(name="k8s")
    found = asked(connect(address), path, request, namespaces_pb2.GetNamespaceResponse)
    assert OWNER not in found.namespace.labels


def test_a_child_that_stands_still_does_not_stop_the_others(clients):
    daemon, found = clients(2, *ASKED_ONLY)
    standing, going = sorted(found, key=number_of)
    heard = [subscribed(each, 'topic=="/content/create"') for each in (standing, going)]
    child, _ = daemon.children()
    os.kill(child, signal.SIGSTOP)
    try:
        digests = [going.add("r", f"bytes {number}".encode()) for number in range(300)]
        told = [CREATED.FromString(next(heard[1]).event.value).digest for _ in digests]
        assert told == digests
    finally:
        os.kill(child, signal.SIGCONT)
    assert [CREATED.FromString(next(heard[0]).event.value).digest for _ in digests] == digests
    for each in heard:
        each.cancel()
