"""References are read as people type them, and what is none is refused with a reason."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidArgument, InvalidReference
from lading.model.digest import Digest
from lading.model.reference import NAME_LIMIT, Reference

A = "a" * 64
DIGEST = f"sha256:{A}"

GOOD = {
    "redis": ("docker.io", "library/redis", "latest", None),
    "redis:7": ("docker.io", "library/redis", "7", None),
    "me/app": ("docker.io", "me/app", "latest", None),
    "docker.io/redis": ("docker.io", "library/redis", "latest", None),
    "docker.io/library/redis:7": ("docker.io", "library/redis", "7", None),
    "index.docker.io/redis": ("docker.io", "library/redis", "latest", None),
    "ghcr.io/me/model:1": ("ghcr.io", "me/model", "1", None),
    f"ghcr.io/me/model@{DIGEST}": ("ghcr.io", "me/model", None, DIGEST),
    f"ghcr.io/me/model:1@{DIGEST}": ("ghcr.io", "me/model", "1", DIGEST),
    f"redis@{DIGEST}": ("docker.io", "library/redis", None, DIGEST),
    "localhost/app": ("localhost", "app", "latest", None),
    "localhost:5000/a/b:1.0": ("localhost:5000", "a/b", "1.0", None),
    "127.0.0.1:5000/a": ("127.0.0.1:5000", "a", "latest", None),
    "[::1]:5000/a": ("[::1]:5000", "a", "latest", None),
    "[2001:db8::1]/a:1": ("[2001:db8::1]", "a", "1", None),
    "registry.example/a/b/c/d:x": ("registry.example", "a/b/c/d", "x", None),
    "Registry.example/a": ("Registry.example", "a", "latest", None),
    "UPPER/a": ("UPPER", "a", "latest", None),
    "host-with-hyphen:80/a": ("host-with-hyphen:80", "a", "latest", None),
    "a__b/c-d---e/f.g_h": ("docker.io", "a__b/c-d---e/f.g_h", "latest", None),
    f"a:{'t' * 128}": ("docker.io", "library/a", "t" * 128, None),
    "a:_x": ("docker.io", "library/a", "_x", None),
    f"{A}:tag": ("docker.io", f"library/{A}", "tag", None),
    f"me/{A}": ("docker.io", f"me/{A}", "latest", None),
    "docker://quay.io/a/b": ("quay.io", "a/b", "latest", None),
}
BAD = {
    "": "nothing",
    ":": "a colon",
    "/": "a slash",
    "@": "an at",
    ":1": "a tag alone",
    "/a": "no host",
    "a/": "no repository",
    "a//b": "an empty part",
    "a:": "no tag",
    "a:b:c": "two tags",
    "a:/b": "no port",
    "a@": "no digest",
    "a@sha256:": "no hash",
    "a@sha256:abc": "a short hash",
    f"a@SHA256:{A}": "an algorithm in capitals",
    f"a@md5:{'a' * 32}": "an algorithm that is not ours",
    f"a@{DIGEST}@{DIGEST}": "two digests",
    f"a@{DIGEST}:1": "a tag behind the digest",
    "A": "a repository in capitals",
    "a/B": "a repository in capitals behind a slash",
    "registry.example/A": "a repository in capitals behind a host",
    "-a": "a hyphen first",
    "a-": "a hyphen last",
    "a/-b": "a hyphen first in a part",
    "_a": "an underscore first",
    "a___b": "three underscores",
    "a..b": "two dots",
    ".a": "a dot first",
    "a._b": "two separators",
    " a": "a blank first",
    "a ": "a blank last",
    "a\n": "a newline",
    "a b": "a blank",
    "é": "a letter that is not English",
    "a:é": "a tag that is not English",
    "a:-b": "a hyphen first in the tag",
    "a:.b": "a dot first in the tag",
    f"a:{'t' * 129}": "a tag that is too long",
    A: "64 hex digits",
    "a" * 300: "a name that is too long",
    "-host.example/a": "a hyphen first in the host",
    "host-.example/a": "a hyphen last in a label",
    "host_x.example/a": "an underscore in the host",
    "host.example:x/a": "a port of letters",
    "host.example:/a": "no port behind the colon",
    "[::1/a": "a bracket that does not close",
    "[::1]": "a host alone",
    "[::1]x/a": "something behind the bracket",
    "http://registry.example/a": "a URL",
    "user@registry.example/a": "a user",
    "registry.example/a?x=1": "a query",
    "registry.example/../a": "dots",
}


@pytest.mark.parametrize(("text", "parts"), GOOD.items())
def test_what_goes_without_saying_is_filled_in(text, parts):
    reference = Reference.parse(text)
    assert reference == parts
    assert reference.digest is None or isinstance(reference.digest, Digest)


@pytest.mark.parametrize("text", GOOD)
def test_the_text_of_a_reference_is_read_as_the_same(text):
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(f"docker://{reference}") == reference
    assert pickle.loads(pickle.dumps(reference)) == reference  # noqa: S301 - made here


@pytest.mark.parametrize("text", BAD, ids=BAD.values())
def test_what_is_no_reference_is_refused_with_a_reason(text):
    with pytest.raises(InvalidReference) as refusal:
        Reference.parse(text)
    assert isinstance(refusal.value, InvalidArgument)
    assert "write registry/repository:tag" in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_the_reason_says_what_is_wrong():
    reasons = {
        "a:b:c": "'b:c' is no tag",
        "ghcr.io/Me/app": "lower case",
        A: "repository@sha256:",
        "a@sha256:abc": "'sha256:abc' is no digest",
        "-x.example/a": "'-x.example' is no host",
        "a" * 300: f"longer than {NAME_LIMIT}",
    }
    for text, reason in reasons.items():
        with pytest.raises(InvalidReference, match=reason):
            Reference.parse(text)


def test_a_reference_names_a_repository_and_an_object_in_it():
    tagged = Reference.parse("localhost:5000/a/b:1.0")
    assert (tagged.name, tagged.object) == ("localhost:5000/a/b", "1.0")
    both = Reference.parse(f"ghcr.io/me/model:1@{DIGEST}")
    assert (both.object, str(both)) == (DIGEST, f"ghcr.io/me/model:1@{DIGEST}")
    assert str(tagged.at(Digest(DIGEST))) == f"localhost:5000/a/b@{DIGEST}"


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text):
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert str(reference).isascii()
    assert str(reference).isprintable()
