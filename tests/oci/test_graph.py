"""What an image is made of, and the names by which containerd would know it."""

import json

import pytest

from lading.errors import InvalidManifest, NotFound, SizeMismatch
from lading.model.descriptor import Descriptor, json_of
from lading.model.digest import Digest
from lading.model.manifest import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    read_manifest,
)
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci import graph as module
from lading.oci.graph import (
    distribution_label,
    gc_labels,
    read_graph,
    ref_for,
    repositories_of,
)

REDIS = Reference.parse("docker.io/library/redis:7")


class Shelf:
    """Manifests that were made, by their digests."""

    def __init__(self):
        self.held = {}

    def put(self, value, media_type):
        data = json.dumps(value).encode()
        descriptor = Descriptor(media_type, Digest.of(data), len(data))
        self.held[descriptor.digest] = data
        return descriptor

    def image(self, *layers, config=None):
        config = config or blob(OCI_CONFIG, "config")
        value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": json_of(config)}
        return self.put(value | {"layers": list(map(json_of, layers))}, OCI_MANIFEST)

    def index(self, *manifests):
        value = {"schemaVersion": 2, "mediaType": OCI_INDEX}
        return self.put(value | {"manifests": list(map(json_of, manifests))}, OCI_INDEX)

    def read(self, descriptor):
        return self.held[descriptor.digest]


def blob(media_type, name="layer", size=9):
    return Descriptor(media_type, Digest.of(name.encode()), size)


def on(descriptor, platform):
    return descriptor._replace(platform=Platform.parse(platform))


@pytest.fixture
def shelf():
    return Shelf()


def test_an_image_is_its_config_and_its_layers(shelf):
    layers = [blob(OCI_LAYER, name) for name in "ab"]
    target = shelf.image(*layers)
    found = read_graph(target, shelf.read)
    assert [node.descriptor for node in found.manifests] == [target]
    assert found.blobs == (blob(OCI_CONFIG, "config"), *layers)
    assert found.manifests[0].data == shelf.read(target)


def test_a_target_that_is_no_manifest_is_one_blob(shelf):
    found = read_graph(blob("application/vnd.gguf"), shelf.read)
    assert found == ((), (blob("application/vnd.gguf"),))


def test_each_manifest_comes_after_what_it_points_to_and_each_blob_once(shelf):
    one = shelf.image(blob(OCI_LAYER, "shared"), blob(OCI_LAYER, "one"))
    two = shelf.image(blob(OCI_LAYER, "shared"), blob(OCI_LAYER, "two"))
    inner = shelf.index(one, two)
    # Both directly and through another index: still before the inner one.
    target = shelf.index(two, inner, one)
    told = []
    found = read_graph(target, shelf.read, found=told.append)
    order = [node.descriptor.digest for node in found.manifests]
    assert order[-1] == target.digest
    assert order.index(inner.digest) == 2
    assert sorted(order) == sorted(each.digest for each in (one, two, inner, target))
    names = [blob(OCI_LAYER, name).digest for name in ("shared", "one", "two")]
    assert sorted(each.digest for each in found.blobs) == sorted(
        [*names, blob(OCI_CONFIG, "config").digest]
    )
    digests = [each.digest for each in told]
    assert len(digests) == len(set(digests)) == len(found.manifests) + len(found.blobs)


def test_an_index_is_narrowed_to_a_platform(shelf):
    one = on(shelf.image(blob(OCI_LAYER, "one")), "linux/amd64")
    two = on(shelf.image(blob(OCI_LAYER, "two")), "linux/arm64")
    target = shelf.index(one, two)
    found = read_graph(target, shelf.read, platform=Platform.parse("linux/arm64"))
    assert [node.descriptor.digest for node in found.manifests] == [two.digest, target.digest]
    with pytest.raises(NotFound):
        read_graph(target, shelf.read, platform=Platform.parse("linux/s390x"))


def test_a_level_is_read_at_once(shelf):
    levels = []

    def read_all(read, manifests):
        levels.append(len(manifests))
        return list(map(read, manifests))

    images = [shelf.image(blob(OCI_LAYER, name)) for name in "abc"]
    read_graph(shelf.index(*images), shelf.read, read_all=read_all)
    assert levels == [1, 3]


def test_what_is_too_deep_is_refused(shelf):
    target = shelf.image()
    for _ in range(module.DEPTH_LIMIT - 1):
        target = shelf.index(target)
    assert len(read_graph(target, shelf.read).manifests) == module.DEPTH_LIMIT
    with pytest.raises(InvalidManifest, match="point to each other in a row"):
        read_graph(shelf.index(target), shelf.read)


def test_who_points_to_itself_does_not_go_on_for_ever(shelf):
    one, two = (blob(OCI_INDEX, name, size=1000) for name in ("one", "two"))

    def read(descriptor):
        other = two if descriptor.digest == one.digest else one
        value = {"schemaVersion": 2, "manifests": [json_of(other)]}
        return json.dumps(value).encode().ljust(1000)

    assert len(read_graph(one, read).manifests) == 2


@pytest.mark.parametrize("limit", ["MANIFESTS_LIMIT", "BYTES_LIMIT"])
def test_too_many_manifests_are_refused(shelf, monkeypatch, limit):
    images = [shelf.image(blob(OCI_LAYER, name)) for name in "abc"]
    some, all_ = shelf.index(*images[:2]), shelf.index(*images)
    size = sum(each.size for each in (some, *images[:2]))
    monkeypatch.setattr(module, limit, 3 if limit == "MANIFESTS_LIMIT" else size)
    assert len(read_graph(some, shelf.read).manifests) == 3
    with pytest.raises(InvalidManifest, match="more than"):
        read_graph(all_, shelf.read)


