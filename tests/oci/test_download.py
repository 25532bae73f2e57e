"""One blob, from one origin or several, whatever they do wrong."""

import random
from contextlib import contextmanager
from datetime import timedelta

import pytest

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    NotFound,
    PermissionDenied,
    RefLocked,
    ResourceExhausted,
    TooManyRequests,
)
from lading.model.digest import Digest
from lading.oci.fetching.download import fetch
from lading.oci.progress import Begun, Done, Found, Moved, Restarted, Waiting
from lading.oci.transport.http import Http
from lading.stores.local.store import LocalStore
from tests.oci.blob_at import At, Pauses, descriptor_of, patience_for
from tests.support.lies import (
    HONEST,
    Always,
    Chunked,
    Cut,
    FromStart,
    Header,
    IgnoresRange,
    Lengthless,
    Longer,
    Multipart,
    SaysLength,
    Shorter,
    Stall,
    Status,
    Trickle,
    WrongBytes,
    Zipped,
    elsewhere,
)
from tests.support.lying import lying

DATA = random.Random(5).randbytes(300_001)  # noqa: S311 - the same each time
BLOB = descriptor_of(DATA)
REF = f"layer-{BLOB.digest}"
FILE = "files blob"


class Scene:
    """A store, registries that hold the blob, and what was told of a fetch."""

    def __init__(self, store: LocalStore, http: Http, pauses: Pauses) -> None:
        self.store, self.http, self.pauses = store, http, pauses
        self.steps: list[object] = []

    def fetch(self, *servers, blob=BLOB, ref=REF, **options):
        origins = [
            At(self.http, server.url_of("blob"), blob.size, name=f"server {number}")
            for number, server in enumerate(servers)
        ]
        patience = options.pop("patience", None) or patience_for(self.pauses)
        return fetch(
            self.store,
            ref,
            blob,
            origins,
            patience=patience,
            progress=self.steps.append,
            **options,
        )

    def begin(self, data: bytes, *, total=BLOB.size, expected=BLOB.digest) -> None:
        with self.store.writer(REF, total=total, expected=expected) as writer:
            writer.write(data)

    def told(self, kind):
        return [step for step in self.steps if isinstance(step, kind)]

    @property
    def ingests(self):
        return [(each.ref, each.offset) for each in self.store.ingests()]


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def http():
    http = Http(patience_for(Pauses(), idle=timedelta(seconds=5)))
    yield http
    http.close()


@pytest.fixture
def scene(tmp_path, http, pauses):
    return Scene(LocalStore(tmp_path / "root"), http, pauses)


@contextmanager
def one(*faults, data=DATA):
    with lying(files={"blob": data}, faults={"files": list(faults)}) as server:
        yield server


def ranges(server):
    return [asked.range for asked in server.asked("GET files")]


def test_a_blob_comes_whole_by_one_request_without_a_range(scene):
    with one() as server:
        blob = scene.fetch(server)
        assert ranges(server) == [None]
    assert (blob.digest, blob.size) == (BLOB.digest, BLOB.size)
    assert scene.store.read(BLOB.digest) == DATA
    assert scene.steps[0] == Begun(BLOB, 0)
    assert scene.steps[-1] == Done(BLOB, len(DATA))


def test_a_blob_that_is_here_is_found_and_nobody_is_asked(scene):
    scene.store.add(DATA)
    with one() as server:
        assert scene.fetch(server).digest == BLOB.digest
        assert ranges(server) == []
    assert scene.steps == [Found(BLOB)]


def test_it_goes_on_where_another_stopped_by_a_closed_range(scene):
    scene.begin(DATA[:1000])
    with one() as server:
        scene.fetch(server)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}"]
    assert scene.steps[0] == Begun(BLOB, 1000)
    assert scene.steps[-1] == Done(BLOB, len(DATA) - 1000)


def test_what_is_all_here_is_committed_without_the_network(scene):
    scene.begin(DATA)
    with one() as server:
        scene.fetch(server)
        assert ranges(server) == []
    assert BLOB.digest in scene.store


def test_the_empty_blob_needs_no_network(scene):
    empty = descriptor_of(b"")
    with one() as server:
        scene.fetch(server, blob=empty)
        assert ranges(server) == []
    assert scene.store.read(empty.digest) == b""


def test_what_the_descriptor_brings_along_needs_no_network(scene):
    blob = descriptor_of(b"{}")._replace(data=b"{}")
    with one() as server:
        scene.fetch(server, blob=blob)
        assert ranges(server) == []
    assert scene.store.read(blob.digest) == b"{}"


def test_other_bytes_in_a_descriptor_are_not_the_blob(scene):
    with one() as server:
        scene.fetch(server, blob=BLOB._replace(data=b"x" * BLOB.size))
        assert ranges(server) == [None]
    assert not scene.told(Restarted)


