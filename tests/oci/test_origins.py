"""Where the bytes of a blob can be had, and how they are asked for there."""

import pytest

from lading.errors import NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX
from lading.oci.crew import Crew, Stopped
from lading.oci.progress import nobody
from lading.oci.registry.origins import URLS_LIMIT, origins_of
from tests.support.lies import Status
from tests.support.lying import lying
from tests.support.registry import image

MADE = image({"a": b"a" * 1000})
LAYER = MADE.layers[0]
BLOB = Descriptor("application/vnd.gguf", Digest.of(LAYER), len(LAYER))


@pytest.fixture
def registry():
    with lying({"team/app:1": MADE}) as registry:
        yield registry


@pytest.fixture
def crew(patience):
    with Crew(nobody, patience) as crew:
        yield crew


@pytest.fixture
def origin(remote, registry, crew):
    (origin,) = origins_of(remote(f"{registry.host}/team/app"), BLOB, crew)
    return origin


@pytest.mark.parametrize(
    ("start", "end", "asked"),
    [
        (0, len(LAYER), None),
        (0, None, None),
        (0, 5, "bytes=0-4"),
        (5, len(LAYER), f"bytes=5-{len(LAYER) - 1}"),
        (5, 9, "bytes=5-8"),
    ],
)
def test_a_range_is_closed_and_the_whole_is_none(registry, origin, start, end, asked):
    with origin.open(start, end) as response:
        assert response.read(len(LAYER)) == LAYER[start:end]
    assert [request.range for request in registry.asked("blobs")] == [asked]


def test_it_is_named_as_its_host_is(registry, origin):
    assert origin.name == registry.host


def test_that_there_is_no_such_range_is_an_answer(origin):
    with origin.open(len(LAYER), len(LAYER) + 5) as response:
        assert response.status == 416


def test_that_there_is_no_such_blob_is_an_error(registry, origin):
    registry.lie({"blobs": [Status(404)]})
    with pytest.raises(NotFound):
        origin.open(0, None)


def test_a_manifest_is_asked_for_as_one(remote, registry, crew):
    made = Descriptor(OCI_INDEX, Digest(MADE.digest), len(MADE.manifest))
    (origin,) = origins_of(remote(f"{registry.host}/team/app"), made, crew)
    with origin.open(0, len(MADE.manifest)) as response:
        assert response.read(10_000) == MADE.manifest
    (asked,) = registry.asked("manifests")
    assert asked.headers["Accept"] == OCI_INDEX


def test_urls_of_its_own_come_last_and_only_with_tls_and_some(remote, registry, crew):
    urls = ["http://a.example/x", "ftp://b.example/x", "HTTPS", "https://c.example/x?secret"]
    blob = BLOB._replace(urls=(*urls, *("https://d.example/x" for _ in range(20))))
    found = origins_of(remote(f"{registry.host}/team/app"), blob, crew)
    names = [origin.name for origin in found]
    assert names[:3] == [registry.host, "https://c.example/x", "https://d.example/x"]
    assert len(names) == 1 + URLS_LIMIT


def test_nobody_is_asked_once_all_have_been_stopped(registry, origin, crew):
    crew.stop()
    with pytest.raises(Stopped):
        origin.open(0, None)
    assert registry.log == []
