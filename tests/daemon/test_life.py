"""A daemon begins, answers and ends; and of two that want one path, one gets it."""

import json
import os
import resource
import signal
import socket
import stat
import sys

import grpc
import pytest

from lading.content.catalog import OWNER
from lading.daemon.listeners import PATH_LIMIT
from lading.metadata import Metadata
from lading.stores.local.store import LocalStore
from tests.daemon.conftest import SECONDS

pytestmark = pytest.mark.slow


@pytest.fixture(params=[1, 2])
def processes(request):
    return request.param


def test_a_daemon_that_says_it_listens_answers(serve, connect, path):
    daemon = serve()
    assert daemon.addresses() == [f"unix:{path}"]
    client = connect(f"unix:{path}")
    assert client.health() == "SERVING"
    digest = client.add("r", b"bytes")
    assert client.size(digest) == 5


def test_a_daemon_that_is_stopped_exits_with_0_and_leaves_no_socket(serve, path):
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = serve()
        daemon.addresses()
        code, said = daemon.stopped(number)
        assert code == 0
        assert "message=stopped" in said
        assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_daemon_may_have_more_clients_than_a_shell_allows_files(serve):
    def few():
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))

    daemon = serve(preexec_fn=few)
    daemon.addresses()
    allowed, most = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    assert allowed == min(most, 65_536)


def test_a_hang_up_stops_nothing(serve, connect):
    daemon = serve()
    (address,) = daemon.addresses()
    daemon.send(signal.SIGHUP)
    assert connect(address).health() == "SERVING"
    code, _ = daemon.stopped()
    assert code == 0


def test_only_this_user_may_connect(serve, path):
    daemon = serve(umask=0)
    daemon.addresses()
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_second_daemon_is_refused_with_a_sentence_and_the_first_goes_on(serve, connect, path):
    first = serve()
    (address,) = first.addresses()
    code, said = serve().ended()
    assert code == 7
    assert said == (
        f"lading: {path}: process {first.process.pid} listens there; stop it, or listen "
        "somewhere else\n"
    )
    assert connect(address).health() == "SERVING"


def test_the_next_daemon_takes_over_what_a_killed_one_has_left(serve, connect, path):
    killed = serve()
    killed.addresses()
    killed.stopped(signal.SIGKILL)
    assert path.is_socket()
    (address,) = serve().addresses()
    assert connect(address).health() == "SERVING"


def test_a_file_in_the_place_of_the_socket_stays(serve, path):
    path.parent.mkdir()
    path.write_bytes(b"precious")
    code, said = serve().ended()
    assert code == 1
    assert "is no socket, and stays as it is" in said
    assert path.read_bytes() == b"precious"


def test_a_stranger_on_the_path_stays(serve, path):
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(os.fspath(path))
        stranger.listen()
        code, said = serve().ended()
    assert code == 7
    assert "another program listens there" in said
    assert path.is_socket()


def test_two_daemons_on_one_root_see_one_store(serve, connect, folder):
    clients = []
    for name in ("a", "b"):
        (address,) = serve(listen=[f"unix://{folder}/{name}.sock"]).addresses()
        clients.append(connect(address))
    first, second = clients
    digest = first.add("r", b"bytes")
    assert second.size(digest) == 5
    # The ref is one of the root, whichever daemon holds it.
    stream = first.write("held", b"abc")
    with pytest.raises(grpc.RpcError) as refused:
        second.write("held")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    stream.close()
    list(stream.answers)
    assert second.offset("held") == 3


def test_each_listener_has_its_namespace(serve, connect, folder):
    one, pinned, port = serve(
        listen=[
            f"unix://{folder}/a.sock",
            f"unix://{folder}/b.sock,namespace=images",
            "tcp://127.0.0.1:0,insecure",
        ]
    ).addresses()
    assert port.startswith("127.0.0.1:")
    assert not port.endswith(":0")
    digest = connect(pinned, namespace=None).add("r", b"bytes")
    assert connect(one, namespace="images").size(digest) == 5
    assert connect(port, namespace="images").size(digest) == 5
    with pytest.raises(grpc.RpcError) as refused:
        connect(one, namespace="other").size(digest)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_port_that_is_taken_is_refused(serve, folder):
    _, port = serve(listen=[f"unix://{folder}/a.sock", "tcp://127.0.0.1:0,insecure"]).addresses()
    code, said = serve(listen=[f"unix://{folder}/b.sock", f"tcp://{port},insecure"]).ended()
    assert code == 7
    assert f"cannot listen on {port}" in said
    # What it had begun is undone.
    assert not (folder / "b.sock").exists()


def test_what_the_root_had_before_is_adopted_and_told(serve, connect, root):
    digest = LocalStore(root).add(b"from before").digest
    daemon = serve()
    (address,) = daemon.addresses()
    assert connect(address).size(digest) == 11
    _, said = daemon.stopped()
    assert "message=adopted namespace=default count=1 lease=adopted" in said