def test_a_sha512_blob_is_verified_too(scene):
    blob = descriptor_of(DATA, "sha512")
    with one() as server:
        assert scene.fetch(server, blob=blob).digest == blob.digest


def test_an_ingest_of_another_size_is_none_of_this_blob(scene):
    scene.begin(b"x" * 10, total=10, expected=None)
    with one() as server:
        scene.fetch(server)
    assert scene.store.read(BLOB.digest) == DATA


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_is_gone_on_after_at_the_very_byte(scene, reset):
    with one(Cut(0, reset), Cut(1, reset), Cut(70_000, reset), Cut(65_536, reset)) as server:
        scene.fetch(server)
        asked = server.asked("GET files")
    offset = 0
    for each in asked:
        expected = None if offset == 0 else f"bytes={offset}-{len(DATA) - 1}"
        # A reset may take with it what was still under way.
        assert each.range == expected or (reset and each.range)
        offset += each.sent
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


def test_steps_and_pauses_are_told(scene):
    with one(Cut(100_000), Cut(0), Cut(0)) as server:
        scene.fetch(server)
    assert [step.pause_s for step in scene.told(Waiting)] == scene.pauses.told
    assert scene.pauses.told == [0.5, 0.5, 1.0], "doubled only while nothing moves"
    assert all(isinstance(step.offset, int) for step in scene.told(Moved))


def test_five_attempts_without_a_byte_are_the_end_and_what_came_stays(scene):
    with one(Cut(1000), *[Cut(0)] * 5, HONEST) as server:
        with pytest.raises(ConnectionFailed):
            scene.fetch(server)
        assert scene.ingests == [(REF, 1000)]
        assert len(server.log) == 6
        scene.fetch(server)
        assert server.log[-1].range == f"bytes=1000-{len(DATA) - 1}"


def test_a_server_without_ranges_gives_the_whole_which_replaces_the_beginning(scene):
    scene.begin(DATA[:1000])
    with one(IgnoresRange()) as server:
        scene.fetch(server)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}"]
        assert server.log[0].sent == len(DATA)
    assert len(scene.told(Restarted)) == 1
    assert scene.steps[-1] == Done(BLOB, len(DATA))


def test_a_server_without_ranges_is_not_asked_for_one_again(scene):
    scene.begin(DATA[:1000])
    with one(IgnoresRange() + Cut(2000)) as server:
        scene.fetch(server)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}", None]


def test_one_that_breaks_off_each_whole_at_its_middle_is_not_asked_for_ever(scene):
    with one(Always(IgnoresRange() + Cut(150_000))) as server:
        with pytest.raises(ConnectionFailed):
            scene.fetch(server)
        assert len(server.log) <= 8


WRONG_RANGES = [
    FromStart(says=True),
    Header("Content-Range"),
    Header("Content-Range", "bytes 999-300000/300001"),
    Header("Content-Range", "bytes 1000-300000/300002"),
    Header("Content-Range", "bytes 1000-300001/*"),
    Header("Content-Range", "bytes 1000-999/300001"),
    Header("Content-Range", "bytes -1-5/7"),
    Header("Content-Range", "items 1000-300000/300001"),
    Header("Content-Range", "bytes 1000-" + "9" * 5000 + "/*"),
    Multipart(),
    Zipped(),
    Longer(),
    Shorter(),
    Status(416),
    Status(204, body=b""),
]


@pytest.mark.parametrize("fault", WRONG_RANGES, ids=str)
def test_nothing_of_a_wrong_range_is_written(scene, fault):
    scene.begin(DATA[:1000])
    with one(fault) as server:
        scene.fetch(server)
        assert len(server.log) == 2
    assert scene.store.read(BLOB.digest) == DATA
    # A mistake is forgiven once; 416 says that there are no such bytes.
    assert len(scene.told(Restarted)) == (fault == Status(416))


@pytest.mark.parametrize("fault", WRONG_RANGES, ids=str)
def test_who_answers_ranges_wrongly_is_asked_for_the_whole(scene, fault):
    scene.begin(DATA[:1000])
    faults = {"files range": [Always(fault)]}
    with lying(files={"blob": DATA}, faults=faults) as server:
        scene.fetch(server)
    assert scene.store.read(BLOB.digest) == DATA
    assert scene.ingests == []


WRONG_WHOLES = [
    Longer(),
    Shorter(),
    SaysLength(400_000),
    SaysLength(3),
    Status(203, body=DATA),
    Status(206, body=DATA),
    Status(416),
    Zipped() + Header("Content-Encoding", "br"),
]


