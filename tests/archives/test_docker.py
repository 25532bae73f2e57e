"""What `docker save` wrote, in every way it has had: layers in folders, links, and no manifests."""

import gzip
import io
import json

import pytest

from lading import Digest
from lading.errors import InvalidArchive
from lading.model.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, read_manifest
from lading.model.platform import Platform
from lading.oci.archives.docker import familiar
from lading.oci.archives.importing import import_archive
from tests.archives.building import APP, digest, entry, saved, tar
from tests.support.registry import image

LAYERS = [gzip.decompress(layer) for layer in APP.layers]
TWICE = image({"a": b"same"}, {"b": b"other"}, {"a": b"same"})


def manifest_of(imported, store):
    data = store.read(imported.target.digest)
    return read_manifest(data, imported.target.media_type)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("links", [False, True])
def test_an_image_gets_a_manifest_over_its_own_config_and_layers(store, opened, old, links):
    with opened(saved(old=old, links=links)) as source:
        (imported,) = import_archive(source, into=store)
    assert imported.name == "docker.io/library/app:1"
    assert imported.target.media_type == DOCKER_MANIFEST
    assert imported.target.platform == Platform.of_this_machine()
    manifest = manifest_of(imported, store)
    assert (manifest.config.media_type, manifest.config.digest) == (
        DOCKER_CONFIG,
        digest(APP.config),
    )
    assert [(each.media_type, each.digest, each.size) for each in manifest.layers] == [
        (DOCKER_LAYER, digest(layer), len(layer)) for layer in LAYERS
    ]
    for layer in LAYERS:
        assert store.read(Digest(digest(layer))) == layer
    assert list(store.ingests()) == []


def test_a_layer_that_an_image_has_twice_comes_once(store, opened):
    parts = {}
    paths = []
    for number, layer in enumerate(map(gzip.decompress, TWICE.layers)):
        path = f"{number}/layer.tar"
        first = next((name for name, data in parts.items() if data == layer), None)
        parts[path] = layer if first is None else first
        paths.append(path)
    entries = [
        entry(path, data) if isinstance(data, bytes) else entry(path, kind=b"2", link=f"../{data}")
        for path, data in parts.items()
    ]
    listed = [{"Config": "c.json", "RepoTags": None, "Layers": paths}]
    made = tar(
        *entries, entry("c.json", TWICE.config), entry("manifest.json", json.dumps(listed).encode())
    )
    with opened(made) as source:
        (imported,) = import_archive(source, into=store)
    assert imported.name is None
    layers = [each.digest for each in manifest_of(imported, store).layers]
    assert layers[0] == layers[2] != layers[1]


def test_compressed_layers_come_as_they_are(store, opened):
    parts = [entry(f"{number}.tar", layer) for number, layer in enumerate(APP.layers)]
    listed = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["0.tar", "1.tar"]}]
    made = tar(
        *parts, entry("c.json", APP.config), entry("manifest.json", json.dumps(listed).encode())
    )
    with opened(made) as source:
        (imported,) = import_archive(source, into=store)
    manifest = manifest_of(imported, store)
    assert [(each.media_type, each.digest) for each in manifest.layers] == [
        (f"{DOCKER_LAYER}.gzip", digest(layer)) for layer in APP.layers
    ]
    assert list(store.ingests()) == []


def test_several_tags_are_several_images_and_several_images_come(namespace, opened):
    other = image({"other": b"1"}, env="O=1")
    with opened(saved(names=["app:1", "ghcr.io/me/app:2"])) as source:
        import_archive(source, into=namespace)
    assert [each.name for each in namespace.images.list()] == [
        "docker.io/library/app:1",
        "ghcr.io/me/app:2",
    ]
    with opened(saved(other, names=[])) as source:
        (imported,) = import_archive(source, into=namespace, index_name="index")[:1]
    assert imported.name == str(imported.target.digest)
    assert json.loads(namespace.read(namespace.images.get("index").target.digest))["manifests"]


def test_an_archive_is_refused_whose_layer_is_not_the_configs(store, opened):
    wrong = bytearray(saved())
    position = wrong.index(LAYERS[0][:600]) + 550
    wrong[position] ^= 1
    with opened(bytes(wrong)) as source, pytest.raises(InvalidArchive, match=digest(LAYERS[0])):
        import_archive(source, into=store)
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []


def test_a_layer_begun_by_another_attempt_is_gone_on_with(store):
    name = Digest(digest(LAYERS[0]))
    with store.writer(f"layer-{name}", expected=name, total=len(LAYERS[0])) as writer:
        writer.write(LAYERS[0][:1000])
    import_archive(io.BytesIO(saved()), into=store)
    assert store.read(name) == LAYERS[0]
    assert list(store.ingests()) == []


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("docker.io/library/redis:7", "redis:7"),
        ("docker.io/me/app:latest", "me/app:latest"),
        ("ghcr.io/library/app:1", "ghcr.io/library/app:1"),
        ("no reference", "no reference"),
    ],
)
def test_names_are_written_as_docker_shows_them(name, short):
    assert familiar(name) == short
