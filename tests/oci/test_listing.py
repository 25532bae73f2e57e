"""What a registry says of its content, and what of that is believed."""

import json
from contextlib import ExitStack

import pytest

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    InvalidManifest,
    NotFound,
    Refused,
    Unavailable,
)
from lading.model.digest import Digest
from lading.model.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_MANIFEST,
)
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.access.hosts import Hosts
from lading.oci.registry import listing, pages
from tests.oci.scripted import Says, path_of
from tests.support.lies import Always, Chunked, Header, Lengthless, Status, WrongBytes
from tests.support.lying import Quirks, lying
from tests.support.registry import image, running_registry

MADE = image({"a.txt": b"bytes"})
DIGEST = Digest(MADE.digest)
CONFIG = b'{"mediaType": "x", "digest": "sha256:%s", "size": 2}'


def manifest_json(media_type=OCI_MANIFEST, **more):
    config = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": Digest.of(b"{}"),
        "size": 2,
    }
    value = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []} | more
    return json.dumps(value).encode()


def index_json(*manifests, media_type=OCI_INDEX):
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": list(manifests)}
    return json.dumps(value).encode()


def pointer(data, media_type=OCI_MANIFEST, **more):
    return {"mediaType": media_type, "digest": Digest.of(data), "size": len(data)} | more


def answer(data, media_type=OCI_MANIFEST, **headers):
    said = {"Content-Type": media_type, "Docker-Content-Digest": Digest.of(data)}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(200, {name: value for name, value in said.items() if value is not None}, data)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A real registry with an image of two tags."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        for tag in ("1", "2"):
            running.push(MADE, f"team/app:{tag}")
        yield running


@pytest.fixture
def app(remote, registry):
    return remote(f"{registry.host}/team/app:1")


@pytest.mark.slow
def test_a_tag_of_a_real_registry_is_resolved(app):
    found = listing.resolve(app, app.reference)
    assert (found.digest, found.size) == (MADE.digest, len(MADE.manifest))
    assert found.media_type == OCI_MANIFEST
    assert listing.manifest(app, app.reference) == (found, MADE.manifest)
    assert listing.resolve(app, app.reference.at(found.digest)) == found


@pytest.mark.slow
def test_a_blob_of_a_real_registry_is_resolved_by_its_digest(app, pauses):
    for blob in (MADE.config, *MADE.layers):
        found = listing.resolve(app, app.reference.at(Digest.of(blob)))
        assert found[:3] == ("application/octet-stream", Digest.of(blob), len(blob))
    absent = app.reference.at(Digest.of(b"absent"))
    with pytest.raises(NotFound) as caught:
        listing.resolve(app, absent)
    assert caught.value.what == f"{absent.name}@{absent.digest}"
    assert pauses == []


@pytest.mark.slow
def test_the_tags_of_a_real_registry_are_listed(app, remote, registry):
    assert sorted(listing.tags(app)) == ["1", "2"]
    with pytest.raises(NotFound, match="repository"):
        list(listing.tags(remote(f"{registry.host}/no/such:1")))


@pytest.mark.slow
def test_a_manifest_of_a_real_registry_is_deleted_and_a_tag_alone_cannot_be(remote, registry):
    registry.push(MADE, "team/old:1")
    old = remote(f"{registry.host}/team/old:1")
    with pytest.raises(Refused) as caught:
        listing.delete(old, old.reference)
    assert "tags alone are not deleted here" in str(caught.value)
    assert str(caught.value).endswith(f": {registry.host}/team/old@{MADE.digest}")
    assert list(listing.tags(old)) == ["1"]
    listing.delete(old, old.reference.at(DIGEST))
    for reference in (old.reference, old.reference.at(DIGEST)):
        with pytest.raises(NotFound):
            listing.delete(old, reference)


