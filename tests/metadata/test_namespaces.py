from datetime import timedelta

import pytest

from lading.errors import FailedPrecondition, InvalidArgument, NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest

TARGET = Descriptor("m", Digest.of(b"x"), 1)
GOOD = ["version", "a", "k8s.io", "a-b_c.d", "0", "A" * 76]
BAD = ["", "A" * 77, "a/b", "a..b", "-a", "a-", "a b", "é", "a\n", "\0", "\ud800", "..", "٣"]


def names_in(metadata):
    return [namespace.name for namespace in metadata.namespaces()]


@pytest.mark.parametrize("name", GOOD)
def test_a_name_is_letters_and_digits_with_single_signs_between(metadata, name):  # H36
    namespace = metadata.namespace(name)
    namespace.add(b"x")
    assert names_in(metadata) == [name]
    assert len(list(namespace.blobs())) == 1


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_anything_else_is_no_name(metadata, name):
    for call in (
        metadata.namespace,
        metadata.delete_namespace,
        lambda name: metadata.label_namespace(name, {"a": "1"}),
    ):
        with pytest.raises(InvalidArgument):
            call(name)
    assert names_in(metadata) == []


FIRST_USES = {
    "add": lambda namespace: namespace.add(b"x"),
    "ingest": lambda namespace: namespace.writer("w").close(),
    "lease": lambda namespace: namespace.lease("l"),
    "image": lambda namespace: namespace.images.create("n", TARGET),
}


@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_a_namespace_is_made_by_its_first_use(metadata, clock, use):
    namespace = metadata.namespace("new")
    assert list(namespace.blobs()) == list(namespace.ingests()) == list(namespace.leases()) == []
    assert names_in(metadata) == []
    use(namespace)
    assert list(metadata.namespaces()) == [("new", clock.now_ns, {})]


def test_namespaces_are_listed_in_one_order(metadata):
    for name in ("b", "A", "a", "B", "a-b", "ab", "a.b"):
        metadata.namespace(name).add(b"x")
    assert names_in(metadata) == ["A", "B", "a", "a-b", "a.b", "ab", "b"]


# Labels


def test_labels_of_a_namespace_are_set_deleted_and_replaced(metadata):
    assert metadata.label_namespace("n", {"a": "1", "b": "2"}).labels == {"a": "1", "b": "2"}
    assert metadata.label_namespace("n", {"a": "", "c": "3"}).labels == {"b": "2", "c": "3"}
    record = metadata.label_namespace("n", {"d": "4"}, replace=True)
    assert record.labels == {"d": "4"}
    assert list(metadata.namespaces()) == [record]


def test_a_label_that_is_too_long_makes_no_namespace(metadata):
    with pytest.raises(InvalidArgument):
        metadata.label_namespace("n", {"k": "v" * 4096})
    assert names_in(metadata) == []


# Deleting


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (FIRST_USES["add"], "1 blobs"),
        (FIRST_USES["ingest"], "1 ingests"),
        (FIRST_USES["lease"], "1 leases"),
        (FIRST_USES["image"], "1 images"),
    ],
    ids=FIRST_USES,
)
def test_a_namespace_that_has_anything_is_not_deleted(metadata, use, told):  # H36
    namespace = metadata.namespace("n")
    use(namespace)
    with pytest.raises(FailedPrecondition, match=told):
        metadata.delete_namespace("n")
    assert names_in(metadata) == ["n"]


def test_an_empty_namespace_is_deleted_with_its_labels(metadata):
    metadata.label_namespace("n", {"a": "1"})
    metadata.delete_namespace("n")
    assert names_in(metadata) == []
    with pytest.raises(NotFound, match="namespace 'n'"):
        metadata.delete_namespace("n")
    metadata.namespace("n").add(b"x")
    assert next(metadata.namespaces()).labels == {}


def test_what_a_namespace_had_does_not_come_back_with_its_name(metadata, clock):
    namespace = metadata.namespace("n")
    blob = namespace.add(b"x", labels={"a": "1"})
    with namespace.lease("l", expires_in=timedelta(hours=1)) as lease:
        lease.writer("w").close()
    namespace.abort("w")
    namespace.delete(blob.digest)
    metadata.delete_namespace("n")
    assert blob.digest not in namespace
    assert namespace.add(b"x").labels == {}
    assert list(namespace.leases()) == list(namespace.ingests()) == []


def test_labels_longer_than_4096_bytes_are_refused_everywhere(namespace):  # H37
    digest = namespace.add(b"x").digest
    for labels in ({"k": "v" * 4096}, {"k" * 4096: "v"}, {"é" * 1024: "é" * 1025}):
        with pytest.raises(InvalidArgument):
            namespace.label(digest, labels)
        with pytest.raises(InvalidArgument):
            namespace.add(b"y", labels=labels)
    assert namespace.blob(digest).labels == {}
    assert len(list(namespace.blobs())) == 1


def test_a_catalog_is_near_where_its_rows_are_in_a_file(metadata, url):
    assert metadata.is_near == url.startswith("sqlite:")
