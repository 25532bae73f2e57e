"""Archives that are broken or mean harm are refused, and nothing of them is visible."""

import gzip
import io
import json
import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import Digest
from lading.errors import InvalidArchive
from lading.oci.archives import contents as archive_contents
from lading.oci.archives import docker as docker_archive
from lading.oci.archives import tar
from lading.oci.archives.importing import import_archive
from tests.archives.building import (
    APP,
    LAYOUT,
    archive,
    blobs,
    descriptor,
    digest,
    entry,
    index,
    named,
    path_of,
    pax,
    saved,
)
from tests.archives.building import tar as whole
from tests.archives.conftest import in_a_file, piped
from tests.support.memory import MemoryStore
from tests.support.registry import image

OTHER = image({"etc/other": b"other"})
A = "a" * 64
MANIFEST = json.loads(APP.manifest)
FIRST = MANIFEST["layers"][0]


def with_index(data):
    return whole(*blobs(APP), entry("index.json", data), entry("oci-layout", LAYOUT))


def with_manifest(**changes):
    """An archive whose manifest says something else, and has the digest of that."""
    changed = json.dumps(MANIFEST | changes).encode()
    return whole(
        *blobs(APP),
        entry(path_of(digest(changed)), changed),
        entry("index.json", index(descriptor(changed))),
        entry("oci-layout", LAYOUT),
    )


def saved_as(value, *parts):
    return whole(*parts, entry("manifest.json", json.dumps(value).encode()))


