"""A registry may lie as it likes: a pull ends in the image or in one clear error, and the next one,
with a registry that is honest again, in the image, without anything removed by hand.

The lies are tests/support/lies_table.py; what other clients do with them is in docs/faults.md.
"""

import ssl
from datetime import timedelta

import pytest

from lading import LocalStore
from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    InvalidManifest,
    PermissionDenied,
    Refused,
    TooManyRequests,
    Unavailable,
)
from lading.model.digest import Digest
from lading.oci.progress import Begun, Restarted
from tests.oci.endings import ALWAYS, ONCE
from tests.oci.puller import Puller, check_is_right, check_is_whole, played
from tests.support.certificates import Authority
from tests.support.lies import (
    BEFORE,
    HONEST,
    Always,
    Chunked,
    Cut,
    Fault,
    Redirect,
    Revokes,
    Says,
    Stall,
    Status,
    WrongBytes,
)
from tests.support.lies_table import (
    IMAGE,
    LAYER,
    MANIFEST_TYPE,
    MANIFESTS,
    MIDDLE,
    ROWS,
)
from tests.support.registry import digest

NAME = digest(LAYER)
SIZE = len(LAYER)
REQUESTS_LIMIT = 13
"""Of the layer, by one call: a client that asks on and on is one more harm."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(tmp_path_factory.mktemp("authority")).vouch("registry"))
    return context


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


@pytest.fixture
def registry(request):
    """A registry with the image of the table, and another one beside it."""
    with played() as registry:
        yield registry


def ranges_of(registry):
    return [each.range for each in registry.asked(f"GET {NAME}")]


def from_(offset):
    return f"bytes={offset}-{SIZE - 1}"


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.waits else []) for row in ROWS],
)
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_a_pull_ends_in_the_image_or_in_one_clear_error_and_the_next_one_in_the_image(
    row, always, store, request
):
    secure = row.needs == "tls"
    context = request.getfixturevalue("certificate") if secure else None
    with played(row.needs, context) as registry:
        idle = timedelta(seconds=0.2) if row.waits else timedelta(seconds=30)
        one_by_one = row.needs == "tokens"
        pull = Puller(store, registry, secure=secure, one_by_one=one_by_one, idle=idle)
        registry.lie(row.told(always=always))
        expected = (ALWAYS if always else ONCE).get(row.name)
        if expected is None:
            pull()
        else:
            condition, sentence = expected
            with pytest.raises(condition, match=sentence):
                pull()
            assert Digest.parse(IMAGE.digest) not in store  # which would say that all is there
        assert len(registry.asked(f"GET {NAME}")) <= REQUESTS_LIMIT
        check_is_right(store)
        registry.lie({})
        pull()
        check_is_whole(store)
        # Whoever we are sent to is somebody else.
        assert registry.other is not None
        assert [each.authorization for each in registry.other.asked() if each.authorization] == []


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.waits else [])
        for row in ROWS
        if row.is_of_layer
    ],
)
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_a_fetch_of_one_blob_ends_as_a_pull_does(row, always, store, request):
    secure = row.needs == "tls"
    context = request.getfixturevalue("certificate") if secure else None
    with played(row.needs, context) as registry:
        idle = timedelta(seconds=0.2) if row.waits else timedelta(seconds=30)
        puller = Puller(store, registry, secure=secure, idle=idle)
        registry.lie(row.told(always=always))
        expected = (ALWAYS if always else ONCE).get(row.name)
        if expected is None:
            puller.fetch(NAME)
        else:
            condition, sentence = expected
            with pytest.raises(condition, match=sentence):
                puller.fetch(NAME)
            assert list(store.blobs()) == []
        registry.lie({})
        assert puller.fetch(NAME).digest == NAME
        assert [blob.digest for blob in store.blobs()] == [NAME]
        assert list(store.ingests()) == []
        check_is_right(store)


def test_every_row_that_is_expected_to_fail_is_a_row():
    assert set(ALWAYS) <= {row.name for row in ROWS}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_that_nobody_should_follow_is_refused_though_its_digest_is_right(
    kind, store, registry
):
    registry.add_manifest("team/app", "1", MANIFESTS[kind], MANIFEST_TYPE)
    pull = Puller(store, registry)
    with pytest.raises((InvalidManifest, Refused)):
        pull()
    assert list(store.blobs()) == []
    registry.add_manifest("team/app", "1", IMAGE.manifest, MANIFEST_TYPE)
    pull()
    check_is_whole(store)


GRID = sorted(
    {*range(0, SIZE, 4_999), 1, 2, 255, 256, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537}
    | {SIZE - 1}
)


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_wherever_a_body_is_cut_the_next_request_begins_at_that_byte(reset, tmp_path, registry):
    for cut in GRID:
        registry.log.clear()
        registry.lie({NAME: [Cut(cut, reset=reset)]})
        store = LocalStore(tmp_path / str(cut))
        Puller(store, registry)()
        check_is_whole(store)
        assert ranges_of(registry) == [None, from_(cut) if cut else None]
        assert sum(each.sent for each in registry.asked(f"GET {NAME}")) == SIZE


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_later_pull_begins_at_the_byte_where_the_one_before_it_failed(reset, tmp_path, registry):
    for cut in GRID:
        registry.log.clear()
        registry.lie(
            {
                f"{NAME} whole": [Cut(cut, reset=reset), Always(Status(403))],
                f"{NAME} range": [Always(Status(403))],
            }
        )
        store = LocalStore(tmp_path / str(cut))
        pull = Puller(store, registry)
        with pytest.raises(PermissionDenied):
            pull()
        registry.log.clear()
        registry.lie({})
        pull()
        check_is_whole(store)
        assert ranges_of(registry) == [from_(cut) if cut else None]
        begun = [step.offset for step in pull.steps if isinstance(step, Begun)]
        assert cut in begun


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_over_tls_the_next_request_begins_at_the_byte_of_the_cut_too(reset, tmp_path, certificate):
    with played(context=certificate) as registry:
        for cut in GRID[::4]:
            registry.log.clear()
            registry.lie({NAME: [Cut(cut, reset=reset)]})
            store = LocalStore(tmp_path / str(cut))
            Puller(store, registry, secure=True)()
            check_is_whole(store)
            assert ranges_of(registry) == [None, from_(cut) if cut else None]


def test_a_body_that_is_cut_again_and_again_arrives_as_long_as_it_gets_on(store, registry):
    cut = 10_007
    registry.lie({NAME: [Always(Cut(cut))]})
    Puller(store, registry)()
    check_is_whole(store)
    offsets = range(cut, SIZE, cut)
    assert ranges_of(registry) == [None, *map(from_, offsets)]


def test_what_is_all_there_is_committed_without_a_request_for_it(store, registry):
    with store.writer(f"layer-{NAME}", total=SIZE) as writer:
        writer.write(LAYER)
    Puller(store, registry)()
    check_is_whole(store)
    assert ranges_of(registry) == []


@pytest.mark.parametrize("held", [1, MIDDLE, SIZE], ids=["a byte", "a part", "as much as all"])
def test_wrong_bytes_that_somebody_left_are_found_and_fetched_anew(held, store, registry):
    with store.writer(f"layer-{NAME}", total=SIZE) as writer:
        writer.write(b"?" * held)
    pull = Puller(store, registry)
    pull()
    check_is_whole(store)
    assert ranges_of(registry) == [from_(held), None] if held < SIZE else [None]
    assert sum(isinstance(step, Restarted) for step in pull.steps) == 1


@pytest.mark.parametrize("total", [SIZE - 1, SIZE + 1], ids=["too few", "too many"])
def test_what_was_begun_for_another_size_is_ended_and_begun_anew(total, store, registry):
    with store.writer(f"layer-{NAME}", total=total) as writer:
        writer.write(LAYER[:MIDDLE])
    Puller(store, registry)()
    check_is_whole(store)


def test_wrong_bytes_twice_are_an_error_and_nothing_of_them_stays(store, registry):
    registry.lie({NAME: [WrongBytes(5), WrongBytes(6)]})
    pull = Puller(store, registry)
    with pytest.raises(DigestMismatch):
        pull()
    assert [each.ref for each in store.ingests() if NAME in each.ref] == []
    assert ranges_of(registry) == [None, None]
    pull()
    check_is_whole(store)


@pytest.mark.slow
def test_a_registry_that_stalls_again_and_again_is_resumed_each_time(store, registry):
    registry.lie({NAME: [Stall(MIDDLE), Stall(50_000), HONEST]})
    Puller(store, registry, idle=timedelta(seconds=0.2))()
    check_is_whole(store)
    assert ranges_of(registry) == [None, from_(MIDDLE), from_(MIDDLE + 50_000)]


def test_a_pause_is_as_long_as_the_registry_asks(store, registry):
    pauses = []
    registry.lie({NAME: [Status(429, headers={"Retry-After": "7"})]})
    Puller(store, registry, sleep=pauses.append)()
    assert len(pauses) == 1
    assert 7 <= pauses[0] < 8


def test_a_registry_that_asks_for_an_hour_is_given_up(store, registry):
    pauses = []
    registry.lie({NAME: [Status(429, headers={"Retry-After": "3600"})]})
    with pytest.raises(TooManyRequests, match="it asks for a pause of 3600 s"):
        Puller(store, registry, sleep=pauses.append)()
    assert pauses == []


def test_pauses_grow_and_end(store, registry):
    pauses = []
    registry.lie({NAME: [Always(Cut(BEFORE))]})
    pull = Puller(
        store, registry, sleep=pauses.append, first_pause=timedelta(seconds=1), random=lambda: 1.0
    )
    with pytest.raises(ConnectionFailed):
        pull()
    assert pauses == [1, 2, 4, 8]


def test_a_token_that_expires_is_asked_for_anew_and_the_bytes_are_kept(store):
    with played("tokens") as registry:
        registry.lie({NAME: [Revokes() + Cut(MIDDLE)]})
        Puller(store, registry, one_by_one=True)()
        check_is_whole(store)
        asked = registry.asked(f"GET {NAME}")
        assert [(each.status, each.range) for each in asked] == [
            (200, None),
            (401, from_(MIDDLE)),
            (206, from_(MIDDLE)),
        ]
        assert sum(each.sent for each in asked if each.status != 401) == SIZE
        assert len(registry.asked("GET token")) == 2


ENDLESS = 64 << 20


@pytest.mark.parametrize(
    ("words", "lie", "condition"),
    [
        (NAME, Status(500, body=bytes(ENDLESS)) + Chunked(), Unavailable),
        ("manifests", Says(IMAGE.manifest + bytes(ENDLESS)) + Chunked(), InvalidManifest),
        (NAME, Redirect("/elsewhere") + Says(bytes(ENDLESS)) + Chunked(), ConnectionFailed),
        ("token", Says(b'{"token": "' + b"x" * ENDLESS) + Chunked(), ConnectionFailed),
    ],
    ids=["error", "manifest", "redirect", "token"],
)
@pytest.mark.slow
def test_an_answer_without_an_end_is_not_read_to_its_end(words, lie, condition, store):
    with played("tokens") as registry:
        registry.lie({words: [Always(lie)]})
        pull = Puller(store, registry, attempts=1)
        with pytest.raises(condition):
            pull()
        # What the systems of both ends hold is sent, and not read.
        assert max(each.sent for each in registry.asked()) < ENDLESS / 4
        registry.lie({})
        pull()
        check_is_whole(store)


def test_a_fault_of_nothing_changes_nothing(store, registry):
    registry.lie({NAME: [Fault()]})
    Puller(store, registry)()
    assert ranges_of(registry) == [None]
    assert Digest.parse(NAME) in store