@pytest.mark.slow
def test_a_registry_without_referrers_has_them_under_a_tag(remote, registry):
    app = remote(f"{registry.host}/team/app:1")
    assert listing.referrers(app, app.reference) == ()
    signature = manifest_json(artifactType="a/signature")
    (host,) = app.hosts("push")
    with app.ask(host, "POST", "blobs/uploads/", actions="pull,push") as begun:
        url = f"{begun.headers['Location']}&digest={Digest.of(b'{}')}"
    app.ask(host, "PUT", "", body=b"{}", url=url, actions="pull,push").close()
    for tag, data, kind in (
        ("signature", signature, OCI_MANIFEST),
        (
            f"sha256-{DIGEST.hex}",
            index_json(pointer(signature, artifactType="a/signature")),
            OCI_INDEX,
        ),
    ):
        path, headers = f"manifests/{tag}", {"Content-Type": kind}
        app.ask(host, "PUT", path, body=data, headers=headers, actions="pull,push").close()
    (found,) = listing.referrers(app, app.reference)
    assert (found.digest, found.artifact_type) == (Digest.of(signature), "a/signature")
    assert listing.referrers(app, app.reference, artifact_type="a/signature") == (found,)
    assert listing.referrers(app, app.reference.at(DIGEST), artifact_type="a/other") == ()


@pytest.fixture
def liar(remote):
    """Start a registry that lies, and make a remote of its image."""
    with ExitStack() as stack:

        def start(faults=None, **options):
            server = stack.enter_context(
                lying({"team/app:1": MADE}, faults=faults or {}, **options)
            )
            return server, remote(f"{server.host}/team/app:1")

        yield start


@pytest.mark.parametrize(
    "fault",
    [
        Status(405),
        Status(400),
        Status(501),
        Header("Docker-Content-Digest"),
        Header("Docker-Content-Digest", "md5:1"),
        Header("Content-Type"),
        Header("Content-Type", "text/html; charset=utf-8"),
        Lengthless(),
        Chunked(),
    ],
    ids=repr,
)
def test_a_head_that_says_too_little_is_followed_by_the_whole(liar, fault):
    server, app = liar({"HEAD manifests": [Always(fault)]})
    found = listing.resolve(app, app.reference)
    assert (found.digest, found.size) == (MADE.digest, len(MADE.manifest))
    assert found.media_type == OCI_MANIFEST
    assert len(server.asked("GET manifests")) == 1


def test_a_head_is_enough_and_asks_for_every_kind(liar):
    server, app = liar()
    listing.resolve(app, app.reference)
    (asked,) = server.asked()
    assert asked.method == "HEAD"
    for kind in (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST):
        assert kind in asked.headers["Accept"]


def test_a_head_need_not_repeat_a_digest(liar):
    server, app = liar({"HEAD manifests": [Always(Header("Docker-Content-Digest"))]})
    assert listing.resolve(app, app.reference.at(DIGEST)).size == len(MADE.manifest)
    assert [asked.method for asked in server.asked()] == ["HEAD"]


@pytest.mark.parametrize("by_digest", [True, False], ids=["by digest", "by tag"])
def test_wrong_bytes_are_never_a_manifest(liar, by_digest):
    server, app = liar({"GET manifests": [Always(WrongBytes(5))]})
    reference = app.reference.at(DIGEST) if by_digest else app.reference
    with pytest.raises(DigestMismatch) as caught:
        listing.manifest(app, reference)
    assert caught.value.expected == DIGEST
    assert len(server.asked("GET manifests")) == 2


def test_bytes_that_were_wrong_once_are_asked_for_again(liar):
    _, app = liar({"GET manifests": [WrongBytes(5)]})
    assert listing.manifest(app, app.reference)[1] == MADE.manifest


def test_a_head_that_contradicts_the_digest_is_not_believed(serve, remote):
    data, other = manifest_json(), manifest_json(annotations={"a": "b"})
    server = serve(lambda asked: answer(data, Docker_Content_Digest=Digest.of(other)))
    app = remote(f"{server.host}/a:1")
    found = listing.resolve(app, app.reference.at(Digest.of(data)))
    assert (found.digest, found.size) == (Digest.of(data), len(data))


