"""Files at plain URLs."""

import random
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refused,
    Unauthenticated,
    Unavailable,
)
from lading.metadata.catalog import Metadata
from lading.model.digest import Digest
from lading.oci.progress import Begun, Done, Found, Restarted
from lading.oci.urls import fetch_url, ref_of, validator_of
from lading.stores.local.store import LocalStore
from tests.oci.blob_at import Pauses, patience_for
from tests.support.lies import (
    BEFORE,
    Always,
    Chunked,
    Cut,
    Fault,
    Header,
    IgnoresRange,
    Lengthless,
    Redirect,
    Says,
    Status,
    WrongBytes,
    Zipped,
)
from tests.support.lying import lying

DATA = random.Random(7).randbytes(200_003)  # noqa: S311 - the same each time
OTHER = random.Random(8).randbytes(200_003)  # noqa: S311 - the same each time
DIGEST = Digest.of(DATA)
LONG_AGO = Header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
UNTAGGED = Header("Etag")


@contextmanager
def served(*faults, data=DATA, **more):
    with lying(files={"model": data}, faults={"files": list(faults)}, **more) as server:
        yield server


class Scene:
    def __init__(self, store):
        self.store, self.pauses, self.steps = store, Pauses(), []

    def fetch(self, server, *, path="model", **options):
        url = server if isinstance(server, str) else server.url_of(path)
        return fetch_url(
            url,
            into=self.store,
            patience=patience_for(self.pauses, attempts=options.pop("attempts", 2)),
            progress=self.steps.append,
            **options,
        )

    def cut_at(self, count, server, *faults, **options):
        """A fetch that ends after so many bytes."""
        server.lie({"files": [sum(faults, Cut(count)), Always(Cut(BEFORE))]})
        with pytest.raises(ConnectionFailed):
            self.fetch(server, **options)
        server.lie({"files": [Always(sum(faults, Fault()))]})
        server.log.clear()

    @property
    def refs(self):
        return [each.ref for each in self.store.ingests()]


@pytest.fixture
def scene(tmp_path):
    return Scene(LocalStore(tmp_path / "root"))


def ranges(server):
    return [asked.range for asked in server.asked("GET files")]


def test_a_file_comes_whole_and_unverified_without_a_digest(scene):
    with served() as server:
        fetched = scene.fetch(server)
        assert ranges(server) == [None]
    assert fetched.blob.digest == DIGEST
    assert not fetched.is_verified
    assert scene.store.read(DIGEST) == DATA
    assert isinstance(scene.steps[0], Begun)
    assert isinstance(scene.steps[-1], Done)


def test_with_a_digest_it_is_verified(scene):
    with served() as server:
        fetched = scene.fetch(server, digest=DIGEST)
        assert ranges(server) == [None]
    assert fetched.is_verified
    assert scene.steps[0].blob.digest == DIGEST
    assert scene.steps[0].blob.size == len(DATA)


def test_a_sha512_digest_is_as_good(scene):
    digest = Digest.of(DATA, "sha512")
    with served() as server:
        assert scene.fetch(server, digest=digest).blob.digest == digest


def test_what_is_here_is_not_asked_for(scene):
    scene.store.add(DATA)
    with served() as server:
        assert scene.fetch(server, digest=DIGEST).is_verified
        assert server.log == []
    assert isinstance(scene.steps[0], Found)


def test_another_attempt_goes_on_by_a_digest_from_wherever_it_is(scene):
    with served() as server, served() as mirror:
        scene.cut_at(70_000, server, digest=DIGEST)
        scene.fetch(mirror, digest=DIGEST)
        assert ranges(mirror) == ["bytes=0-0", f"bytes=70000-{len(DATA) - 1}"]
    assert scene.store.read(DIGEST) == DATA


def test_another_attempt_goes_on_with_the_same_state_of_the_file(scene):
    with served() as server:
        scene.cut_at(70_000, server)
        fetched = scene.fetch(server)
        assert ranges(server) == [None, f"bytes=70000-{len(DATA) - 1}"]
        asked = server.log[1].headers
        assert asked["If-Range"] == f'"{DIGEST}"'
    assert fetched.blob.digest == DIGEST


def test_a_time_of_change_that_is_past_is_as_good_as_a_tag(scene):
    with served() as server:
        scene.cut_at(70_000, server, UNTAGGED, LONG_AGO)
        scene.fetch(server)
        assert server.log[1].headers["If-Range"] == LONG_AGO.value
        assert ranges(server)[1] == f"bytes=70000-{len(DATA) - 1}"


@pytest.mark.parametrize(
    "faults",
    [
        (UNTAGGED,),
        (Header("Etag", 'W/"weak"'),),
    ],
    ids=str,
)
def test_without_a_name_for_the_state_of_a_file_nothing_is_resumed(scene, faults):
    with served() as server:
        scene.cut_at(70_000, server, *faults)
        fetched = scene.fetch(server)
        assert ranges(server) == [None]
    assert fetched.blob.digest == DIGEST


