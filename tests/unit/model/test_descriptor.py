"""Descriptors are read out of strangers' JSON, and written as others read them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidManifest
from lading.model.descriptor import SIZE_LIMIT, Descriptor, descriptor_of, is_media_type, json_of
from lading.model.digest import Digest
from lading.model.platform import Platform

HELLO = Digest.of(b"hello")
PLAIN = {"mediaType": "text/plain", "digest": HELLO, "size": 5}
FULL = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": HELLO,
    "size": 5,
    "urls": ["https://registry.example/layer"],
    "annotations": {"key": "value", "empty": ""},
    "platform": {
        "architecture": "arm64",
        "os": "windows",
        "os.version": "10.0.1",
        "variant": "v9",
    },
    "artifactType": "application/x-model",
}
BAD = {
    "no object": "text",
    "a list": [PLAIN],
    "nothing": None,
    "no media type": {**PLAIN, "mediaType": None},
    "a media type that is no text": {**PLAIN, "mediaType": 7},
    "a media type that is none": {**PLAIN, "mediaType": "text"},
    "a media type with a newline": {**PLAIN, "mediaType": "text/plain\n"},
    "a media type that is endless": {**PLAIN, "mediaType": "a/" + "b" * 1000},
    "no digest": {"mediaType": "text/plain", "size": 5},
    "a wrong digest": {**PLAIN, "digest": "sha256:abc"},
    "a digest that is no text": {**PLAIN, "digest": [HELLO]},
    "no size": {"mediaType": "text/plain", "digest": HELLO},
    "a negative size": {**PLAIN, "size": -1},
    "a broken size": {**PLAIN, "size": 5.0},
    "a size as a text": {**PLAIN, "size": "5"},
    "a size that is true": {**PLAIN, "size": True},
    "a size beyond all": {**PLAIN, "size": SIZE_LIMIT + 1},
    "annotations that are a list": {**PLAIN, "annotations": ["x"]},
    "an annotation that is no text": {**PLAIN, "annotations": {"x": 1}},
    "a platform that is no object": {**PLAIN, "platform": "linux"},
    "a platform of numbers": {**PLAIN, "platform": {"os": 1, "architecture": "x"}},
    "urls that are a text": {**PLAIN, "urls": "https://x"},
    "urls that are numbers": {**PLAIN, "urls": [1]},
    "an artifact type that is none": {**PLAIN, "artifactType": 7},
    "data that is no base64": {**PLAIN, "data": "§"},
    "data that is no text": {**PLAIN, "data": 7},
    "data of another size": {**PLAIN, "data": base64.b64encode(b"hell").decode()},
    "other data": {**PLAIN, "data": base64.b64encode(b"world").decode()},
}


def test_a_descriptor_is_read_whole():
    found = descriptor_of(json.loads(json.dumps(FULL)))
    assert found == Descriptor(
        media_type=FULL["mediaType"],
        digest=HELLO,
        size=5,
        annotations={"key": "value", "empty": ""},
        platform=Platform("windows", "arm64", "v9", "10.0.1"),
        artifact_type="application/x-model",
        urls=("https://registry.example/layer",),
    )
    assert isinstance(found.digest, Digest)
    assert json_of(found) == FULL


def test_what_is_not_said_is_left_away():
    found = descriptor_of({**PLAIN, "annotations": None, "platform": None, "artifactType": ""})
    assert found == Descriptor("text/plain", HELLO, 5)
    assert list(json_of(found)) == ["mediaType", "digest", "size"]


def test_what_nobody_knows_is_ignored():
    assert descriptor_of({**PLAIN, "x-unheard-of": {"deep": [1]}}) == Descriptor(
        "text/plain", HELLO, 5
    )


def test_bytes_that_were_sent_along_are_those_of_the_digest_and_not_written():
    found = descriptor_of({**PLAIN, "data": base64.b64encode(b"hello").decode()})
    assert found.data == b"hello"
    assert "data" not in json_of(found)
    empty = {"mediaType": "text/plain", "digest": Digest.of(b""), "size": 0, "data": ""}
    assert descriptor_of(empty).data == b""


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_what_can_be_no_descriptor_is_refused(value):
    with pytest.raises(InvalidManifest) as refusal:
        descriptor_of(value)
    assert len(str(refusal.value)) < 300


def test_a_platform_is_folded():
    folded = descriptor_of({**PLAIN, "platform": {"os": "Linux", "architecture": "x86_64"}})
    assert folded.platform == Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", True),
        ("a/b", True),
        ("application/vnd.x.y-z_1!#$&^.+", True),
        ("a", False),
        ("a/", False),
        ("/b", False),
        ("a/b/c", False),
        ("a/b; charset=utf-8", False),
        ("a /b", False),
        ("-a/b", False),
        (f"a/{'b' * 127}", True),
        (f"a/{'b' * 128}", False),
    ],
)
def test_a_media_type_is_one_by_the_rfc(text, is_one):
    assert is_media_type(text) == is_one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FULL, "data"]), JSON).map(lambda some: {**PLAIN, **some}))
def test_any_json_is_a_descriptor_or_refused(value):
    try:
        found = descriptor_of(value)
    except InvalidManifest:
        return
    assert descriptor_of(json_of(found)) == found._replace(data=None)
