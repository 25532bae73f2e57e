"""One blob on its way to a registry, whatever the registry makes of it."""

import random
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from lading import Digest, LocalStore
from lading.errors import (
    DataLoss,
    DigestMismatch,
    PermissionDenied,
    Refused,
    TooManyRequests,
    Unavailable,
)
from lading.model.descriptor import Descriptor
from lading.oci.access.credentials import Credential
from lading.oci.access.hosts import Hosts
from lading.oci.crew import Crew, Stopped
from lading.oci.progress import Begun, Done, Found, Mounted, Moved, Restarted, Waiting
from lading.oci.uploads.bodies import StoredBytes
from lading.oci.uploads.chunks import ChunkSizes
from lading.oci.uploads.sessions import UploadSessions
from lading.oci.uploads.uploading import upload
from tests.support.lies import (
    BEFORE,
    HONEST,
    OTHER_DIGEST,
    Always,
    Cut,
    Fault,
    Forgets,
    Header,
    Redirect,
    Revokes,
    Status,
    Takes,
)
from tests.support.lying import lying
from tests.support.lying_answers import Answer
from tests.support.lying_uploads import Quirks

DATA = random.Random(5).randbytes(100_003)  # noqa: S311 - no secret
SIZE = len(DATA)
NAME = Digest.of(DATA)
BLOB = Descriptor("application/vnd.oci.image.layer.v1.tar", NAME, SIZE)
CHUNK = 10_000
CHUNKS = ChunkSizes(CHUNK, CHUNK, CHUNK, floor=1_000)
STATELESS = Quirks(states=False)
IN_ONE = ChunkSizes(SIZE, SIZE, SIZE)
REPOSITORY = "me/model"


@pytest.fixture
def store(tmp_path):
    made = LocalStore(tmp_path / "store")
    made.add(DATA)
    return made


@pytest.fixture
def folder(tmp_path):
    """Where sessions are remembered."""
    return tmp_path / "uploads"


@dataclass
class Sender:
    """Who sends the blob. Each call is as good as a process of its own."""

    make_remote: object
    store: LocalStore
    folder: object

    def __call__(
        self, registry, *, blob=BLOB, sizes=CHUNKS, mounts=(), attempts=5, tell=None, host=None
    ):
        """Send it, and return what was told."""
        steps = []
        remote = self.make_remote(f"{host or registry.host}/{REPOSITORY}:1")
        remote.patience = replace(remote.patience, attempts=attempts)
        with Crew(tell or steps.append, remote.patience) as crew:
            upload(
                remote,
                blob,
                StoredBytes(self.store, blob.digest),
                sessions=UploadSessions(self.folder),
                crew=crew,
                mounts=mounts,
                sizes=sizes,
            )
        return steps


@pytest.fixture
def send(remote, store, folder):
    return Sender(remote, store, folder)


def has_it(registry, data=DATA):
    return registry.blobs.get(REPOSITORY, {}).get(Digest.of(data)) == data


def methods(registry):
    return [each.method for each in registry.asked()]


def starts(registry):
    """Where each chunk began, in the order in which they were sent."""
    return [int(each.headers["Content-Range"].split("-")[0]) for each in registry.asked("PATCH")]


def kinds(steps):
    return [type(step) for step in steps if not isinstance(step, Moved)]


def remembered(folder):
    return [path for path in folder.glob("*") if path.suffix != ".lock"] if folder.exists() else []


# By the book.


def test_a_large_blob_is_sent_in_chunks_and_nothing_is_left(send, folder):
    with lying() as registry:
        steps = send(registry)
        assert has_it(registry)
        assert methods(registry) == ["HEAD", "POST", *["PATCH"] * 11, "PUT"]
        assert starts(registry) == list(range(0, SIZE, CHUNK))
        lengths = [int(each.headers["Content-Length"]) for each in registry.asked("PATCH")]
        assert lengths == [CHUNK] * 10 + [3]
        assert registry.uploads.held == {}
    assert steps[0] == Begun(BLOB, 0)
    assert steps[-1] == Done(BLOB, SIZE)
    assert list(folder.iterdir()) == []