def test_a_root_that_is_a_file_is_a_sentence(serve, root, path):
    root.write_bytes(b"a file")
    code, said = serve().ended()
    assert code == 1
    assert said == f"lading: {root}: not a directory; name the folder of a store\n"
    assert list(path.parent.iterdir()) == []


def test_the_root_of_a_containerd_is_refused_and_nothing_is_made_in_it(serve, folder, root):
    state = folder / "io.containerd.metadata.v1.bolt"
    state.mkdir()
    (state / "meta.db").write_bytes(b"")
    code, said = serve().ended()
    assert code == 4
    assert f"lading: nothing can be served: {root}: not writing here" in said
    assert not root.exists()


def test_the_namespace_of_a_pinned_listener_is_left_to_its_owner(serve, folder, root):
    daemon = serve(listen=[f"unix://{folder}/a.sock,namespace=k8s"])
    daemon.addresses()
    daemon.stopped()
    with Metadata(f"sqlite:///{root}/metadata.db", content=LocalStore(root)) as metadata:
        (record,) = metadata.namespaces()
    assert record.name == "k8s"
    assert OWNER in record.labels


def test_files_are_handed_over_beside_a_socket_by_this_user_alone(serve, path):
    daemon = serve(umask=0)
    daemon.addresses()
    beside = path.with_name(f"{path.name}.files")
    assert stat.S_IMODE(beside.lstat().st_mode) == 0o600
    assert beside.is_socket()
    daemon.stopped(signal.SIGKILL)
    daemon = serve()
    daemon.addresses()
    daemon.stopped()
    assert list(path.parent.iterdir()) == []


def test_what_lies_where_files_are_handed_over_stays_and_is_told(serve, connect, path):
    path.parent.mkdir()
    beside = path.with_name(f"{path.name}.files")
    beside.write_bytes(b"precious")
    daemon = serve()
    (address,) = daemon.addresses()
    client = connect(address)
    assert client.size(client.add("r", b"bytes")) == 5
    _, said = daemon.stopped()
    assert 'message="no files are handed over"' in said
    assert beside.read_bytes() == b"precious"


def test_a_socket_whose_path_is_as_long_as_can_be_works(serve, connect, folder):
    path = folder / ("x" * (PATH_LIMIT - len(f"{folder}/")))
    daemon = serve(listen=[f"unix://{path}"])
    (address,) = daemon.addresses()
    assert connect(address).health() == "SERVING"
    _, said = daemon.stopped()
    assert 'message="no files are handed over"' in said
    assert not path.exists()


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(serve, environment, folder):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(os.fspath(folder / "notify"))
        supervisor.settimeout(SECONDS)
        told = environment | {"NOTIFY_SOCKET": os.fspath(folder / "notify")}
        daemon = serve(env=told)
        state, status = supervisor.recv(4096).decode().splitlines()
        assert state == "READY=1"
        (address,) = daemon.addresses()
        assert status == f"STATUS=listening on {address.replace('unix:', 'unix://')}"
        daemon.send(signal.SIGTERM)
        assert supervisor.recv(4096) == b"STOPPING=1"


def test_the_log_tells_what_changes_and_hides_what_only_reads(serve, connect):
    daemon = serve("--log-format", "json")
    (address,) = daemon.addresses()
    client = connect(address)
    digest = client.add("a ref\nlevel=error", b"bytes")
    client.size(digest)
    _, said = daemon.stopped()
    lines = [json.loads(line) for line in said.splitlines()]
    (call,) = (line for line in lines if line["message"] == "call")
    assert call["method"].endswith("Content/Write")
    assert (call["level"], call["namespace"], call["code"]) == ("info", "default", "OK")
    assert (call["ref"], call["digest"], call["bytes"]) == ("a ref\nlevel=error", digest, 5)
    messages = [line["message"] for line in lines]
    assert messages == ["ready", "call", "stopping", "stopped"]


def test_what_only_reads_is_told_to_who_asks_for_it(serve, connect):
    daemon = serve("--log-level", "debug")
    (address,) = daemon.addresses()
    client = connect(address)
    client.size(client.add("r", b"bytes"))
    _, said = daemon.stopped()
    assert "method=containerd.services.content.v1.Content/Info namespace=default code=OK" in said


def test_settings_may_come_from_a_file_and_from_the_environment(launch, environment, folder):
    (folder / "lading.toml").write_text(f'root = "{folder}/root"\nlog-format = "json"\n')
    daemon = launch(
        "--config",
        "lading.toml",
        env=environment | {"LADING_LISTEN": f"unix://{folder}/a.sock"},
    )
    assert daemon.addresses() == [f"unix:{folder}/a.sock"]
    _, said = daemon.stopped()
    assert json.loads(said.splitlines()[0])["root"] == f"{folder}/root"