def test_with_a_tag_and_a_digest_the_digest_counts(liar):
    server, app = liar()
    reference = Reference.parse(f"{app.reference.name}:9@{DIGEST}")
    assert listing.resolve(app, reference).digest == DIGEST
    assert listing.manifest(app, reference)[1] == MADE.manifest
    assert all(asked.path.endswith(DIGEST) for asked in server.asked("manifests"))


def test_a_digest_of_another_algorithm_is_checked_by_it(serve, remote):
    data = manifest_json()
    digest = Digest.of(data, "sha512")
    server = serve(lambda asked: answer(data, Docker_Content_Digest=digest))
    app = remote(f"{server.host}/a:1")
    assert listing.manifest(app, app.reference)[0].digest == digest
    assert listing.manifest(app, app.reference.at(digest))[0].digest == digest
    with pytest.raises(DigestMismatch):
        listing.manifest(app, app.reference.at(Digest.of(b"x", "sha512")))


@pytest.mark.parametrize("length", [True, False], ids=["said", "not said"])
def test_a_manifest_has_a_limit(serve, remote, length):
    data = b" " * (MANIFEST_LIMIT + 1)

    def says(asked):
        if length or asked.method == "HEAD":
            return answer(data)
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        return Says(200, {"Content-Type": OCI_MANIFEST, "Transfer-Encoding": "chunked"}, chunked)

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    for ask in (listing.manifest, listing.resolve):
        with pytest.raises(InvalidManifest, match="longer than"):
            ask(app, app.reference)


@pytest.mark.parametrize(
    ("data", "media_type", "problem"),
    [
        (b"<html>", "text/html", "no JSON"),
        (b"[]", OCI_MANIFEST, "no JSON object"),
        (manifest_json(manifests=[]), OCI_MANIFEST, "an image or an index"),
        (manifest_json(), OCI_INDEX, "says that it is"),
        (b'{"schemaVersion": 1}', "application/json", "schema 1"),
    ],
)
def test_what_is_no_manifest_is_refused(serve, remote, data, media_type, problem):
    server = serve(lambda asked: answer(data, media_type))
    app = remote(f"{server.host}/a:1")
    with pytest.raises(InvalidManifest, match=problem):
        listing.manifest(app, app.reference)


def test_a_type_that_is_only_inside_is_found_there(serve, remote):
    data = manifest_json(DOCKER_MANIFEST)
    server = serve(lambda asked: answer(data, "application/json; charset=utf-8"))
    app = remote(f"{server.host}/a:1")
    assert listing.resolve(app, app.reference).media_type == DOCKER_MANIFEST


def test_a_platform_chooses_in_an_index(serve, remote):
    images = {
        name: manifest_json(annotations={"for": name}) for name in ("linux/amd64", "linux/arm64")
    }
    platforms = {
        name: dict(zip(("os", "architecture"), name.split("/"), strict=True)) for name in images
    }
    index = index_json(*(pointer(data, platform=platforms[name]) for name, data in images.items()))
    plain = manifest_json()

    def says(asked):
        if asked.path.endswith("/plain"):
            return answer(plain)
        return answer(index, OCI_INDEX)

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    assert listing.resolve(app, app.reference).digest == Digest.of(index)
    for name, data in images.items():
        found = listing.resolve(app, app.reference, platform=Platform.parse(name))
        assert (found.digest, str(found.platform)) == (Digest.of(data), name)
    with pytest.raises(NotFound, match=r"linux/amd64, linux/arm64"):
        listing.resolve(app, app.reference, platform=Platform.parse("linux/s390x"))
    alone = Reference.parse(f"{server.host}/a:plain")
    found = listing.resolve(app, alone, platform=Platform.parse("linux/s390x"))
    assert found.digest == Digest.of(plain)


def test_an_index_of_nothing_has_nothing_for_a_platform(serve, remote):
    server = serve(lambda asked: answer(index_json(), OCI_INDEX))
    app = remote(f"{server.host}/a:1")
    with pytest.raises(NotFound):
        listing.resolve(app, app.reference, platform=Platform.parse("linux/amd64"))


