"""Files that are handed over, and what happens where they cannot be."""

import io
import os
import socket
import stat

import pytest

from lading.content import transfer
from lading.errors import NotFound, SizeMismatch, Unavailable
from lading.model.digest import Digest
from lading.rpc import file_socket
from lading.rpc.client import RemoteStore
from lading.rpc.client.handing import SMALLEST, Handing
from lading.rpc.tickets import LIMIT, SECONDS, Tickets
from tests.conformance.samples import HELLO, sample
from tests.support.served import served

SIZE = 3 * SMALLEST
DATA = sample(SIZE)
DIGEST = Digest.of(DATA)


def path_of(store):
    return store._handing._socket()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        yield file


@pytest.fixture
def handed(monkeypatch):
    """How often a file was handed over."""
    count = []
    leave = file_socket.leave
    monkeypatch.setattr(file_socket, "leave", lambda *given: count.append(1) or leave(*given))
    return count


# Reading


def test_a_blob_is_given_as_the_file_it_is(store, service):
    digest = store.add(DATA).digest
    with store.open(digest) as file:
        there = service.catalog.content.path(digest).stat()
        assert os.fstat(file.fileno())[:3] == there[:3]
        assert file.read() == DATA


def test_a_file_that_was_given_cannot_be_written(store):
    digest = store.add(DATA).digest
    with store.open(digest) as file, pytest.raises(OSError, match="Bad file descriptor"):
        os.write(file.fileno(), b"x")


def test_a_file_that_was_given_is_not_for_a_child(store):
    with store.open(store.add(DATA).digest) as file:
        assert not os.get_inheritable(file.fileno())


def test_a_blob_of_another_namespace_is_not_given(store, service):
    digest = service.catalog.namespace("other").add(DATA).digest
    with pytest.raises(NotFound):
        store.open(digest)


# Writing


def test_a_large_file_is_handed_over_and_left_where_it_was_read_to(store, file, handed):
    file.read(100)
    with store.writer("w") as writer:
        assert writer.copy_from(file, limit=SMALLEST) == SMALLEST
        assert (writer.offset, file.tell()) == (SMALLEST, 100 + SMALLEST)
        assert file.read(10) == DATA[100 + SMALLEST :][:10]
        assert writer.copy_from(file) == SIZE - SMALLEST - 110
        assert file.read() == b""
        whole = DATA[100 : 100 + SMALLEST] + DATA[110 + SMALLEST :]
        assert writer.commit().digest == Digest.of(whole)
    assert len(handed) == 2


def test_a_file_goes_in_steps(store, file, handed, monkeypatch):
    monkeypatch.setattr(Handing, "step", 100_000)
    assert transfer.ingest(store, "w", file).digest == DIGEST
    assert len(handed) == 1


@pytest.mark.parametrize("kind", ["small", "memory", "pipe"])
def test_what_is_no_large_file_goes_through_the_stream(store, file, handed, kind, tmp_path):
    match kind:
        case "small":
            (tmp_path / "small").write_bytes(HELLO)
            source = (tmp_path / "small").open("rb")
        case "memory":
            source = io.BytesIO(HELLO)
        case "pipe":
            end, start = os.pipe()
            os.write(start, HELLO)
            os.close(start)
            source = os.fdopen(end, "rb")
    with source, store.writer("w") as writer:
        assert writer.copy_from(source) == len(HELLO)
        assert writer.commit().digest == Digest.of(HELLO)
    assert handed == []


def test_a_file_past_the_total_is_refused_as_bytes_are(store, file):
    with store.writer("w", total=SMALLEST) as writer:
        with pytest.raises(SizeMismatch):
            writer.copy_from(file)
        assert writer.offset <= SMALLEST


def test_a_file_that_shrinks_gives_what_it_has(store, tmp_path, monkeypatch):
    monkeypatch.setattr(Handing, "step", 100_000)
    path = tmp_path / "source"
    path.write_bytes(DATA)
    with path.open("r+b") as file, store.writer("w") as writer:
        ask = writer._ask

        def shrinking(*given, **more):
            os.truncate(path, 150_000)
            return ask(*given, **more)

        monkeypatch.setattr(writer, "_ask", shrinking)
        assert writer.copy_from(file) == 150_000
        assert writer.offset == 150_000


# Where it cannot be


@pytest.mark.parametrize("why", ["none", "gone", "deaf", "another"])
def test_without_the_socket_all_goes_through_the_streams(catalog, tmp_path, file, why):
    with served(catalog, catalog.events, tmp_path / "s", hands_over=why != "none") as address:
        store = RemoteStore(address)
        name = tmp_path / "s.files"
        match why:
            case "gone":
                name.unlink()
            case "deaf":
                name.unlink()
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(name))
                listener.close()
            case "another":
                path_of(store)
                with served(catalog, catalog.events, tmp_path / "another"):
                    store._handing._path = f"{tmp_path}/another.files"
                    assert transfer.ingest(store, "w", file).digest == DIGEST
                    assert not path_of(store)
        assert transfer.ingest(store, "w2", io.BytesIO(DATA)).digest == DIGEST
        file.seek(0)
        assert transfer.ingest(store, "w3", file).digest == DIGEST
        with store.open(DIGEST) as blob:
            blob.seek(1000)
            assert blob.read() == DATA[1000:]
        store.close()


def test_only_regular_files_that_can_be_read_are_taken(store, tmp_path):
    path = path_of(store)
    end, start = os.pipe()
    writable = os.open(tmp_path / "w", os.O_WRONLY | os.O_CREAT)
    folder = os.open(tmp_path, os.O_RDONLY)
    named = os.open(tmp_path / "w", os.O_PATH)
    for descriptor in (end, writable, folder, named):
        with pytest.raises(NotFound):
            file_socket.leave(path, descriptor)
    for descriptor in (end, start, writable, folder, named):
        os.close(descriptor)


@pytest.mark.parametrize(
    "said", [b"", b"take", b"take" + b"0" * 32, b"left", b"\xff" * 36, b"what"]
)
def test_nonsense_on_the_socket_is_no_harm(store, said, file):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path_of(store))
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(100) in {b"none", b""}
    assert transfer.ingest(store, "w", file).digest == DIGEST


def test_the_socket_is_its_owners_alone_and_goes_with_the_daemon(catalog, tmp_path):
    with served(catalog, catalog.events, tmp_path / "s"):
        mode = (tmp_path / "s.files").stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert not (tmp_path / "s.files").exists()


# Tickets


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_ticket_is_good_once():
    tickets, file = Tickets(), io.BytesIO()
    ticket = tickets.given(file)
    assert len(ticket) == 32
    assert tickets.taken(ticket) is file
    with pytest.raises(NotFound) as caught:
        tickets.taken(ticket)
    assert caught.value.kind == "ticket"


def test_a_ticket_expires_and_its_file_is_closed():
    clock = Clock()
    tickets, file = Tickets(clock), io.BytesIO()
    ticket = tickets.given(file)
    clock.now = SECONDS - 0.1
    assert len(tickets) == 1
    clock.now = SECONDS
    with pytest.raises(NotFound):
        tickets.taken(ticket)
    assert file.closed
    assert len(tickets) == 0


def test_so_many_tickets_wait_and_no_more():
    clock = Clock()
    tickets = Tickets(clock)
    for _ in range(LIMIT):
        tickets.given(io.BytesIO())
    refused = io.BytesIO()
    with pytest.raises(Unavailable):
        tickets.given(refused)
    assert refused.closed
    clock.now = SECONDS
    tickets.given(io.BytesIO())
    assert len(tickets) == 1
    tickets.close()
    assert len(tickets) == 0