CONFIG = entry("config.json", APP.config)
LAYER = gzip.decompress(APP.layers[0])
DEEP = b"[" * 200_000
LONG_PAX = b"%d path=%s\n" % (70_010, b"x" * 70_000)
HOSTILE = {
    "..": archive(extra=[entry("../outside", b"x")]),
    ".. in the middle": archive(extra=[entry("a/../../outside", b"x")]),
    ".. that stays inside": archive(extra=[entry("a/../b", b"x")]),
    "an absolute name": archive(extra=[entry("/etc/passwd", b"x")]),
    "an absolute name in pax": archive(extra=[pax({"path": "/etc/passwd"}), entry("a", b"x")]),
    "an absolute name in GNU's long name": archive(
        extra=[entry("././@LongLink", b"/etc/passwd\0", kind=b"L"), entry("a", b"x")]
    ),
    "an absolute prefix": archive(extra=[entry("passwd", b"x", prefix="/etc")]),
    "a symbolic link out of it": archive(extra=[entry("a", kind=b"2", link="../outside")]),
    "an absolute symbolic link": archive(extra=[entry("a", kind=b"2", link="/etc/passwd")]),
    "a hard link out of it": archive(extra=[entry("a", kind=b"1", link="../outside")]),
    "an absolute hard link": archive(extra=[entry("a", kind=b"1", link="/etc/passwd")]),
    "a link in pax": archive(extra=[pax({"linkpath": "/etc/passwd"}), entry("a", kind=b"2")]),
    "a long link": archive(
        extra=[entry("././@LongLink", b"/etc/passwd\0", kind=b"K"), entry("a", kind=b"2")]
    ),
    "links to each other": archive(
        extra=[entry("a", kind=b"2", link="b"), entry("b", kind=b"2", link="a")]
    ),
    "a character device": archive(extra=[entry("a", kind=b"3")]),
    "a block device": archive(extra=[entry("a", kind=b"4")]),
    "a fifo": archive(extra=[entry("a", kind=b"6")]),
    "a type that is none": archive(extra=[entry("a", kind=b"Z")]),
    "a sparse file": archive(extra=[entry("a", b"x", kind=b"S")]),
    "a sparse file in pax": archive(
        extra=[pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": "1" + "0" * 15}), entry("a")]
    ),
    "a name twice": archive(extra=[entry("a", b"x"), entry("a", b"y")]),
    "a name twice, once with a dot": archive(extra=[entry("a", b"x"), entry("./a", b"y")]),
    "an index twice": archive(extra=[entry("./index.json", index())]),
    "a file and a link of one name": archive(
        extra=[entry("a", b"x"), entry("a", kind=b"2", link="b")]
    ),
    "no name": archive(extra=[entry("", b"x")]),
    "a name that is no text": archive(extra=[entry(b"\xff\xfe", b"x")]),
    "a name that is too long": archive(
        extra=[entry("././@LongLink", b"x" * 5000, kind=b"L"), entry("a", b"x")]
    ),
    "a size that is no number": archive(extra=[entry("a", b"x", size_field=b"9999999999x\0")]),
    "a negative size": archive(extra=[entry("a", b"x", size_field=b"\xff" * 12)]),
    "an impossible size": archive(extra=[entry("a", b"x", size_field=b"\x80" + b"\xff" * 11)]),
    "a size in pax that is none": archive(extra=[pax({"size": "-1"}), entry("a", b"x")]),
    "an impossible size in pax": archive(extra=[pax({"size": "9" * 20}), entry("a", b"x")]),
    "a folder with bytes in it": archive(extra=[entry("a/", b"x" * 512, kind=b"5")]),
    "a link with bytes in it": archive(extra=[entry("a", b"x" * 512, kind=b"2", link="b")]),
    "a pax header of gigabytes": archive(extra=[entry("x", kind=b"x", size=8 << 30)]),
    "a pax header that is too long": archive(extra=[entry("x", LONG_PAX, kind=b"x")]),
    "a long name of gigabytes": archive(extra=[entry("x", kind=b"L", size=8 << 30)]),
    "a damaged pax header": archive(extra=[entry("x", b"99 path=x\n", kind=b"x")]),
    "a pax header without a number": archive(extra=[entry("x", b"path=x\n", kind=b"x")]),
    "a pax header that says one thing twice": archive(
        extra=[entry("x", b"9 path=x\n9 path=y\n", kind=b"x"), entry("a")]
    ),
    "two names for one entry": archive(extra=[pax({"path": "a"}), pax({"path": "b"}), entry("c")]),
    "a name for every entry": archive(extra=[pax({"path": "a"}, kind=b"g"), entry("c")]),
    "a header of another sum": archive(extra=[entry("a", b"x", checksum=7)]),
    "something after its end": archive() [:-512] + entry("a", b"x"),
    "nothing to a header": archive()[:-1024] + pax({"path": "a"}) + bytes(1024),
    "no tar": b"\x7fELF" + bytes(2000),
    "an index of other bytes": with_index(b"\xff\xfe"),
    "an index that is deep": with_index(b'{"manifests": ' + DEEP),
    "an index that is a list": with_index(b"[]"),
    "an index that could be an image": with_index(
        json.dumps({"schemaVersion": 2, "manifests": [], "layers": []}).encode()
    ),
    "an index of wrong descriptors": with_index(index({"digest": "sha256:x"})),
    "an index that is too long": with_index(index(named(APP)) + b" " * (5 << 20)),
    "a mark that is too long": whole(entry("oci-layout", LAYOUT + b" " * (5 << 20))),
    "a layout of another version": whole(entry("oci-layout", b'{"imageLayoutVersion": "9.0"}')),
    "a mark that is deep": whole(entry("oci-layout", DEEP)),
    "no index": whole(entry("oci-layout", LAYOUT)),
    "nothing": whole(),
    "nothing that we know": whole(entry("README", b"hello")),
    "a manifest that is not there": archive(OTHER, roots=[named(APP)]),
    "a name for a manifest that is not there": archive(OTHER, roots=[descriptor(APP.manifest)]),
    "a manifest of another size": archive(
        roots=[{**named(APP), "size": len(APP.manifest) + 1}]
    ),
    "a layer that is not there": with_manifest(layers=[FIRST | {"digest": f"sha256:{A}"}]),
    "a layer of another size": with_manifest(layers=[FIRST | {"size": 7}]),
    "a config of another size": with_manifest(config={**MANIFEST["config"], "size": 7}),
    "too many layers": with_manifest(layers=[FIRST] * 10_001),
    "a name that steers a terminal": archive(roots=[named(APP, "\x1b[2Japp:1")]),
    "a name of megabytes": archive(roots=[named(APP, "a" * 1_000_000)]),
    "docker: no list": saved_as({}),
    "docker: no objects": saved_as(["x"]),
    "docker: deep": whole(entry("manifest.json", DEEP)),
    "docker: no config": saved_as([{"Config": "config.json", "Layers": []}]),
    "docker: a config that is no text": saved_as([{"Config": 7, "Layers": []}], CONFIG),
    "docker: a config outside": saved_as([{"Config": "../config.json", "Layers": []}], CONFIG),
    "docker: an absolute config": saved_as([{"Config": "/etc/passwd", "Layers": []}], CONFIG),
    "docker: layers that are no texts": saved_as(
        [{"Config": "config.json", "Layers": [7]}], CONFIG
    ),
    "docker: another number of layers": saved_as([{"Config": "config.json", "Layers": []}], CONFIG),
    "docker: a layer that is not there": saved_as(
        [{"Config": "config.json", "Layers": ["a.tar", "b.tar"]}], CONFIG
    ),
    "docker: a layer with other bytes": saved_as(
        [{"Config": "config.json", "Layers": ["a.tar", "b.tar"]}],
        CONFIG,
        entry("a.tar", LAYER),
        entry("b.tar", LAYER),
    ),
    "docker: a config that is deep": saved_as(
        [{"Config": "config.json", "Layers": []}], entry("config.json", DEEP)
    ),
    "docker: a tag that is none": saved(names=["UPPER/../x"]),
    "docker: too many images": saved_as([{}] * 1001),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_of_it_is_visible(name, store, namespace, opened):
    for into in (store, namespace):
        with opened(HOSTILE[name]) as source, pytest.raises(InvalidArchive):
            import_archive(source, into=into)
        assert list(into.blobs()) == []
        assert list(into.ingests()) == []
    assert list(namespace.images.list()) == []
    assert list(namespace.leases()) == []


@pytest.mark.parametrize("blob", range(4))
@pytest.mark.parametrize("size", ["the same", "another"])
def test_a_blob_whose_name_is_not_its_digest_is_refused_and_nothing_is_visible(
    blob, size, store, opened
):
    names = list(APP.blobs)
    wrong = bytearray(APP.blobs[names[blob]])
    wrong[len(wrong) // 2] ^= 1
    data = bytes(wrong) if size == "the same" else bytes(wrong) + b"x"
    parts = [
        entry(path_of(name), data if name == names[blob] else APP.blobs[name]) for name in names
    ]
    hostile = whole(*parts, entry("index.json", index(named(APP))), entry("oci-layout", LAYOUT))
    with opened(hostile) as source, pytest.raises(InvalidArchive):
        import_archive(source, into=store)
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []


def test_an_archive_of_too_many_entries_is_refused(store, opened, monkeypatch):
    monkeypatch.setattr(tar, "ENTRIES_LIMIT", 50)
    hostile = archive(extra=[entry(f"{number}", b"") for number in range(50)])
    with opened(hostile) as source, pytest.raises(InvalidArchive, match="more than 50 entries"):
        import_archive(source, into=store)
    assert list(store.blobs()) == []


def test_documents_of_a_stream_are_kept_up_to_a_limit(store, monkeypatch):
    monkeypatch.setattr(archive_contents, "DOCUMENTS_LIMIT", 10)
    with piped(archive()) as source, pytest.raises(InvalidArchive, match="put it into a file"):
        import_archive(source, into=store)
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []


@pytest.mark.slow
def test_a_gzip_bomb_in_what_is_parsed_is_refused_without_being_unpacked(store):
    bomb = gzip.compress(with_index(b" " * (200 << 20)))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchive):
            import_archive(io.BytesIO(bomb), into=store)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert list(store.blobs()) == []
    assert list(store.ingests()) == []


@pytest.mark.parametrize("cut", [3, 9])
def test_gzip_that_is_damaged_is_refused(store, cut):

    packed = bytearray(gzip.compress(archive()))
    packed[len(packed) // cut] ^= 0xFF
    with pytest.raises(InvalidArchive):
        import_archive(io.BytesIO(bytes(packed)), into=store)
    assert list(store.blobs()) == []


@pytest.mark.parametrize(
    ("magic", "way"),
    [
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
    ],
)
def test_another_compression_is_refused_with_the_way_to_unpack_it(store, opened, magic, way):
    with opened(magic + bytes(600)) as source, pytest.raises(InvalidArchive, match=f"{way} -dc"):
        import_archive(source, into=store)


@pytest.fixture
def layout(tmp_path):
    folder = tmp_path / "layout"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for name, data in APP.blobs.items():
        (folder / path_of(name)).write_bytes(data)
    (folder / "index.json").write_bytes(index(named(APP)))
    (folder / "oci-layout").write_bytes(LAYOUT)
    return folder


def out_of_it(path, tmp_path):
    data = path.read_bytes()
    (tmp_path / "outside").write_bytes(data)
    path.unlink()
    path.symlink_to(tmp_path / "outside")


def fifo(path, tmp_path):
    path.unlink()
    os.mkfifo(path)


def folder(path, tmp_path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [out_of_it, fifo, folder])
@pytest.mark.parametrize("what", ["index.json", "oci-layout", *map(path_of, APP.blobs)])
def test_a_folder_with_links_out_of_it_or_what_is_no_file_is_refused(
    layout, store, tmp_path, harm, what
):
    harm(layout / what, tmp_path)
    with pytest.raises(InvalidArchive):
        import_archive(layout, into=store)
    assert list(store.blobs()) == []


def test_a_link_within_a_folder_is_followed(layout, store):
    name = Digest(next(iter(APP.blobs)))
    path = layout / path_of(name)
    path.rename(layout / "moved")
    path.symlink_to("../../moved")
    import_archive(layout, into=store)
    assert store.read(name) == APP.blobs[name]


def test_limits_are_those_of_what_is_written_about_them():
    assert archive_contents.DOCUMENT_LIMIT == 4 << 20
    assert docker_archive.IMAGES_LIMIT == 1000


HONEST = {"layout": archive(APP, OTHER), "docker": saved(APP)}
HEADERS = {
    name: [
        position for position in range(0, len(data), 512) if data[position + 257 :][:5] == b"ustar"
    ]
    for name, data in HONEST.items()
}


@pytest.mark.slow
@given(
    kind=st.sampled_from([*HONEST]),
    changes=st.lists(
        st.tuples(st.integers(0, 1 << 30), st.integers(0, 511), st.binary(min_size=1, max_size=12)),
        min_size=1,
        max_size=3,
    ),
    sums=st.booleans(),
    way=st.sampled_from([in_a_file, piped]),
)
@settings(max_examples=600)
def test_whatever_is_changed_in_an_archive_it_is_refused_or_what_it_says(kind, changes, sums, way):
    changed = bytearray(HONEST[kind])
    for number, offset, data in changes:
        start = HEADERS[kind][number % len(HEADERS[kind])]
        position = min(start + offset, len(changed) - len(data))
        changed[position : position + len(data)] = data
        if sums:  # so that what comes after the sum is met, too
            block = changed[start : start + 512]
            block[148:156] = b" " * 8
            changed[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    store = MemoryStore()
    with way(bytes(changed)) as source:
        try:
            import_archive(source, into=store)
        except InvalidArchive:
            assert list(store.blobs()) == []
    for blob in store.blobs():
        assert Digest.of(store.read(blob.digest)) == blob.digest