def test_a_blob_of_unknown_length_is_measured_by_a_range(serve, remote):
    blob = b"bytes"

    def says(asked):
        if "manifests" in asked.path:
            return Says(404)
        if asked.method == "HEAD":
            return Says(200, {"Transfer-Encoding": "chunked"})
        return Says(206, {"Content-Range": "bytes 0-0/5"}, blob[:1])

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    assert listing.resolve(app, app.reference.at(Digest.of(blob))).size == 5


def test_a_failure_at_a_manifest_is_not_taken_for_a_blob(serve, remote, pauses):
    # It has its manifests among its blobs, and a bad moment.
    data = manifest_json()
    moments = iter([500, 500])

    def says(asked):
        status = next(moments, 200) if "manifests" in asked.path else 200
        return answer(data) if status == 200 else Says(status)

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    found = listing.resolve(app, app.reference.at(Digest.of(data)))
    assert found.media_type == OCI_MANIFEST
    assert len(pauses) == 2


def test_a_registry_that_fails_is_asked_again(liar, pauses):
    _, app = liar({"HEAD manifests": [Status(503), Status(500)], "GET tags": [Status(502)]})
    assert listing.resolve(app, app.reference).digest == DIGEST
    assert list(listing.tags(app)) == ["1"]
    assert len(pauses) == 3
    _, app = liar({"HEAD manifests": [Always(Status(503))]})
    with pytest.raises(Unavailable):
        listing.resolve(app, app.reference)


TAGS = [f"v{number}" for number in range(25)]


def tag_server(serve, link=None, per_page=10, *, body=None):
    """Serve tags, page by page; `link` makes the Link of a page from the query of the next."""

    def says(asked):
        query = dict(part.split("=") for part in asked.path.partition("?")[2].split("&"))
        start = TAGS.index(query["last"]) + 1 if "last" in query else 0
        page = TAGS[start : start + per_page]
        headers = {}
        if link and start + per_page < len(TAGS):
            headers["Link"] = link(server, f"n={per_page}&last={page[-1]}")
        return Says(200, headers, body or json.dumps({"name": "a", "tags": page}).encode())

    server = serve(says)
    return server


@pytest.mark.parametrize(
    "link",
    [
        lambda server, query: f'</v2/a/b/tags/list?{query}>; rel="next"',
        lambda server, query: f"<list?{query}>;rel=next",
        lambda server, query: f'<{server.url}/v2/a/b/tags/list?{query}>; rel="next"',
        # A proxy that ends TLS, or a port: the registry does not know how it is reached.
        lambda server, query: f'<https://127.0.0.1/v2/a/b/tags/list?{query}>; rel="next"',
        lambda server, query: f'</x>; rel="prev", </v2/a/b/tags/list?{query}>; rel="next"',
        lambda server, query: f'<?{query}>; title="a, b"; REL="last next"',
    ],
)
def test_tags_come_page_by_page_as_the_link_says(serve, remote, link):
    server = tag_server(serve, link)
    assert list(listing.tags(remote(f"{server.host}/a/b:1"))) == TAGS
    assert {path_of(asked) for asked in server.asked} == {"/v2/a/b/tags/list"}
    assert len(server.asked) == 3


def test_a_mirror_is_told_on_each_page_whose_it_is(serve, remote, tmp_path):
    server = tag_server(serve, lambda server, query: f"<list?{query}>; rel=next")
    folder = tmp_path / "registry.example"
    folder.mkdir()
    (folder / "hosts.toml").write_text(f'[host."{server.url}"]\n')
    app = remote("registry.example/a/b:1", hosts=Hosts([tmp_path]))
    assert list(listing.tags(app)) == TAGS
    assert all("ns=registry.example" in asked.path for asked in server.asked)
    assert len(server.asked) == 3