def test_a_manifest_of_another_size_is_refused(shelf):
    target = shelf.image()
    with pytest.raises(SizeMismatch):
        read_graph(target._replace(size=target.size + 1), shelf.read)


def test_a_blob_of_two_sizes_is_refused(shelf):
    target = shelf.image(blob(OCI_LAYER, size=1), blob(OCI_LAYER, size=2))
    with pytest.raises(InvalidManifest, match="is said to have 1 bytes, and 2 elsewhere"):
        read_graph(target, shelf.read)


def test_a_manifest_that_came_as_something_else_is_refused(shelf):
    target = shelf.image()
    with pytest.raises(InvalidManifest, match=f"manifest {target.digest}: "):
        read_graph(target._replace(media_type=OCI_INDEX), shelf.read)


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        (OCI_MANIFEST, "manifest"),
        (DOCKER_MANIFEST, "manifest"),
        (OCI_INDEX, "index"),
        (DOCKER_INDEX, "index"),
        (f"{OCI_LAYER}+zstd", "layer"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", "layer"),
        (DOCKER_LAYER, "layer"),
        (f"{DOCKER_LAYER}.gzip", "layer"),
        (f"{DOCKER_LAYER}.gzip+encrypted", "layer"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "layer"),
        ("application/vnd.docker.image.rootfs.other", "unknown"),
        (OCI_CONFIG, "config"),
        (DOCKER_CONFIG, "config"),
        ("application/vnd.in-toto+json", "attestation"),
        (OCI_EMPTY, "unknown"),
        ("application/octet-stream", "unknown"),
    ],
)
def test_a_ref_is_containerds(media_type, kind):
    assert ref_for(blob(media_type)) == f"{kind}-{blob(media_type).digest}"


def test_a_name_in_a_descriptor_is_a_part_of_its_ref_as_far_as_a_ref_can_hold_it():
    named = {"org.opencontainers.image.ref.name": "docker.io/library/redis:7"}
    found = blob(OCI_MANIFEST)._replace(annotations=named)
    assert ref_for(found) == f"manifest-docker.io/library/redis:7@{found.digest}"
    found = found._replace(annotations={"org.opencontainers.image.ref.name": "é" * 40_000})
    assert ref_for(found) == f"manifest-{found.digest}"


def test_the_labels_of_an_image_are_containerds(shelf):
    layers = [blob(OCI_LAYER, "a"), blob("application/vnd.gguf", "b"), blob(DOCKER_LAYER, "c")]
    target = shelf.image(*layers)
    assert gc_labels(read_manifest(shelf.read(target))) == {
        "containerd.io/gc.ref.content.config": blob(OCI_CONFIG, "config").digest,
        "containerd.io/gc.ref.content.l.0": layers[0].digest,
        "containerd.io/gc.ref.content.0": layers[1].digest,
        "containerd.io/gc.ref.content.l.1": layers[2].digest,
    }


def test_the_labels_of_an_index_name_what_is_not_here_as_well(shelf):
    one, two = shelf.image(blob(OCI_LAYER, "a")), shelf.image(blob(OCI_LAYER, "b"))
    target = shelf.index(one, shelf.index(two), two)
    assert gc_labels(read_manifest(shelf.read(target))) == {
        "containerd.io/gc.ref.content.m.0": one.digest,
        "containerd.io/gc.ref.content.0": shelf.index(two).digest,
        "containerd.io/gc.ref.content.m.1": two.digest,
    }


def test_a_second_config_is_numbered_as_containerd_does(shelf):
    target = shelf.image(blob(OCI_CONFIG, "other"))
    keys = list(gc_labels(read_manifest(shelf.read(target))))
    assert keys == ["containerd.io/gc.ref.content.config", "containerd.io/gc.ref.content.config1"]


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("redis", "docker.io"),
        ("localhost:5000/library/redis", "localhost"),
        ("[::1]:5000/library/redis", "::1"),
        ("[fe80::2]/library/redis", "fe80::2"),
    ],
)
def test_where_a_blob_comes_from_is_told_by_the_hosts_name(reference, host):
    found = distribution_label(Reference.parse(reference), {})
    assert found == {f"containerd.io/distribution.source.{host}": "library/redis"}


def test_repositories_are_added_in_order_and_once():
    key = "containerd.io/distribution.source.docker.io"
    labels = {key: "b/b"}
    for name, together in (("z/z", "b/b,z/z"), ("a/a", "a/a,b/b,z/z")):
        labels |= distribution_label(Reference.parse(name), labels)
        assert labels == {key: together}
    assert distribution_label(Reference.parse("b/b"), labels) == {}
    assert repositories_of(labels, Reference.parse("a/a")) == ("b/b", "z/z")
    assert repositories_of(labels, Reference.parse("ghcr.io/a/a")) == ()
    assert repositories_of({}, Reference.parse("a/a")) == ()


def test_a_label_that_is_full_stays_as_it_is():
    key = "containerd.io/distribution.source.docker.io"
    full = ",".join(f"repository/{number:040}" for number in range(100))[: 4096 - len(key)]
    assert distribution_label(REDIS, {key: full}) == {}
