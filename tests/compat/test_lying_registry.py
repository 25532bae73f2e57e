"""The registry of the tests answers as Debian's does, as long as it tells no lies."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.support.lying import lying
from tests.support.registry import digest, image, running_registry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lying registry")]

APP = image({"bin/app": b"app" * 1_000}, {"etc/app": b"settings"})
LAYER = APP.layers[0]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ABSENT = digest(b"absent")
BLOB = f"/v2/team/app/blobs/{digest(LAYER)}"
DATA = bytes(range(256)) * 64
UPLOADS = "/v2/team/app/blobs/uploads/"


class Asker:
    """Asks one registry."""

    def __init__(self, host, *, is_debians=False):
        self.host, self.is_debians = host, is_debians

    def __call__(self, method, path, body=None, **headers):
        """Ask; gives the status, the headers and the body."""
        parts = urlsplit(path)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            # Debian's has the length of the whole at a 416, and not the bytes.
            body = b"" if answer.status == 416 else answer.read()
            return answer.status, answer.headers, body
        finally:
            connection.close()

    def begin(self):
        status, headers, _ = self("POST", UPLOADS)
        assert status == 202
        return headers["Location"]


def code_of(body):
    return json.loads(body)["errors"][0]["code"]


@pytest.fixture(scope="module", params=["Debian's", "lying"])
def ask(request, tmp_path_factory):
    if request.param == "lying":
        with lying({"team/app:1": APP}) as registry:
            yield Asker(registry.host)
    else:
        with running_registry(tmp_path_factory.mktemp("registry")) as registry:
            registry.push(APP, "team/app:1")
            yield Asker(registry.host, is_debians=True)


def test_it_is_a_registry(ask):
    assert ask("GET", "/v2/")[0] == 200


@pytest.mark.parametrize("name", ["1", APP.digest])
def test_a_manifest_comes_with_its_type_and_digest(ask, name):
    for method, body in (("HEAD", b""), ("GET", APP.manifest)):
        status, headers, got = ask(method, f"/v2/team/app/manifests/{name}", Accept=MANIFEST)
        assert (status, got) == (200, body)
        assert headers["Content-Type"] == MANIFEST
        assert headers["Docker-Content-Digest"] == APP.digest
        assert headers["Content-Length"] == str(len(APP.manifest))


def test_a_blob_comes_whole(ask):
    for method, body in (("HEAD", b""), ("GET", LAYER)):
        status, headers, got = ask(method, BLOB)
        assert (status, got) == (200, body)
        assert headers["Content-Length"] == str(len(LAYER))
        assert headers["Docker-Content-Digest"] == digest(LAYER)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (5, 99), (0, len(LAYER) - 1), (7, len(LAYER) + 50), (7, None)]
)
def test_a_part_of_a_blob_says_which_it_is(ask, start, end):
    status, headers, got = ask("GET", BLOB, Range=f"bytes={start}-{'' if end is None else end}")
    last = min(len(LAYER) if end is None else end, len(LAYER) - 1)
    assert (status, got) == (206, LAYER[start : last + 1])
    assert headers["Content-Range"] == f"bytes {start}-{last}/{len(LAYER)}"


def test_what_is_behind_the_end_is_no_part(ask):
    status, headers, _ = ask("GET", BLOB, Range=f"bytes={len(LAYER)}-")
    assert status == 416
    assert headers["Content-Range"] == f"bytes */{len(LAYER)}"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/v2/team/app/blobs/{ABSENT}", "BLOB_UNKNOWN"),
        ("/v2/team/app/manifests/absent", "MANIFEST_UNKNOWN"),
        (f"/v2/team/app/manifests/{ABSENT}", "MANIFEST_UNKNOWN"),
    ],
)
def test_what_is_not_there_has_a_code(ask, path, code):
    status, _, body = ask("GET", path)
    assert (status, code_of(body)) == (404, code)


def test_a_blob_goes_up_in_pieces(ask):
    data = DATA + b"in pieces"
    place = ask.begin()
    status, headers, _ = ask("PATCH", place, data[:9_000], Content_Range="0-8999")
    assert (status, headers["Range"]) == (202, "0-8999")
    status, headers, _ = ask("GET", headers["Location"])
    assert (status, headers["Range"]) == (204, "0-8999")
    last = f"9000-{len(data) - 1}"
    status, headers, _ = ask("PATCH", headers["Location"], data[9_000:], Content_Range=last)
    assert (status, headers["Range"]) == (202, f"0-{len(data) - 1}")
    place = headers["Location"]
    status, headers, _ = ask("PUT", f"{place}&digest={digest(data)}")
    assert (status, headers["Docker-Content-Digest"]) == (201, digest(data))
    assert ask("GET", f"/v2/team/app/blobs/{digest(data)}")[2] == data


def test_a_blob_goes_up_in_one_piece(ask):
    data = DATA + b"in one piece"
    place = ask.begin()
    assert ask("PUT", f"{place}&digest={digest(data)}", data)[0] == 201
    assert ask("GET", f"/v2/team/app/blobs/{digest(data)}")[2] == data


def test_a_piece_that_belongs_elsewhere_is_not_taken(ask):
    _, headers, _ = ask("PATCH", ask.begin(), DATA[:100], Content_Range="0-99")
    place = headers["Location"]
    status, _, _ = ask("PATCH", place, DATA[200:300], Content_Range="200-299")
    # Debian's looks at no Content-Range, and adds whatever comes.
    assert status == (202 if ask.is_debians else 416)


def test_an_address_that_is_no_longer_the_last_one_is_unknown(ask):
    place = ask.begin()
    ask("PATCH", place, DATA[:100], Content_Range="0-99")
    status, _, body = ask("PATCH", place, DATA[100:200], Content_Range="100-199")
    assert status == 404
    assert code_of(body).startswith("BLOB_UPLOAD_")


def test_bytes_of_another_digest_are_refused(ask):
    place = ask.begin()
    status, _, body = ask("PUT", f"{place}&digest={ABSENT}", DATA)
    assert (status, code_of(body)) == (400, "DIGEST_INVALID")


def test_an_upload_can_be_given_up(ask):
    place = ask.begin()
    assert ask("DELETE", place)[0] == 204
    assert ask("GET", place)[0] == 404


def test_a_blob_of_another_repository_is_mounted(ask):
    path = f"/v2/team/other/blobs/uploads/?mount={digest(LAYER)}&from=team/app"
    status, headers, _ = ask("POST", path)
    assert (status, headers["Docker-Content-Digest"]) == (201, digest(LAYER))
    assert ask("POST", f"/v2/team/other/blobs/uploads/?mount={ABSENT}&from=team/app")[0] == 202


def test_a_manifest_needs_what_it_points_to(ask):
    path = "/v2/team/empty/manifests/1"
    status, _, body = ask("PUT", path, APP.manifest, Content_Type=MANIFEST)
    assert (status, code_of(body)) == (400, "MANIFEST_BLOB_UNKNOWN")
    path = "/v2/team/app/manifests/2"
    status, headers, _ = ask("PUT", path, APP.manifest, Content_Type=MANIFEST)
    assert (status, headers["Docker-Content-Digest"]) == (201, APP.digest)


def test_tags_come_in_pages(ask):
    for tag in ("a", "b", "c"):
        path = f"/v2/team/app/manifests/{tag}"
        assert ask("PUT", path, APP.manifest, Content_Type=MANIFEST)[0] == 201
    # Debian's has no pages of tags: it gives all of them at once.
    status, _, body = ask("GET", "/v2/team/app/tags/list")
    found = json.loads(body)
    assert (status, found["name"]) == (200, "team/app")
    assert set("abc") <= set(found["tags"])