def test_a_page_is_asked_for_when_it_is_needed(serve, remote):
    server = tag_server(serve, lambda server, query: f"<list?{query}>; rel=next")
    tags = listing.tags(remote(f"{server.host}/a/b:1"))
    assert [next(tags) for _ in range(10)] == TAGS[:10]
    assert len(server.asked) == 1


def test_without_a_link_a_full_page_is_asked_beyond(serve, remote, monkeypatch):
    monkeypatch.setattr(listing, "TAGS_PER_PAGE", 10)
    server = tag_server(serve)
    assert list(listing.tags(remote(f"{server.host}/a/b:1"))) == TAGS
    assert [asked.path.partition("?")[2] for asked in server.asked] == [
        "n=10",
        "n=10&last=v9",
        "n=10&last=v19",
    ]


def test_a_registry_that_knows_no_pages_is_not_asked_for_ever(serve, remote, monkeypatch):
    monkeypatch.setattr(listing, "TAGS_PER_PAGE", 10)
    body = json.dumps({"tags": TAGS[:10]}).encode()
    server = tag_server(serve, body=body)
    assert list(listing.tags(remote(f"{server.host}/a/b:1"))) == TAGS[:10]
    assert len(server.asked) == 2


def test_a_list_in_a_circle_has_an_end(serve, remote):
    body = json.dumps({"tags": TAGS}).encode()
    link = {"Link": '<list?n=1&last=a>; rel="next"'}
    server = serve(lambda asked: Says(200, link, body))
    with pytest.raises(InvalidManifest, match="has no end"):
        list(listing.tags(remote(f"{server.host}/a/b:1")))
    assert len(server.asked) == 2


def test_a_list_without_an_end_has_one(serve, remote, monkeypatch):
    monkeypatch.setattr(pages, "PAGES_LIMIT", 5)

    def says(asked):
        link = f'<list?last={len(server.asked)}>; rel="next"'
        return Says(200, {"Link": link}, b'{"tags": ["a"]}')

    server = serve(says)
    with pytest.raises(InvalidManifest, match="has no end"):
        list(listing.tags(remote(f"{server.host}/a/b:1")))
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    "target", ["https://evil.example/v2/tags", "//evil.example/x", "http://[x"]
)
def test_a_list_does_not_go_on_at_another_host(serve, remote, target):
    link = {"Link": f'<{target}>; rel="next"'}
    server = serve(lambda asked: Says(200, link, b'{"tags": ["a"]}'))
    with pytest.raises(InvalidManifest, match="goes on at"):
        list(listing.tags(remote(f"{server.host}/a/b:1")))


@pytest.mark.parametrize("body", [b'{"tags": null}', b'{"name": "a"}', b'{"tags": []}'])
def test_a_repository_may_have_no_tags(serve, remote, body):
    server = serve(lambda asked: Says(200, {}, body))
    assert list(listing.tags(remote(f"{server.host}/a/b:1"))) == []


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"7", b'{"tags": "a"}', b'{"tags": [1]}', b"[" * 99_999]
)
def test_what_is_no_list_of_tags_is_refused(serve, remote, body):
    server = serve(lambda asked: Says(200, {}, body))
    with pytest.raises(InvalidManifest):
        list(listing.tags(remote(f"{server.host}/a/b:1")))


def test_a_list_has_a_limit(serve, remote, monkeypatch, patience):
    monkeypatch.setattr(pages, "PAGE_LIMIT", 10)
    server = serve(lambda asked: Says(200, {}, b'{"tags": ["aaaaaaaa"]}'))
    with pytest.raises(ConnectionFailed, match="longer than 10 bytes"):
        list(listing.tags(remote(f"{server.host}/a/b:1")))


SIGNATURE = pointer(b"s", artifactType="a/signature", annotations={"by": "me"})
DOCUMENT = pointer(b"d", artifactType="a/document")


