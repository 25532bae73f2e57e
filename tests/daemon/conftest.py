"""Daemons as users run them: processes of `lading serve`, ended by their id."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import lading
from lading.rpc.protos import content_pb2
from lading.rpc.wire import NAMESPACE

COMMAND = [sys.executable, "-m", "lading.cli", "serve"]
SOURCE = str(Path(lading.__file__).parents[1])
SECONDS = 60
"""How long a test waits for what takes a moment, before it fails."""
KEPT = {"containerd.io/gc.root": "yes"}
"""Labels of a blob that is to stay: a daemon collects whatever else there is."""
_CONTENT = "/containerd.services.content.v1.Content"
_AT_ONCE = (
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
)


@pytest.fixture
def folder():
    """A folder with a short name, since the path of a socket has to be short."""
    made = Path(tempfile.mkdtemp(prefix="lading-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def root(folder):
    return folder / "root"


@pytest.fixture
def path(folder):
    """Where daemons listen that are not told otherwise."""
    return folder / "s" / "lading.sock"


def until(condition):
    """Look again and again, as the other processes go on, until it is so; give what it gave."""
    deadline, pause = time.monotonic() + SECONDS, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline
        pause.wait(0.005)
    return found


class Running:
    """A daemon in a process of its own."""

    def __init__(self, process):
        self.process = process
        self._lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        # Somebody has to go on reading, or the pipe fills up.
        self._lines.extend(self.process.stderr)

    def said(self):
        """What it has said so far, line by line."""
        return [line.decode() for line in list(self._lines)]

    def children(self):
        """The processes of its children."""
        of = self.process.pid
        return [int(each) for each in Path(f"/proc/{of}/task/{of}/children").read_text().split()]

    def join(self):
        """Wait until all that it said is read, when it has ended."""
        self._reader.join()

    def addresses(self):
        """Wait until it is ready; where it listens, as gRPC writes it."""
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on "), (line, self.ended())
        texts = line.removeprefix("listening on ").strip().split(", ")
        return [text.replace("unix://", "unix:").removeprefix("tcp://") for text in texts]

    def send(self, number):
        self.process.send_signal(number)

    def ended(self):
        """Wait for its end; its exit code, and what it said on stderr."""
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code, b"".join(self._lines).decode()

    def stopped(self, number=signal.SIGTERM):
        """End it by a signal."""
        self.send(number)
        return self.ended()


@pytest.fixture
def processes():
    """How many processes a daemon has; modules that hold for several ask for both."""
    return 1


@pytest.fixture
def environment(own_environment, processes):
    several = {"LADING_PROCESSES": str(processes)} if processes > 1 else {}
    return own_environment | {"PYTHONPATH": SOURCE} | several


@pytest.fixture
def launch(environment, folder):
    """Start `lading serve` with these words; what still runs when the test ends is killed."""
    with ExitStack() as stack:

        def launch_it(*words, **settings):
            settings = {
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": environment,
                "cwd": folder,
            } | settings
            line = [*COMMAND, *(os.fspath(word) for word in words)]
            process = stack.enter_context(subprocess.Popen(line, **settings))
            running = Running(process)
            stack.callback(running.join)  # nobody may read from a pipe while it is closed
            stack.callback(process.kill)
            return running

        yield launch_it


@pytest.fixture
def serve(launch, root, path):
    """Start a daemon on the test's own root and path."""

    def serve_it(*words, listen=None, **settings):
        where = [f"unix://{path}"] if listen is None else listen
        flags = [part for each in where for part in ("--listen", each)]
        return launch("--root", root, *flags, *words, **settings)

    return serve_it


class Stream:
    """A Write that goes on."""

    def __init__(self, channel, namespace):
        self._requests = queue.SimpleQueue()
        call = channel.stream_stream(
            f"{_CONTENT}/Write",
            content_pb2.WriteContentRequest.SerializeToString,
            content_pb2.WriteContentResponse.FromString,
        )
        self.answers = call(
            iter(self._requests.get, None), metadata=[(NAMESPACE, namespace)], timeout=SECONDS
        )

    def send(self, **fields):
        """Send a request, and give its answer."""
        self._requests.put(content_pb2.WriteContentRequest(**fields))
        return next(self.answers)

    def close(self):
        self._requests.put(None)


class Client:
    """What a client does with a daemon, in plain calls."""

    def __init__(self, channel, namespace="default"):
        self.channel, self._namespace = channel, namespace

    def health(self, service=""):
        stub = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service=service)
        answer = stub.Check(request, timeout=SECONDS, wait_for_ready=True)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def watch(self):
        """What `health` says, from now on; the next ones come as they change."""
        return _Watch(self.channel)

    def now(self, ref):
        """Ask of a ref, and do not wait for a daemon that is not there."""
        request = content_pb2.StatusRequest(ref=ref)
        return self._unary("Status", request, content_pb2.StatusResponse, wait=False)

    def write(self, ref, data=b"", **fields):
        """Begin to write to a ref; the stream, after its first answer."""
        stream = Stream(self.channel, self._namespace)
        stream.send(action=content_pb2.WRITE, ref=ref, data=data, **fields)
        return stream

    def offset(self, ref):
        """How much a ref holds, by Status."""
        request = content_pb2.StatusRequest(ref=ref)
        return self._unary("Status", request, content_pb2.StatusResponse).status.offset

    def add(self, ref, data):
        """Store a blob; its digest."""
        stream = Stream(self.channel, self._namespace)
        fields = {"ref": ref, "data": data, "labels": KEPT}
        digest = stream.send(action=content_pb2.COMMIT, **fields).digest
        stream.close()
        list(stream.answers)
        return digest

    def size(self, digest):
        """The size of a blob, by Info."""
        request = content_pb2.InfoRequest(digest=digest)
        return self._unary("Info", request, content_pb2.InfoResponse).info.size

    def _unary(self, name, request, answer, *, wait=True):
        call = self.channel.unary_unary(
            f"{_CONTENT}/{name}", type(request).SerializeToString, answer.FromString
        )
        headers = [(NAMESPACE, self._namespace)] if self._namespace else []
        return call(request, metadata=headers, timeout=SECONDS, wait_for_ready=wait)


class _Watch:
    """The states of a daemon, one after the other."""

    def __init__(self, channel):
        request = health_pb2.HealthCheckRequest()
        self._answers = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=SECONDS)

    def __next__(self):
        return health_pb2.HealthCheckResponse.ServingStatus.Name(next(self._answers).status)

    def cancel(self):
        self._answers.cancel()


@pytest.fixture
def connect():
    """Connect to an address."""
    with ExitStack() as stack:

        def connect_to(address, *, namespace="default", credentials=None):
            channel = (
                grpc.insecure_channel(address, _AT_ONCE)
                if credentials is None
                else grpc.secure_channel(address, credentials, _AT_ONCE)
            )
            return Client(stack.enter_context(channel), namespace)

        yield connect_to
