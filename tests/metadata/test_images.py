from datetime import timedelta

import pytest

from lading.errors import AlreadyExists, InvalidArgument, InvalidFilter, NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ONE = Descriptor(MANIFEST, Digest.of(b"one"), 3, {"a": "1"})
TWO = Descriptor(INDEX, Digest.of(b"two"), 3)
LABELS = {"k": "v", "team": "red"}


@pytest.fixture
def images(namespace):
    return namespace.images


# Named


def test_an_image_is_what_was_named(images, clock):
    image = images.create("docker.io/library/redis:7", ONE, labels={**LABELS, "none": ""})
    assert image == ("docker.io/library/redis:7", ONE, clock.now_ns, clock.now_ns, LABELS)
    assert images.get("docker.io/library/redis:7") == image
    assert list(images.list()) == [image]


def test_a_name_that_is_taken_is_refused_and_the_image_left_alone(images):
    before = images.create("n", ONE, labels=LABELS)
    with pytest.raises(AlreadyExists):
        images.create("n", TWO)
    assert images.get("n") == before


@pytest.mark.parametrize("name", ["", "x" * 1025, "nul\0", "\ud800"])
def test_what_can_be_no_name_is_refused(images, name):
    with pytest.raises(InvalidArgument):
        images.create(name, ONE)
    with pytest.raises(InvalidArgument):
        images.update(name, labels={})
    assert list(images.list()) == []


@pytest.mark.parametrize("name", ["x" * 1024, "é:1", "'", "a b", "%s", ":name"])
def test_any_other_text_is_a_name(images, name):
    assert images.create(name, ONE) == images.get(name)


def test_labels_that_are_too_long_change_nothing(images):
    with pytest.raises(InvalidArgument):
        images.create("n", ONE, labels={"k": "v" * 4096})
    before = images.create("n", ONE)
    with pytest.raises(InvalidArgument):
        images.update("n", labels={"k": "v" * 4096})
    assert list(images.list()) == [before]


def test_images_are_listed_in_one_order(images):
    for name in ("b", "A", "a", "B:1", "~"):
        images.create(name, ONE)
    assert [image.name for image in images.list()] == ["A", "B:1", "a", "b", "~"]


# Changed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (((), TWO, {"n": "1"}), (TWO, {"n": "1"})),
        (((), TWO, None), (TWO, LABELS)),
        (((), None, {"n": "1"}), (ONE, {"n": "1"})),
        (((), None, {}), (ONE, {})),
        ((("target",), TWO, {"n": "1"}), (TWO, LABELS)),
        ((("labels",), TWO, {"n": "1"}), (ONE, {"n": "1"})),
        ((("labels",), None, None), (ONE, {})),
        ((("labels.k",), TWO, {"k": "w", "team": "blue"}), (ONE, {"k": "w", "team": "red"})),
        ((("labels.k",), None, {}), (ONE, {"team": "red"})),
        ((("labels.k", "labels.n"), None, {"n": "1"}), (ONE, {"team": "red", "n": "1"})),
        ((("labels.a.b/c",), None, {"a.b/c": "1"}), (ONE, {**LABELS, "a.b/c": "1"})),
        ((("target", "labels.k"), TWO, {}), (TWO, {"team": "red"})),
        (
            (("annotations",), TWO._replace(annotations={"b": "2"}), None),
            (ONE._replace(annotations={"b": "2"}), LABELS),
        ),
    ],
)
def test_an_update_changes_what_it_names(images, clock, change, expected):
    fields, target, labels = change
    before = images.create("n", ONE, labels=LABELS)
    clock.advance(timedelta(seconds=1))
    image = images.update("n", target=target, labels=labels, fields=fields)
    assert (image.target, image.labels) == expected
    assert (image.created_ns, image.updated_ns) == (before.created_ns, clock.now_ns)
    assert images.get("n") == image


@pytest.mark.parametrize("fields", [("name",), ("created_at",), ("labels.k", "size"), ("target",)])
def test_an_update_of_what_cannot_be_changed_changes_nothing(images, fields):
    before = images.create("n", ONE, labels=LABELS)
    with pytest.raises(InvalidArgument):
        images.update("n", labels={"k": "w"}, fields=fields)
    assert images.get("n") == before


def test_an_image_that_is_not_there_is_not_found(images):
    for call in (images.get, images.delete, images.update):
        with pytest.raises(NotFound, match="image 'n'"):
            call("n")
    assert list(images.list()) == []


def test_a_deleted_name_is_free_again(images):
    images.create("n", ONE, labels=LABELS)
    images.delete("n")
    assert list(images.list()) == []
    assert images.create("n", TWO).labels == {}


# Filters


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], "one two"),
        (["name==one"], "one"),
        (["name~=^t"], "two"),
        (["target.digest==" + ONE.digest], "one"),
        (["target.mediatype~=index"], "two"),
        (["labels.team==red"], "one"),
        (['labels."team"!=red'], "two"),
        (["annotations.a==1"], "one"),
        (["annotations.a"], "one"),
        (["labels.team==red,name==two"], ""),
        (["labels.team==red", "name==two"], "one two"),
        (["size==3"], ""),
    ],
)
def test_a_listing_is_filtered(images, filters, names):
    images.create("one", ONE, labels=LABELS)
    images.create("two", TWO)
    assert [image.name for image in images.list(*filters)] == names.split()


def test_a_bad_filter_is_refused_at_once(images):
    with pytest.raises(InvalidFilter):
        images.list("name==")