def test_what_is_attached_is_listed_over_all_pages_and_once(serve, remote):
    def says(asked):
        if "page=2" in asked.path:
            return Says(200, {"Content-Type": OCI_INDEX}, index_json(DOCUMENT, SIGNATURE))
        link = {"Link": '<?page=2>; rel="next"', "Content-Type": OCI_INDEX}
        return Says(200, link, index_json(SIGNATURE))

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    found = listing.referrers(app, app.reference.at(DIGEST))
    assert [(each.digest, each.artifact_type) for each in found] == [
        (SIGNATURE["digest"], "a/signature"),
        (DOCUMENT["digest"], "a/document"),
    ]
    assert found[0].annotations == {"by": "me"}
    assert server.asked[0].path == f"/v2/a/referrers/{DIGEST}"
    assert server.asked[0].header("Accept") == OCI_INDEX


@pytest.mark.parametrize("filters", [True, False], ids=["by the registry", "by us"])
def test_what_is_attached_is_filtered(serve, remote, filters):
    # Who filters need not repeat by what.
    silent = {name: value for name, value in SIGNATURE.items() if name != "artifactType"}
    listed = [silent] if filters else [SIGNATURE, DOCUMENT]
    headers = {"OCI-Filters-Applied": "artifactType"} if filters else {}
    server = serve(lambda asked: Says(200, headers, index_json(*listed)))
    app = remote(f"{server.host}/a:1")
    found = listing.referrers(app, app.reference.at(DIGEST), artifact_type="a/signature")
    assert [each.digest for each in found] == [SIGNATURE["digest"]]
    assert server.asked[0].path.endswith("?artifactType=a%2Fsignature")


@pytest.mark.parametrize("status", [404, 400, 405])
def test_without_the_api_what_is_attached_is_under_a_tag(serve, remote, status):
    index = index_json(SIGNATURE, DOCUMENT)

    def says(asked):
        if "/referrers/" in asked.path:
            return Says(status, {}, b"404 page not found")
        return answer(index, OCI_INDEX)

    server = serve(says)
    app = remote(f"{server.host}/a:1")
    found = listing.referrers(app, app.reference.at(DIGEST), artifact_type="a/document")
    assert [each.digest for each in found] == [DOCUMENT["digest"]]
    assert server.asked[-1].path == f"/v2/a/manifests/sha256-{DIGEST.hex}"


def test_who_may_not_see_what_is_attached_is_told_so(serve, remote):
    server = serve(lambda asked: Says(403))
    app = remote(f"{server.host}/a:1")
    with pytest.raises(Exception, match="not allowed"):
        listing.referrers(app, app.reference.at(DIGEST))


@pytest.mark.parametrize("limit", [1, 2])
def test_what_is_attached_has_a_limit(serve, remote, monkeypatch, limit):
    monkeypatch.setattr(listing, "REFERRERS_LIMIT", limit)
    server = serve(lambda asked: Says(200, {}, index_json(SIGNATURE, DOCUMENT)))
    app = remote(f"{server.host}/a:1")
    if limit == 2:
        assert len(listing.referrers(app, app.reference.at(DIGEST))) == 2
    else:
        with pytest.raises(InvalidManifest, match="more than 1"):
            listing.referrers(app, app.reference.at(DIGEST))


def test_a_tag_is_deleted_where_that_can_be(liar):
    server, app = liar()
    listing.delete(app, app.reference)
    (asked,) = server.asked("DELETE")
    assert asked.path.endswith("/manifests/1")
    with pytest.raises(NotFound):
        listing.resolve(app, app.reference)


def test_a_registry_without_deletion_says_so(liar):
    _, app = liar({"DELETE": [Always(Status(405))]})
    with pytest.raises(Refused, match="deletion is switched off at this registry"):
        listing.delete(app, app.reference.at(DIGEST))
    _, app = liar({"DELETE": [Always(Status(405))]})
    with pytest.raises(Refused, match="tags alone are not deleted here"):
        listing.delete(app, app.reference)


def test_a_lying_registry_has_referrers(liar):
    _, app = liar(quirks=Quirks(referrers=True))
    assert listing.referrers(app, app.reference) == ()