@pytest.mark.parametrize("fault", WRONG_WHOLES, ids=lambda fault: str(fault)[:60])
def test_a_wrong_whole_is_one_error_and_poisons_nothing(scene, fault):
    with one(Always(fault)) as server:
        with pytest.raises((ConnectionFailed, DigestMismatch)):
            scene.fetch(server)
        server.lie({})
        scene.fetch(server)
    assert scene.store.read(BLOB.digest) == DATA


@pytest.mark.parametrize("framing", [Chunked(), Lengthless()])
@pytest.mark.parametrize("lie", [HONEST, Cut(1000), Longer(), Shorter()], ids=str)
def test_a_body_without_a_length_is_taken_up_to_the_size(scene, framing, lie):
    with one(lie + framing) as server:
        scene.fetch(server)
    assert scene.store.read(BLOB.digest) == DATA
    assert not scene.told(Restarted)


def test_wrong_bytes_are_taken_once_more_from_the_beginning_in_one_piece(scene):
    scene.begin(DATA[:1000])
    with one(WrongBytes(5000)) as server:
        scene.fetch(server, streams=4)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}", None]
    assert len(scene.told(Restarted)) == 1
    assert scene.store.read(BLOB.digest) == DATA


def test_a_range_whose_bytes_are_others_than_it_says_is_healed_by_the_whole(scene):
    scene.begin(DATA[:1000])
    with one(FromStart()) as server:
        scene.fetch(server)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}", None]
    assert scene.store.read(BLOB.digest) == DATA


def test_a_poisoned_beginning_heals_itself(scene):
    scene.begin(b"x" + DATA[1:1000])
    with one() as server:
        scene.fetch(server)
        assert ranges(server) == [f"bytes=1000-{len(DATA) - 1}", None]
    assert scene.store.read(BLOB.digest) == DATA


def test_bytes_that_are_wrong_twice_are_an_error_and_nothing_of_them_stays(scene):
    with one(WrongBytes(), WrongBytes(7)) as server:
        with pytest.raises(DigestMismatch) as raised:
            scene.fetch(server)
        assert raised.value.expected == BLOB.digest
        assert scene.ingests == []
        scene.fetch(server)
    assert BLOB.digest in scene.store


def test_wrong_bytes_of_one_origin_are_replaced_from_another(scene):
    with one(Always(WrongBytes())) as liar, one() as honest:
        scene.fetch(liar, honest)
        assert ranges(liar) == [None]
        assert ranges(honest) == [None]


def test_another_origin_goes_on_in_the_middle_without_a_pause(scene):
    with one(Always(Cut(1000))) as broken, one() as whole:
        scene.fetch(broken, whole)
        assert ranges(whole) == [f"bytes=1000-{len(DATA) - 1}"]
    assert scene.pauses.told == []


@pytest.mark.parametrize("status", [404, 403, 401, 400, 410])
def test_what_is_final_moves_on_and_is_not_asked_again(scene, status):
    with one(Always(Status(status))) as without, one(Cut(1000), Cut(0)) as other:
        scene.fetch(without, other)
        assert len(without.log) == 1
        assert len(other.log) == 3


def test_when_all_have_said_something_final_the_furthest_is_raised(scene):
    with one(Always(Status(404))) as one_, one(Always(Status(403))) as other:
        with pytest.raises(PermissionDenied):
            scene.fetch(one_, other)
        with pytest.raises(PermissionDenied):
            scene.fetch(other, one_)
        with pytest.raises(NotFound):
            scene.fetch(one_)
    assert scene.pauses.told == []


def test_a_registry_that_asks_for_a_pause_gets_it(scene):
    with one(Status(429, headers={"Retry-After": "7"}), Status(429)) as server:
        scene.fetch(server)
    assert scene.pauses.told == [7.0, 1.0]


def test_one_that_asks_for_an_hour_is_given_up(scene):
    with one(Always(Status(429, headers={"Retry-After": "3600"}))) as server:
        with pytest.raises(TooManyRequests):
            scene.fetch(server)
        assert len(server.log) == 1
    assert scene.pauses.told == []


def test_an_origin_that_asks_for_a_pause_keeps_no_other_one_waiting(scene):
    slow = Always(Status(429, headers={"Retry-After": "60"}))
    with one(slow) as mirror, one(Cut(1000), Cut(0), Cut(0)) as registry:
        scene.fetch(mirror, registry)
        assert len(mirror.log) == 1
    assert scene.pauses.told == [0.5, 0.5, 1.0]


def test_an_origin_whose_attempts_are_spent_is_not_asked_again(scene):
    with one(Always(Cut(0))) as dead, one(*[Cut(1000)] * 20) as other:
        scene.fetch(dead, other)
        assert len(dead.log) == 5
        assert len(other.log) == 21


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_in_trouble_is_asked_again(scene, status):
    with one(*[Status(status)] * 4) as server:
        scene.fetch(server)
    assert scene.pauses.told == [0.5, 1.0, 2.0, 4.0]