def test_a_small_blob_is_sent_in_one_request_and_not_remembered(send, folder):
    with lying() as registry:
        steps = send(registry, sizes=IN_ONE)
        assert has_it(registry)
        assert methods(registry) == ["HEAD", "POST", "PUT"]
    assert kinds(steps) == [Begun, Done]
    assert not folder.exists()


def test_an_empty_blob_is_sent(send, store):
    empty = Descriptor("application/octet-stream", store.add(b"").digest, 0)
    with lying() as registry:
        send(registry, blob=empty)
        assert has_it(registry, b"")


def test_a_blob_that_is_there_costs_one_request(send):
    with lying() as registry:
        registry.add_blob(REPOSITORY, DATA)
        assert send(registry) == [Found(BLOB)]
        assert methods(registry) == ["HEAD"]


def test_a_blob_whose_storage_takes_no_questions_is_there(send):
    with lying() as registry:
        storage = registry.sign(b"", uses=0).replace("127.0.0.1", "localhost")
        registry.lie({"HEAD blobs": [Redirect(storage)]})
        assert send(registry) == [Found(BLOB)]


def test_a_blob_of_another_repository_is_mounted(send):
    with lying() as registry:
        registry.add_blob("you/model", DATA)
        assert send(registry, mounts=("you/model",)) == [Mounted(BLOB, "you/model")]
        assert has_it(registry)
        assert methods(registry) == ["HEAD", "POST"]


def test_where_nothing_can_be_mounted_the_session_that_came_instead_is_used(send):
    with lying() as registry:
        send(registry, mounts=("you/model",))
        assert has_it(registry)
        assert methods(registry).count("POST") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_who_may_not_read_elsewhere_may_still_write_here(send, status):
    with lying(faults={"POST uploads": [Status(status)]}) as registry:
        send(registry, mounts=("you/model",))
        assert has_it(registry)
        assert methods(registry)[:4] == ["HEAD", "POST", "POST", "PATCH"]


# Resuming.