def test_a_file_that_changed_between_two_attempts_is_another_ingest(scene):
    with served() as server:
        scene.cut_at(70_000, server)
        server.files["model"] = OTHER
        fetched = scene.fetch(server)
        assert ranges(server) == [None]
    assert scene.store.read(fetched.blob.digest) == OTHER


def test_a_file_that_changes_in_the_middle_is_begun_anew_and_never_mixed(scene):
    @dataclass(frozen=True)
    class ChangesAfter(Fault):
        def __call__(self, answer, asked):
            asked.server.files["model"] = OTHER
            return Cut(70_000)(answer, asked)

    with served(ChangesAfter()) as server:
        fetched = scene.fetch(server)
        assert ranges(server) == [None, f"bytes=70000-{len(DATA) - 1}", None]
    assert scene.store.read(fetched.blob.digest) == OTHER
    assert scene.refs == []


def test_a_file_that_changes_each_time_is_one_error(scene):
    @dataclass(frozen=True)
    class Changes(Fault):
        def __call__(self, answer, asked):
            tag = Header("Etag", f'"{len(asked.server.log)}"')
            return Cut(70_000)(tag(answer, asked), asked)

    with served(Always(Changes())) as server, pytest.raises(ConnectionFailed) as raised:
        scene.fetch(server)
    assert "changes while it is fetched" in str(raised.value)
    assert raised.value.retryable


def test_a_server_without_ranges_gives_the_whole_again(scene):
    with served() as server:
        scene.cut_at(70_000, server)
        server.lie({"files": [Always(IgnoresRange())]})
        assert scene.fetch(server).blob.digest == DIGEST
    assert [type(step) for step in scene.steps].count(Restarted) == 1


@pytest.mark.parametrize("framing", [Chunked(), Lengthless()], ids=str)
@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_file_of_unknown_size_comes_too(scene, framing, digest):
    with served(Always(framing)) as server:
        assert scene.fetch(server, digest=digest).blob.size == len(DATA)


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_file_of_unknown_size_is_gone_on_with(scene, digest):
    with served() as server:
        scene.cut_at(70_000, server, Chunked(), digest=digest)
        scene.fetch(server, digest=digest)
        # A part says how many bytes there are in all, and a whole in chunks does not.
        assert server.log[-1].range == f"bytes=70000-{'' if digest is None else len(DATA) - 1}"
    assert scene.store.read(DIGEST) == DATA


def test_what_was_all_here_needs_no_more_than_the_size(scene):
    with scene.store.writer(f"blob-{DIGEST}") as writer:
        writer.write(DATA)
    with served() as server:
        assert scene.fetch(server, digest=DIGEST).blob.size == len(DATA)
        assert ranges(server) == ["bytes=0-0"]


def test_what_was_all_here_of_a_file_of_unknown_size_ends_with_416(scene):
    with served() as server:
        ref = ref_of(server.url_of("model"), f'"{DIGEST}"')
        with scene.store.writer(ref) as writer:
            writer.write(DATA)
        server.lie({"files": [Always(Chunked())]})
        assert scene.fetch(server).blob.digest == DIGEST
        assert server.log[-1].status == 416
        assert len(server.log) == 2


def test_the_size_of_a_page_that_came_instead_poisons_nothing(scene):
    with served(Says(b"<html>" * 100) + Cut(300), Always(Cut(0))) as server:
        with pytest.raises(ConnectionFailed):
            scene.fetch(server, digest=DIGEST)
        assert [each.total for each in scene.store.ingests()] == [600]
        server.lie({})
        assert scene.fetch(server, digest=DIGEST).blob.size == len(DATA)


def test_an_empty_file_is_one_too(scene):
    with served(data=b"") as server:
        assert scene.fetch(server).blob.size == 0
        assert scene.fetch(server, digest=Digest.of(b"")).blob.size == 0


def test_wrong_bytes_are_asked_for_once_more_and_then_an_error(scene):
    with served(WrongBytes(7)) as server:
        scene.fetch(server, digest=DIGEST)
    other = Digest.of(OTHER)
    with served() as server:
        with pytest.raises(DigestMismatch):
            scene.fetch(server, digest=other)
        assert len(server.log) == 2
    assert scene.refs == []


def test_a_compressed_file_without_a_digest_is_kept_as_it_comes(scene):
    with served(Always(Zipped())) as server:
        digest = scene.fetch(server).blob.digest
    assert scene.store.read(digest)[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("lie", [Zipped(), Zipped() + Chunked()], ids=str)
def test_a_compressed_file_is_undone_where_its_digest_says_so(scene, lie):
    with served(Always(lie)) as server:
        assert scene.fetch(server, digest=DIGEST).blob.size == len(DATA)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (403, PermissionDenied),
        (401, Unauthenticated),
        (400, Refused),
        (503, Unavailable),
        (204, ConnectionFailed),
    ],
)
def test_what_a_server_refuses_is_a_typed_error_and_nothing_is_begun(scene, status, error):
    page = b"<html><title>Sorry</title><p>no such page" if status != 204 else b""
    with served(Always(Status(status, body=page))) as server, pytest.raises(error):
        scene.fetch(server)
    assert scene.refs == []


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "file:///etc/passwd", "http://", "http:///x", "https://h:99999/x", "//a/b", "x"],
)
def test_what_is_no_url_of_ours_is_refused(scene, url):
    with pytest.raises(InvalidArgument):
        scene.fetch(url)