def test_a_redirect_that_has_expired_is_asked_for_anew(scene):
    with one(data=b"") as storage, lying(files={"blob": DATA}) as server:
        server.lie({"files": [Always(elsewhere(storage, size=100_000))]})
        scene.fetch(server)
        assert len(server.log) == 4
        assert not any(asked.authorization for asked in storage.log)
    assert scene.store.read(BLOB.digest) == DATA


def test_an_origin_without_ranges_waits_for_one_that_has_them(scene):
    scene.begin(DATA[:200_000])
    with one(Always(IgnoresRange())) as mirror, one() as registry:
        scene.fetch(mirror, registry)
        assert ranges(registry) == [f"bytes=200000-{len(DATA) - 1}"]
    assert not scene.told(Restarted)


def test_an_origin_without_ranges_is_better_than_one_that_is_dead(scene):
    scene.begin(DATA[:200_000])
    with one(Always(IgnoresRange())) as mirror, one(Always(Cut(0))) as registry:
        scene.fetch(mirror, registry)
    assert len(scene.told(Restarted)) == 1


def test_a_stall_is_cut_and_gone_on_after(scene):
    http = Http(patience_for(scene.pauses, idle=timedelta(milliseconds=100)))
    scene.http = http
    with one(Stall(1000)) as server:
        scene.fetch(server)
        assert ranges(server) == [None, f"bytes=1000-{len(DATA) - 1}"]
    http.close()


def test_a_trickle_is_cut_and_what_it_gave_is_kept(scene):
    patience = patience_for(scene.pauses, idle=timedelta(milliseconds=60))
    with one(Trickle(0.005)) as server:
        scene.fetch(server, patience=patience)
        assert len(server.log) == 2
        start = int(server.log[1].range.removeprefix("bytes=").partition("-")[0])
        assert 1 <= start <= 100
    assert scene.store.read(BLOB.digest) == DATA


def test_a_body_that_was_compressed_on_the_way_is_undone(scene):
    with one(Always(Zipped())) as server:
        scene.fetch(server)
        assert len(server.log) == 1, "its length says that it is not the blob"
    assert scene.store.read(BLOB.digest) == DATA


@pytest.mark.parametrize("data", [DATA, bytes(300_000)], ids=["random", "zeros"])
def test_a_compressed_body_without_a_length_is_undone_at_the_second_attempt(scene, data):
    blob = descriptor_of(data)
    with one(Always(Zipped() + Chunked()), data=data) as server:
        scene.fetch(server, blob=blob)
        assert len(server.log) == 2
    assert scene.store.read(blob.digest) == data


def test_a_blob_that_is_said_to_be_compressed_and_is_the_blob_as_it_comes(scene):
    with one(Always(Header("Content-Encoding", "gzip"))) as server:
        scene.fetch(server)
        assert len(server.log) == 1
    assert scene.store.read(BLOB.digest) == DATA


def test_a_bomb_is_not_unpacked_past_the_size(scene):
    small = descriptor_of(bytes(1000))
    with one(Always(Zipped()), data=bytes(50_000_000)) as server:
        with pytest.raises(DigestMismatch):
            scene.fetch(server, blob=small._replace(digest=Digest.of(b"other")))
        assert scene.ingests == []


def test_what_goes_wrong_at_the_store_goes_through_at_once(scene, monkeypatch):
    def full(writer, data):
        raise ResourceExhausted(REF, 0)

    monkeypatch.setattr("lading.stores.local.writer.LocalWriter.write", full)
    with one() as server:
        with pytest.raises(ResourceExhausted):
            scene.fetch(server)
        assert len(server.log) == 1


def test_somebody_who_holds_the_ref_is_waited_for_while_they_get_on(scene):
    with one() as server, scene.store.writer(REF, total=BLOB.size) as writer:

        def sleep(pause_s):
            """A moment, in which somebody else gets on, or is done."""
            pauses.append(pause_s)
            if len(pauses) % 100 == 0:
                writer.write(DATA[writer.offset : writer.offset + 100_000])
            if writer.offset == len(DATA):
                writer.commit()

        pauses = []
        blob = scene.fetch(server, patience=patience_for(scene.pauses, sleep=sleep))
        assert server.log == []
    assert blob.digest == BLOB.digest
    assert len(pauses) == 400
    assert len(scene.told(Waiting)) == 1
    assert isinstance(scene.steps[-1], Found)


def test_somebody_who_holds_the_ref_and_stands_still_is_an_error(scene):
    with one() as server, scene.store.writer(REF, total=BLOB.size), pytest.raises(RefLocked):
        scene.fetch(server)
    assert 40 <= sum(scene.pauses.told) <= 60