@pytest.mark.parametrize("taken", [0, 1, 4_999, CHUNK - 1])
@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_another_process_goes_on_at_the_byte_where_the_registry_is(send, chunk, taken):
    faults = {"PATCH uploads": [HONEST] * chunk + [Takes(taken)]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        with pytest.raises(Unavailable):
            send(registry, attempts=1)
        before = len(registry.asked("PATCH"))
        steps = send(registry)
        assert has_it(registry)
        offset = chunk * CHUNK + taken
        # Of a session that has nothing, or a byte, nobody can tell which: it is begun anew.
        expected = 0 if offset <= 1 else offset
        assert starts(registry)[before] == expected
    assert steps[0] == Begun(BLOB, expected)
    assert steps[-1] == Done(BLOB, SIZE - expected)


def test_a_process_goes_on_by_itself_without_asking_for_what_is_there(send):
    faults = {"PATCH uploads": [HONEST, HONEST, Takes(5_000)]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        steps = send(registry)
        assert has_it(registry)
        assert starts(registry)[:4] == [0, 10_000, 20_000, 25_000]
    assert kinds(steps) == [Begun, Waiting, Done]


def test_each_chunk_is_remembered_before_the_next_one_is_sent(send, folder):
    known = []

    def look(step):
        if isinstance(step, Begun):
            return
        known.extend(path.read_text() for path in folder.glob("*.json"))

    with lying() as registry:
        send(registry, tell=look)
    assert known


def test_a_lost_answer_costs_nothing_where_the_address_stays_good(send):
    faults = {"PATCH uploads": [HONEST, Cut(BEFORE)]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        steps = send(registry)
        assert has_it(registry)
        assert starts(registry) == list(range(0, SIZE, CHUNK))
    assert Restarted not in kinds(steps)


def test_a_lost_answer_costs_the_upload_where_each_address_is_good_once(send):
    # As with distribution, whose address says how much is there and is signed.
    with lying(faults={"PATCH uploads": [HONEST, Cut(BEFORE)]}) as registry:
        steps = send(registry)
        assert has_it(registry)
        assert starts(registry)[:3] == [0, 10_000, 0]
    assert kinds(steps) == [Begun, Waiting, Restarted, Done]


def test_the_lost_answer_to_the_last_request_costs_nothing(send):
    with lying(faults={"PUT uploads": [Cut(BEFORE)]}) as registry:
        steps = send(registry)
        assert methods(registry)[-2:] == ["PUT", "HEAD"]
    assert kinds(steps) == [Begun, Waiting, Done]


def test_a_session_that_is_gone_is_one_restart(send):
    with lying(faults={"PATCH uploads": [HONEST] * 5 + [Takes(0)]}) as registry:
        with pytest.raises(Unavailable):
            send(registry, attempts=1)
        registry.forget_uploads()
        steps = send(registry)
        assert has_it(registry)
    assert kinds(steps) == [Restarted, Begun, Done]
    assert steps[1] == Begun(BLOB, 0)


def test_a_session_that_goes_in_the_middle_is_one_restart(send):
    with lying(faults={"PATCH uploads": [HONEST] * 5 + [Forgets()]}) as registry:
        steps = send(registry)
        assert has_it(registry)
    assert kinds(steps) == [Begun, Restarted, Done]


def test_a_registry_that_forgets_each_time_is_given_up(send):
    class Refuses(Fault):
        takes = 0

        def __call__(self, answer, asked):
            return Forgets()(answer, asked)

    faults = {"PATCH uploads": [Always(Refuses())], "PUT uploads": [Always(Refuses())]}
    with lying(faults=faults) as registry:
        with pytest.raises(Unavailable):
            send(registry)
        assert len(registry.asked("POST")) <= 6


def test_two_uploads_of_one_blob_at_once_both_succeed(send):
    with lying() as registry:
        threads = [threading.Thread(target=send, args=(registry,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert has_it(registry)


# Quirks, each of which some registry has.

QUIRKS = {
    "no Range of nothing": Quirks(empty_range=None),
    "Range of nothing with a prefix": Quirks(prefix="bytes="),
    "relative locations": Quirks(relative=True),
    "addresses that stay good": Quirks(states=False),
    "201 for chunks": Quirks(chunk_status=201),
    "404 for chunks": Quirks(chunk_status=404),
    "405 for chunks": Quirks(chunk_status=405),
    "415 for chunks": Quirks(chunk_status=415),
    "501 for chunks": Quirks(chunk_status=501),
    "400 for chunks": Quirks(chunk_status=400),
    "416 for chunks": Quirks(chunk_status=416),
    "large chunks only": Quirks(least_chunk=30_000),
    "small bodies only": Quirks(largest=4_096),
    "405 for the status": Quirks(status_status=405),
    "404 for the status": Quirks(status_status=404),
    "200 for the status": Quirks(status_status=200),
    "Range of the chunk": Quirks(ranges_of_chunks=True),
    "Range of the chunk, with a prefix": Quirks(ranges_of_chunks=True, prefix="bytes="),
    "202 in the end": Quirks(finishes=False),
    "no mounts": Quirks(mounts=False),
    "wrong ranges are appended": Quirks(appends_refused=True),
}


@pytest.mark.parametrize("cut", [None, 0, 4_000, 55_000], ids=lambda cut: f"cut at {cut}")
@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
def test_every_quirk_ends_in_the_blob_within_two_runs(send, folder, quirks, cut):
    faults = (
        {} if cut is None else {"PATCH uploads": [HONEST] * (cut // CHUNK) + [Takes(cut % CHUNK)]}
    )
    with lying(faults=faults, quirks=quirks) as registry:
        if cut is None:
            steps = send(registry)
            assert kinds(steps).count(Restarted) <= 1
        else:
            with suppress(Unavailable):  # where there are fewer chunks, or none
                send(registry, attempts=1)
            steps = send(registry)
        assert has_it(registry)
        assert kinds(steps)[-1] in {Done, Found}
    assert remembered(folder) == []


@pytest.mark.parametrize("status", [404, 405, 415])
def test_where_chunks_are_refused_all_is_sent_in_one_request(send, status):
    with lying(quirks=Quirks(chunk_status=status)) as registry:
        send(registry)
        assert methods(registry) == ["HEAD", "POST", "PATCH", "HEAD", "POST", "PUT"]
        assert registry.asked("PUT")[0].received == SIZE


def test_that_chunks_are_refused_is_remembered(send):
    with lying(quirks=Quirks(chunk_status=405)) as registry:
        registry.lie({"PUT uploads": [Takes(5_000)]})
        with pytest.raises(Unavailable):
            send(registry, attempts=2)
        send(registry)
        assert has_it(registry)
        assert len(registry.asked("PATCH")) == 1


def test_the_smallest_chunk_of_the_registry_is_kept_to(send):
    with lying(quirks=Quirks(least_chunk=30_000)) as registry:
        send(registry)
        lengths = [int(each.headers["Content-Length"]) for each in registry.asked("PATCH")]
    assert lengths == [30_000] * 3 + [SIZE - 90_000]


def test_a_chunk_that_is_too_large_is_halved_and_that_is_remembered(send):
    with lying(quirks=Quirks(largest=6_000)) as registry:
        registry.lie({"PATCH uploads": [HONEST] * 3 + [Takes(100)]})
        with pytest.raises(Unavailable):
            send(registry, attempts=1)
        before = len(registry.asked("PATCH"))
        send(registry)
        assert has_it(registry)
        lengths = [int(each.headers["Content-Length"]) for each in registry.asked("PATCH")]
    assert lengths[:2] == [10_000, 5_000]
    assert max(lengths[before:]) == 5_000


def test_a_small_blob_that_is_too_large_is_cut_into_chunks(send):
    with lying(quirks=Quirks(largest=60_000)) as registry:
        send(registry, sizes=ChunkSizes(SIZE, 10_000, SIZE, 1_000))
        assert has_it(registry)


def test_a_registry_for_which_everything_is_too_large_is_an_error(send):
    with lying(quirks=Quirks(largest=10)) as registry, pytest.raises(Refused, match="413"):
        send(registry, sizes=ChunkSizes(100_000, 1_000, 100_000))


def test_the_range_that_a_refusal_names_is_gone_on_at(send):
    class TakesAndRefuses(Fault):
        def __call__(self, answer, asked):
            return Answer(416, {"Range": "0-19999"})

    faults = {"PATCH uploads": [HONEST, TakesAndRefuses()]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        send(registry)
        assert has_it(registry)
        assert starts(registry)[:3] == [0, 10_000, 20_000]
        assert "GET" not in methods(registry)


@pytest.mark.parametrize("status", [400, 409, 416, 422])
def test_after_any_refusal_of_a_chunk_the_registry_is_asked_what_it_has(send, status):
    class TakesAndRefuses(Fault):
        def __call__(self, answer, asked):
            return Answer(status)

    faults = {"PATCH uploads": [HONEST, TakesAndRefuses()]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        send(registry)
        assert has_it(registry)
        assert starts(registry)[:3] == [0, 10_000, 20_000]


def test_a_last_request_that_is_refused_and_done_is_done(send):
    with lying(faults={"PUT uploads": [Status(400, "BLOB_UPLOAD_INVALID")]}) as registry:
        steps = send(registry)
        assert methods(registry)[-2:] == ["PUT", "HEAD"]
    assert kinds(steps) == [Begun, Done]


def test_a_registry_that_finishes_by_itself_is_asked_for_nothing_more(send):
    class Finishes(Fault):
        """The last chunk makes the blob, as ECR does it."""

        def __call__(self, answer, asked):
            if asked.headers["Content-Range"].endswith(f"-{SIZE - 1}"):
                asked.server.add_blob(REPOSITORY, DATA)
                return replace(answer, status=201)
            return answer

    with lying(faults={"PATCH uploads": [Always(Finishes())]}) as registry:
        send(registry)
        assert methods(registry)[-2:] == ["PATCH", "HEAD"]


def test_a_location_at_another_host_is_followed_without_our_token(send):
    challenge = Header("WWW-Authenticate", 'Basic realm="here"')
    with lying(faults={"HEAD blobs": [Status(401) + challenge]}) as registry:
        elsewhere = registry.url.replace("127.0.0.1", "localhost")
        registry.uploads.quirks = Quirks(location=elsewhere)
        make = send.make_remote
        send.make_remote = lambda name: make(name, credential=Credential("me", "secret"))
        send(registry)
        assert has_it(registry)
        told = {each.headers["Host"].split(":")[0]: each.authorization for each in registry.asked()}
    assert told["127.0.0.1"].startswith("Basic")
    assert told["localhost"] is None


# Failures.


@pytest.mark.parametrize("request_", ["HEAD blobs", "POST uploads", "PATCH uploads", "PUT uploads"])
@pytest.mark.parametrize(
    "fault", [Status(500), Status(503), Status(429), Status(408), Cut(BEFORE, reset=True)], ids=repr
)
def test_what_may_pass_is_waited_for(send, pauses, request_, fault):
    with lying(faults={request_: [fault]}, quirks=STATELESS) as registry:
        steps = send(registry)
        assert has_it(registry)
    assert kinds(steps)[-1] is Done
    assert len(pauses) == 1


def test_the_pause_that_a_registry_asks_for_is_made(send, pauses):
    fault = Status(429, headers={"Retry-After": "7"})
    with lying(faults={"PATCH uploads": [HONEST, fault]}, quirks=STATELESS) as registry:
        send(registry)
        assert has_it(registry)
    assert pauses == [7.0]


def test_a_pause_that_is_too_long_is_not_made_and_the_next_run_goes_on(send, pauses):
    fault = Status(429, headers={"Retry-After": "3600"})
    with lying(faults={"PATCH uploads": [HONEST, fault]}, quirks=STATELESS) as registry:
        with pytest.raises(TooManyRequests):
            send(registry)
        assert pauses == []
        steps = send(registry)
        assert has_it(registry)
    # What was answered 429 had been taken.
    assert steps[0] == Begun(BLOB, 2 * CHUNK)


def test_what_moves_has_all_its_attempts_again(send):
    faults = {"PATCH uploads": [Takes(3_000), HONEST] * 8}
    with lying(faults=faults, quirks=STATELESS) as registry:
        send(registry, attempts=2)
        assert has_it(registry)


def test_what_does_not_move_is_given_up(send, pauses):
    faults = {"PATCH uploads": [Always(Status(503))]}
    with lying(faults=faults) as registry, pytest.raises(Unavailable):
        send(registry, attempts=3)
    assert len(pauses) <= 3


def test_a_token_that_expires_in_mid_upload_is_renewed(send):
    with lying(tokens=True, faults={"PATCH uploads": [HONEST, Revokes()]}) as registry:
        steps = send(registry)
        assert has_it(registry)
        assert len(registry.asked("token")) == 2
    assert kinds(steps) == [Begun, Done]


def test_who_may_not_push_is_told_at_once(send):
    with lying(faults={"PATCH uploads": [Always(Status(403, "DENIED"))]}) as registry:
        with pytest.raises(PermissionDenied):
            send(registry)
        assert methods(registry).count("PATCH") == 1


def test_another_digest_in_the_answer_is_an_error_after_one_restart(send):
    with lying(quirks=Quirks(digest=OTHER_DIGEST)) as registry:
        # Or the second attempt would find what the first has made.
        registry.lie({"HEAD blobs": [Always(Status(404))]})
        with pytest.raises(DigestMismatch, match="0123456789abcdef"):
            send(registry)
        assert len(registry.asked("PUT")) == 2


@pytest.mark.parametrize("sizes", [CHUNKS, IN_ONE])
@pytest.mark.parametrize("place", [0, SIZE // 2, SIZE - 1])
def test_a_damaged_blob_is_never_sent_whole(send, store, folder, sizes, place):
    path = store.path(NAME)
    path.chmod(0o600)
    bad = bytearray(DATA)
    bad[place] ^= 1
    path.write_bytes(bad)
    with lying() as registry:
        with pytest.raises(DataLoss):
            send(registry, sizes=sizes)
        assert sum(each.received for each in registry.asked("uploads")) < SIZE
        # Once it is healed, nothing has to be removed.
        path.write_bytes(DATA)
        send(registry, sizes=sizes)
        assert has_it(registry)
    assert remembered(folder) == []


def test_a_damaged_blob_is_not_sent_whole_after_a_chunk_that_was_taken_in_part(send, store):
    path = store.path(NAME)
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    faults = {"PATCH uploads": [HONEST, Takes(5_000)]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        with pytest.raises(DataLoss):
            send(registry)
        assert registry.asked("PUT") == []
        assert len(registry.asked("DELETE")) == 1


def test_a_blob_that_ends_early_is_a_loss(send, store):
    path = store.path(NAME)
    path.chmod(0o600)
    path.write_bytes(DATA[:-10])
    with lying() as registry, pytest.raises(DataLoss, match="ends at"):
        send(registry)


def test_a_poisoned_session_is_begun_anew_once(send):
    faults = {"PATCH uploads": [HONEST] * 3 + [Takes(10)]}
    with lying(faults=faults, quirks=STATELESS) as registry:
        with pytest.raises(Unavailable):
            send(registry, attempts=1)
        (session,) = registry.uploads._sessions.values()
        session.data[5] ^= 1
        steps = send(registry)
        assert has_it(registry)
    assert kinds(steps) == [Begun, Restarted, Done]
    assert len([step for step in steps if isinstance(step, Restarted)]) == 1


def test_a_registry_that_never_finds_the_digest_is_an_error(send):
    fault = Status(400, "DIGEST_INVALID")

    class Refuses(Fault):
        def __call__(self, answer, asked):
            asked.server.blobs.clear()
            return fault(answer, asked)

    with lying(faults={"PUT uploads": [Always(Refuses())]}) as registry:
        with pytest.raises(Refused, match="DIGEST_INVALID"):
            send(registry)
        assert len(registry.asked("PUT")) == 2


@pytest.mark.parametrize("sizes", [CHUNKS, IN_ONE])
@pytest.mark.parametrize("status", [400, 404, 409, 416, 422])
def test_a_last_request_that_is_refused_for_good_is_tried_once_more(send, sizes, status):
    class Refuses(Fault):
        def __call__(self, answer, asked):
            asked.server.blobs.clear()
            asked.server.forget_uploads()
            return Status(status, "SIZE_INVALID")(answer, asked)

    with lying(faults={"PUT uploads": [Always(Refuses())]}) as registry:
        error, sentence = (
            (Unavailable, "has forgotten") if status == 404 else (Refused, "SIZE_INVALID")
        )
        with pytest.raises(error, match=sentence):
            send(registry, sizes=sizes)
        assert len(registry.asked("PUT")) == 2


# Stopping.


def test_a_chunk_that_is_nearly_there_is_finished_when_all_are_stopped(send, remote, store, folder):
    with lying() as registry:
        steps = []
        made = remote(f"{registry.host}/{REPOSITORY}:1")

        class Content(StoredBytes):
            @contextmanager
            def open(self, start, end):
                with super().open(start, end) as file:
                    yield file
                    if start == 2 * CHUNK:
                        crew.stop()

        with pytest.raises(Stopped), Crew(steps.append, made.patience) as crew:
            upload(
                made,
                BLOB,
                Content(store, NAME),
                sessions=UploadSessions(folder),
                crew=crew,
                sizes=CHUNKS,
            )
        steps = send(registry)
        assert has_it(registry)
        # And none was begun that had to be broken off.
        assert starts(registry) == list(range(0, SIZE, CHUNK))
    assert steps[0] == Begun(BLOB, 3 * CHUNK)


def test_plain_http_is_found_out_where_nobody_named_a_scheme(send, remote):
    with lying() as registry:
        send.make_remote = lambda name: remote(name, hosts=Hosts(()))
        send(registry)
        assert has_it(registry)