def test_a_url_that_cannot_be_is_shown_without_its_secrets(scene):
    with pytest.raises(InvalidArgument) as raised:
        scene.fetch("ftp://me:hunter2@registry.example/x?token=hunter2")
    assert "hunter2" not in str(raised.value)


def test_credentials_of_a_url_are_said_to_its_host_and_to_no_other(scene):
    with served() as elsewhere, served() as server:
        server.lie({"files": [Always(Redirect(elsewhere.url_of("model")))]})
        url = server.url_of("model").replace("://", "://me:p%40ss@")
        scene.fetch(url, headers={"X-Mine": "secret"})
        basic = f"Basic {b64encode(b'me:p@ss').decode()}"
        assert server.log[0].authorization == basic
        assert server.log[0].headers["X-Mine"] == "secret"
        assert elsewhere.log[0].authorization is None
        assert elsewhere.log[0].headers["X-Mine"] is None


def test_no_secret_of_a_url_is_in_a_sentence_or_a_ref(scene):
    with served(Always(Status(404))) as server, pytest.raises(NotFound) as raised:
        scene.fetch(server.url_of("model?sig=hunter2").replace("://", "://me:hunter2@"))
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(raised.value)


def test_a_redirect_to_a_file_is_not_followed(scene):
    with served(Always(Redirect("file:///etc/passwd"))) as server, pytest.raises(Refused):
        scene.fetch(server)


def test_an_address_that_expires_is_asked_for_anew(scene):
    with lying() as storage, served() as server:

        @dataclass(frozen=True)
        class Signed(Fault):
            def __call__(self, answer, asked):
                return Redirect(storage.sign(DATA, size=90_000))(answer, asked)

        server.lie({"files": [Always(Signed())]})
        assert scene.fetch(server, digest=DIGEST).blob.digest == DIGEST
        assert len(server.log) == 3


def test_an_ingest_that_was_begun_with_another_size_is_begun_anew(scene):
    with scene.store.writer(f"blob-{DIGEST}", total=7) as writer:
        writer.write(b"1234567")
    with served() as server:
        assert scene.fetch(server, digest=DIGEST).blob.digest == DIGEST


def test_labels_are_set_with_the_commit_and_on_what_was_here(tmp_path):
    with Metadata(
        f"sqlite:///{tmp_path}/metadata.db", content=LocalStore(tmp_path / "root")
    ) as metadata:
        scene = Scene(metadata.namespace("default"))
        with served() as server:
            labels = {"containerd.io/gc.root": "now"}
            assert scene.fetch(server, labels=labels).blob.labels == labels
            again = scene.fetch(server, digest=DIGEST, labels={"a": "b"})
            assert again.blob.labels == {**labels, "a": "b"}
            assert scene.fetch(server, labels={"c": "d"}).blob.labels["c"] == "d"


def test_a_ref_says_url_and_state_and_nothing_that_could_be_read():
    one = ref_of("https://registry.example/model?sig=1", '"a"')
    assert one != ref_of("https://registry.example/model?sig=1", '"b"')
    assert one != ref_of("https://registry.example/model?sig=2", '"a"')
    assert one.startswith("url-")
    assert "sig" not in one


def test_an_html_page_in_the_place_of_the_file_is_a_mismatch_and_not_the_file(scene):
    with served(Always(Says(b"<html>log in first"))) as server, pytest.raises(DigestMismatch):
        scene.fetch(server, digest=DIGEST)
    assert scene.refs == []


LATER = "Wed, 21 Oct 2015 07:28:01 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"'}, None),
        ({"ETag": '"\xe9"'}, None),
        ({"ETag": '"'}, None),
        ({"ETag": "a"}, None),
        ({"Last-Modified": LONG_AGO.value, "Date": LATER}, LONG_AGO.value),
        ({"ETag": 'W/"a"', "Last-Modified": LONG_AGO.value, "Date": LATER}, LONG_AGO.value),
        ({"Last-Modified": LONG_AGO.value, "Date": LONG_AGO.value}, None),
        ({"Last-Modified": LONG_AGO.value}, None),
        ({"Last-Modified": LONG_AGO.value, "Date": "soon"}, None),
        ({"Last-Modified": LONG_AGO.value[:-4], "Date": LATER}, None),
        ({"Last-Modified": "soon", "Date": LATER}, None),
        ({}, None),
    ],
)
def test_a_state_has_a_name_that_no_other_one_has(headers, validator):
    class Answer:
        pass

    answer = Answer()
    answer.headers = headers
    assert validator_of(answer) == validator
