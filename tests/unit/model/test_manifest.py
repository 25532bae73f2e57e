"""Manifests are read as what they say they are, and what could be read in two ways is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidManifest
from lading.model.digest import Digest
from lading.model.manifest import (
    ACCEPTED,
    CHILDREN_LIMIT,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    MANIFESTS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    is_index,
    is_manifest,
    read_manifest,
)


def descriptor(data, media_type):
    return {"mediaType": media_type, "digest": Digest.of(data), "size": len(data)}


CONFIG, LAYER = descriptor(b"{}", OCI_CONFIG), descriptor(b"layer", OCI_LAYER)
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER, LAYER]}
INDEX = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [descriptor(b"a manifest", OCI_MANIFEST)],
}


def read(value, media_type=None):
    return read_manifest(json.dumps(value).encode(), media_type)


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_has_a_config_and_layers(media_type):
    found = read({**IMAGE, "mediaType": media_type})
    assert (found.kind, found.media_type) == ("image", media_type)
    assert [each.digest for each in found.children] == [
        CONFIG["digest"], LAYER["digest"], LAYER["digest"],
    ]  # fmt: skip


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
def test_an_index_has_manifests(media_type):
    found = read({**INDEX, "mediaType": media_type})
    assert (found.kind, found.media_type) == ("index", media_type)
    assert found.children == found.manifests
    assert len(found.manifests) == 1


def test_an_artifact_is_an_image_of_its_own_type_and_its_subject_is_no_child():
    found = read(
        {
            **IMAGE,
            "artifactType": "application/x-signature",
            "subject": descriptor(b"subject", OCI_MANIFEST),
            "annotations": {"key": "value"},
            "layers": [],
        }
    )
    assert found.artifact_type == "application/x-signature"
    assert found.subject.digest == Digest.of(b"subject")
    assert [each.digest for each in found.children] == [CONFIG["digest"]]
    assert found.annotations == {"key": "value"}


@pytest.mark.parametrize(
    ("value", "came_as", "kind"),
    [
        ({"schemaVersion": 2, "manifests": []}, None, OCI_INDEX),
        ({"schemaVersion": 2, "config": CONFIG, "layers": []}, None, OCI_MANIFEST),
        ({"schemaVersion": 2}, None, OCI_MANIFEST),
        ({"schemaVersion": 2}, OCI_INDEX, OCI_INDEX),
        ({"schemaVersion": 2, "config": CONFIG, "layers": []}, DOCKER_MANIFEST, DOCKER_MANIFEST),
        ({"schemaVersion": 2, "manifests": None}, DOCKER_INDEX, DOCKER_INDEX),
        (IMAGE, "application/octet-stream", OCI_MANIFEST),
        (INDEX, OCI_INDEX, OCI_INDEX),
    ],
)
def test_what_does_not_say_what_it_is_is_what_it_came_as_or_looks_like(value, came_as, kind):
    assert read(value, came_as).media_type == kind


BOTH = {**IMAGE, **INDEX}
BAD = {
    "an image and an index": (BOTH, None),
    "an image and an index that came as one": (BOTH, OCI_INDEX),
    "an index with a config": ({**INDEX, "config": CONFIG}, None),
    "an index with empty layers": ({**INDEX, "layers": []}, None),
    "an image with empty manifests": ({**IMAGE, "manifests": []}, None),
    "an image that says it is an index": ({**IMAGE, "mediaType": OCI_INDEX}, None),
    "an index that says it is an image": ({**INDEX, "mediaType": OCI_MANIFEST}, None),
    "an image that came as an index": (IMAGE, OCI_INDEX),
    "an index that came as an image": (INDEX, OCI_MANIFEST),
    "an image that came as docker's": (IMAGE, DOCKER_MANIFEST),
    "an image without a type that came as an index": (
        {"config": CONFIG, "layers": []}, OCI_INDEX,
    ),
    "an unknown type": ({**IMAGE, "mediaType": "application/json"}, None),
    "a type that is no text": ({**IMAGE, "mediaType": 7}, None),
    "a type that is none": ({**IMAGE, "mediaType": "x"}, None),
    "schema 1": ({"schemaVersion": 1, "fsLayers": []}, None),
    "schema 1 by its type": ({}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    "no object": ([], None),
    "a text": ("x", None),
    "layers that are no list": ({**IMAGE, "layers": {"a": 1}}, None),
    "a layer that is none": ({**IMAGE, "layers": ["x"]}, None),
    "a config that is none": ({**IMAGE, "config": []}, None),
    "manifests that are no list": ({**INDEX, "manifests": "x"}, None),
    "a subject that is none": ({**IMAGE, "subject": 7}, None),
    "an artifact type that is none": ({**IMAGE, "artifactType": [7]}, None),
    "layers in other capitals": ({**IMAGE, "Layers": []}, None),
    "a digest in other capitals": ({**IMAGE, "config": {**CONFIG, "DIGEST": "x"}}, None),
    "annotations that are none": ({**IMAGE, "annotations": ["x"]}, None),
    "too many layers": ({**IMAGE, "layers": [0] * (CHILDREN_LIMIT + 1)}, None),
}  # fmt: skip


@pytest.mark.parametrize(("value", "came_as"), BAD.values(), ids=BAD)
def test_what_can_be_none_or_two_things_is_refused(value, came_as):
    with pytest.raises(InvalidManifest) as refusal:
        read(value, came_as)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 1_000_000,
        b'{"a":' * 500_000,
        b'{"schemaVersion": ' + b"9" * 10_000 + b"}",
        json.dumps(IMAGE).encode("utf-16"),
        b" " * (MANIFEST_LIMIT + 1),
        json.dumps(IMAGE).encode()[:-1] + b', "layers": []}',
        json.dumps(IMAGE).encode()[:-1] + b', "annotations": {"a": "b", "a": "c"}}',
    ],
    ids=[
        *("nothing", "no text", "half", "deep", "deep objects", "digits", "another code", "long"),
        *("layers twice", "an annotation twice"),
    ],
)
def test_what_is_no_json_or_too_much_is_refused(data):
    with pytest.raises(InvalidManifest):
        read_manifest(data)


def test_media_types_say_who_points_to_others():
    assert {each for each in MANIFESTS if is_manifest(each)} == set(ACCEPTED)
    assert [each for each in ACCEPTED if is_index(each)] == [OCI_INDEX, DOCKER_INDEX]
    assert not is_manifest(OCI_LAYER)


FIELDS = ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType"]
VALUES = st.sampled_from(
    [None, 2, 1, "x", [], {}, CONFIG, [CONFIG], [LAYER], *ACCEPTED, OCI_LAYER, [None], [[]]]
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.sampled_from([None, *ACCEPTED, "text/plain"]),
)
def test_any_document_is_one_kind_or_refused(value, came_as):
    try:
        found = read(value, came_as)
    except InvalidManifest:
        return
    assert found.media_type in MANIFESTS
    assert (found.kind == "index") == is_index(found.media_type)
    assert not (found.manifests and (found.layers or found.config))
    if came_as in MANIFESTS:
        assert found.media_type == came_as
    if value.get("mediaType") is not None:
        assert found.media_type == value["mediaType"]
