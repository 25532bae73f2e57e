"""Images come from archives, with all they point to; an import that was stopped goes on."""

import contextlib
import errno
import gzip
import io
import json
import threading

import pytest

from lading import Digest, LocalStore
from lading.content.catalog import Image
from lading.errors import (
    ConnectionFailed,
    DiskFailed,
    InvalidArchive,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from lading.metadata import Metadata
from lading.model.platform import Platform
from lading.oci.archives import staging
from lading.oci.archives.importing import Imported, import_archive
from lading.oci.archives.source import EndedEarly
from lading.oci.progress import Begun, Done, Found, Moved, Planned, Restarted
from tests.archives.building import (
    APP,
    INDEX_TYPE,
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
    tar,
)
from tests.archives.conftest import in_a_file, piped
from tests.support.failing import FailingDisk
from tests.support.registry import image

OTHER = image({"etc/other": b"other"}, {"usr/more": b"more"})
BIG = image({"model": bytes(range(251)) * 20_000}, {"etc/app": b"settings"})
SHARED = image({"bin/app": b"app" * 10_000}, {"etc/app": b"other settings"})
AMD, ARM = image({"a": b"amd64"}, env="P=amd64"), image({"a": b"arm64"}, env="P=arm64")
BOTH = index(
    descriptor(AMD.manifest, platform={"os": "linux", "architecture": "amd64"}),
    descriptor(ARM.manifest, platform={"os": "linux", "architecture": "arm64"}),
)


def held(store):
    return {blob.digest: store.read(blob.digest) for blob in store.blobs()}


def two_platforms(*there):
    return tar(
        *blobs(*(there or (AMD, ARM))),
        entry(path_of(digest(BOTH)), BOTH),
        entry("index.json", index({**descriptor(BOTH, INDEX_TYPE), **NAMED})),
        entry("oci-layout", LAYOUT),
    )


NAMED = {"annotations": {"org.opencontainers.image.ref.name": "both:1"}}


def test_an_image_comes_with_everything_it_points_to(store, opened):
    with opened(archive()) as source:
        (imported,) = import_archive(source, into=store)
    assert (imported.name, imported.target.digest) == ("app:1", APP.digest)
    assert held(store) == APP.blobs
    assert list(store.ingests()) == []


def test_a_file_a_folder_and_gzip_are_read_alike(tmp_path):
    path = tmp_path / "app.tar"
    path.write_bytes(archive())
    packed = tmp_path / "app.tar.gz"
    packed.write_bytes(gzip.compress(archive()))
    folder = tmp_path / "layout"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for name, data in APP.blobs.items():
        (folder / path_of(name)).write_bytes(data)
    (folder / "index.json").write_bytes(index(named(APP)))
    (folder / "oci-layout").write_bytes(LAYOUT)
    for number, source in enumerate([path, str(packed), folder, str(folder)]):
        store = LocalStore(tmp_path / f"root-{number}")
        assert [each.name for each in import_archive(source, into=store)] == ["app:1"]
        assert held(store) == APP.blobs


def test_gzip_comes_through_a_pipe(store):
    with piped(gzip.compress(archive())) as source:
        import_archive(source, into=store)
    assert held(store) == APP.blobs


def test_an_archive_in_the_middle_of_a_file_is_read_from_where_it_is(store):
    source = io.BytesIO(b"something before" + archive())
    source.seek(16)
    import_archive(source, into=store)
    assert held(store) == APP.blobs


def test_an_archive_comes_that_has_long_names_and_sizes_in_pax_or_in_gnus_way(store, opened):
    parts = [
        pax({"path": path_of(name), "size": str(len(data)), "comment": b"\xff"})
        + entry("short", data, size=0)
        if number % 2
        else entry("././@LongLink", path_of(name).encode() + b"\0", kind=b"L")
        + entry("short", data, size_field=b"\x80" + len(data).to_bytes(11, "big"))
        for number, (name, data) in enumerate(APP.blobs.items())
    ]
    made = tar(
        pax({"comment": "of all"}, kind=b"g"),
        *parts,
        entry("./index.json", index(named(APP))),
        entry("./oci-layout", LAYOUT),
    )
    with opened(made) as source:
        import_archive(source, into=store)
    assert held(store) == APP.blobs


@pytest.mark.parametrize(
    ("kind", "link"), [(b"1", "data/{}"), (b"2", "../../data/{}"), (b"2", "../../data/./{}")]
)
def test_links_within_an_archive_are_followed(store, opened, kind, link):
    parts = []
    for number, (name, data) in enumerate(APP.blobs.items()):
        parts.append(entry(f"data/{number}", data))
        parts.append(entry(path_of(name), kind=kind, link=link.format(number)))
    made = tar(*parts, entry("index.json", index(named(APP))), entry("oci-layout", LAYOUT))
    with opened(made) as source:
        import_archive(source, into=store)
    assert held(store) == APP.blobs
    assert list(store.ingests()) == []


def test_what_no_image_needs_is_not_kept(store, namespace, opened):
    more = [entry("blobs/sha256/" + "0" * 64, b"nobody's" * 100), entry("README", b"hello")]
    for into in (store, namespace):
        with opened(archive(extra=more)) as source:
            import_archive(source, into=into)
        assert set(held(into)) == set(APP.blobs)
        assert list(into.ingests()) == []


def test_several_images_come_and_what_they_share_comes_once(store, opened):
    steps = []
    with opened(archive(APP, SHARED)) as source:
        imported = import_archive(source, into=store, progress=steps.append)
    assert [each.name for each in imported] == ["app:1", "app:2"]
    assert held(store) == {**APP.blobs, **SHARED.blobs}
    done = [step.blob.digest for step in steps if isinstance(step, Done)]
    assert len(done) == len(set(done))


def test_in_a_namespace_images_are_named_and_kept(namespace, store, opened):
    with opened(archive()) as source:
        import_archive(source, into=namespace)
    assert [each.name for each in namespace.images.list()] == ["app:1"]
    target = namespace.images.get("app:1").target
    assert target.digest == APP.digest
    labels = namespace.blob(Digest(APP.digest)).labels
    assert labels["containerd.io/gc.ref.content.config"] == digest(APP.config)
    assert labels["containerd.io/gc.ref.content.l.1"] == digest(APP.layers[1])
    assert list(namespace.leases()) == []


def test_what_was_imported_outlives_a_collection(tmp_path, store, opened):
    with Metadata(f"sqlite:///{tmp_path}/own.db", content=store) as metadata:
        namespace = metadata.namespace("n")
        with opened(two_platforms()) as source:
            import_archive(source, into=namespace)
        before = held(namespace)
        metadata.collect()
        assert held(namespace) == before
        assert set(before) == {*AMD.blobs, *ARM.blobs, digest(BOTH)}


def test_an_image_moves_to_what_was_imported_last(namespace):
    import_archive(io.BytesIO(archive(APP)), into=namespace)
    namespace.images.update("app:1", labels={"team": "web"}, fields=["labels.team"])
    import_archive(io.BytesIO(archive(OTHER)), into=namespace)
    image = namespace.images.get("app:1")
    assert (image.target.digest, image.labels) == (OTHER.digest, {"team": "web"})


def test_an_image_without_a_name_is_named_by_its_digest(namespace, store):
    nameless = archive(roots=[descriptor(APP.manifest)])
    assert import_archive(io.BytesIO(nameless), into=store)[0].name is None
    assert import_archive(io.BytesIO(nameless), into=namespace)[0].name == APP.digest
    assert namespace.images.get(APP.digest).target.digest == APP.digest


@pytest.mark.parametrize(
    ("annotations", "options", "name"),
    [
        ({"org.opencontainers.image.ref.name": "1.0"}, {}, "1.0"),
        ({"org.opencontainers.image.ref.name": "1.0"}, {"base_name": "me/app"}, "me/app:1.0"),
        ({"org.opencontainers.image.ref.name": "a/b:1"}, {"base_name": "me/app"}, "a/b:1"),
        (
            {
                "org.opencontainers.image.ref.name": "1",
                "io.containerd.image.name": "docker.io/library/redis:1",
            },
            {"base_name": "me/app"},
            "docker.io/library/redis:1",
        ),
        ({}, {"name": "mine"}, "mine"),
        ({"org.opencontainers.image.ref.name": "1.0"}, {"name": "mine"}, "mine"),
        ({}, {"base_name": "me/app"}, None),
    ],
)
def test_names_come_from_annotations_or_from_who_imports(store, annotations, options, name):
    made = archive(roots=[descriptor(APP.manifest, annotations=annotations)])
    (imported,) = import_archive(io.BytesIO(made), into=store, **options)
    assert imported.name == name
    assert imported.target.annotations == {}


def test_one_name_for_several_images_is_refused_before_anything_is_stored(store):
    with pytest.raises(InvalidArgument, match="has 2 images"):
        import_archive(io.BytesIO(archive(APP, OTHER)), into=store, name="mine")
    assert held(store) == {}


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 2000])
def test_what_can_be_no_name_is_refused(store, name):
    with pytest.raises(InvalidArgument):
        import_archive(io.BytesIO(archive()), into=store, name=name)


def test_a_name_of_several_platforms_images_goes_to_this_machines(namespace):
    machine = Platform.of_this_machine()
    roots = [
        named(each, "app:1", platform={"os": "linux", "architecture": architecture})
        for each, architecture in ((OTHER, "s390x"), (APP, machine.architecture))
    ]
    imported = import_archive(io.BytesIO(archive(OTHER, APP, roots=roots)), into=namespace)
    assert [each.name for each in imported] == [OTHER.digest, "app:1"]


def test_the_index_of_an_archive_can_be_kept_too(namespace, opened):
    roots = [named(APP, "app:1"), named(OTHER, "app:2")]
    with opened(archive(APP, OTHER, roots=roots)) as source:
        imported = import_archive(source, into=namespace, index_name="everything")
    assert [each.name for each in imported] == ["app:1", "app:2", "everything"]
    target = namespace.images.get("everything").target
    assert (target.media_type, namespace.read(target.digest)) == (INDEX_TYPE, index(*roots))


def test_every_platform_comes_or_the_one_that_is_chosen(tmp_path, opened):
    for number, (platform, expected) in enumerate(
        [
            ("all", [AMD, ARM]),
            (Platform.parse("linux/arm64"), [ARM]),
            (Platform.parse("linux/amd64"), [AMD]),
        ]
    ):
        store = LocalStore(tmp_path / f"{number}")
        with opened(two_platforms()) as source:
            import_archive(source, into=store, platform=platform)
        wanted = {name for each in expected for name in each.blobs} | {digest(BOTH)}
        assert set(held(store)) == wanted
        assert list(store.ingests()) == []


def test_a_platform_that_there_is_not_is_not_found(store, opened):
    with opened(two_platforms()) as source, pytest.raises(NotFound, match="s390x"):
        import_archive(source, into=store, platform=Platform.parse("linux/s390x"))
    assert held(store) == {}


def test_an_archive_of_one_platform_may_have_the_index_of_all(store, opened):
    with opened(two_platforms(ARM)) as source:
        import_archive(source, into=store)
    assert set(held(store)) == {*ARM.blobs, digest(BOTH)}


def test_a_chosen_platform_that_the_archive_lacks_is_refused(store, opened):
    with opened(two_platforms(ARM)) as source, pytest.raises(InvalidArchive, match="lacks"):
        import_archive(source, into=store, platform=Platform.parse("linux/amd64"))
    assert held(store) == {}


def test_an_index_of_nothing_that_is_there_is_refused(store, opened):
    with opened(two_platforms(OTHER)) as source, pytest.raises(InvalidArchive, match="lacks"):
        import_archive(source, into=store)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_other_algorithms_are_verified_too(store, opened, algorithm):
    layer = b"a layer" * 1000
    name = Digest.of(layer, algorithm)
    config = Digest.of(b"{}", algorithm)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": config,
                "size": 2,
                "data": "e30=",
            },
            "layers": [{"mediaType": "text/plain", "digest": name, "size": len(layer)}],
        }
    ).encode()

    def made(bytes_of_it):
        return tar(
            entry(f"blobs/{algorithm}/x", b"nobody's"),
            pax({"path": path_of(name)}) + entry("x", bytes_of_it),
            entry(path_of(digest(manifest)), manifest),
            entry("index.json", index(descriptor(manifest))),
            entry("oci-layout", LAYOUT),
        )

    with opened(made(layer[:-1] + b"!")) as source, pytest.raises(InvalidArchive):
        import_archive(source, into=store)
    assert held(store) == {}
    with opened(made(layer)) as source:
        import_archive(source, into=store)
    assert held(store) == {name: layer, digest(manifest): manifest, config: b"{}"}


# Going on


def cut(data, position):
    return data[:position]


def begun(into):
    return {each.ref: each.offset for each in into.ingests()}


LAYER = digest(BIG.layers[0])


def test_an_archive_that_ends_too_early_leaves_ingests_and_the_next_attempt_goes_on(
    store, namespace
):
    whole = archive(BIG)
    middle = whole.index(BIG.layers[0]) + 3_000_000
    for into in (store, namespace):
        with piped(cut(whole, middle)) as source, pytest.raises(EndedEarly):
            import_archive(source, into=into)
        assert held(into) == {}
        offset = begun(into)[f"layer-{LAYER}"]
        assert 0 < offset <= 3_000_000
        steps = []
        with piped(whole) as source:
            import_archive(source, into=into, progress=steps.append)
        assert Begun(steps[0].blob._replace(digest=LAYER, size=len(BIG.layers[0])), offset) in steps
        assert held(into) == BIG.blobs


def test_a_failed_import_leaves_its_lease_for_a_day(namespace):
    whole = archive(BIG)
    with piped(cut(whole, len(whole) // 2)) as source, pytest.raises(EndedEarly):
        import_archive(source, into=namespace)
    (lease,) = namespace.leases()
    assert lease.expires_ns - lease.created_ns == pytest.approx(24 * 3600 * 10**9)
    held_by_it = namespace.leased(lease.id).resources()
    assert {each.kind for each in held_by_it} == {"ingests"}


@pytest.mark.parametrize("first", [in_a_file, piped])
def test_what_another_attempt_has_brought_is_not_brought_again(store, first, opened):
    """Whatever way the first attempt and the second have come."""
    with store.writer(f"layer-{LAYER}", total=len(BIG.layers[0]), expected=Digest(LAYER)) as writer:
        writer.write(BIG.layers[0][:2_000_000])
    steps = []
    with opened(archive(BIG)) as source:
        import_archive(source, into=store, progress=steps.append)
    offsets = [step.offset for step in steps if isinstance(step, Begun)]
    assert 2_000_000 in offsets
    moved = {step.blob.digest: step.moved for step in steps if isinstance(step, Done)}
    assert moved[LAYER] == len(BIG.layers[0]) - 2_000_000
    assert held(store) == BIG.blobs


def test_what_is_there_is_found(namespace, opened):
    import_archive(io.BytesIO(archive(BIG)), into=namespace)
    steps = []
    with opened(archive(BIG)) as source:
        import_archive(source, into=namespace, progress=steps.append)
    assert LAYER in {step.blob.digest for step in steps if isinstance(step, Found)}
    assert not any(isinstance(step, Moved) for step in steps)


def poison(store):
    """Leave bytes that are not the layer's where its beginning should be."""
    with store.writer(f"layer-{LAYER}", expected=Digest(LAYER), total=len(BIG.layers[0])) as writer:
        writer.write(b"poison" * 100_000)


def test_a_poisoned_beginning_heals_at_once_where_the_archive_can_be_read_again(store):
    poison(store)
    steps = []
    import_archive(io.BytesIO(archive(BIG)), into=store, progress=steps.append)
    assert sum(isinstance(step, Restarted) for step in steps) == 1
    assert held(store) == BIG.blobs


def test_a_poisoned_beginning_heals_with_the_second_attempt_of_a_stream(store):
    poison(store)
    with piped(archive(BIG)) as source, pytest.raises(Unavailable, match="import it again"):
        import_archive(source, into=store)
    with piped(archive(BIG)) as source:
        import_archive(source, into=store)
    assert held(store) == BIG.blobs


def test_an_ingest_begun_with_another_total_is_begun_anew(store, opened):
    with store.writer(f"layer-{LAYER}", total=7) as writer:
        writer.write(b"poison")
    with opened(archive(BIG)) as source:
        import_archive(source, into=store)
    assert held(store) == BIG.blobs
    assert list(store.ingests()) == []


def test_a_ref_that_somebody_holds_is_not_waited_for(store, opened):
    with store.writer(f"layer-{LAYER}") as writer:
        writer.write(BIG.layers[0][:10])
        with opened(archive(BIG)) as source:
            import_archive(source, into=store)
        assert held(store) == BIG.blobs
        assert begun(store) == {f"layer-{LAYER}": 10}


@pytest.mark.slow
def test_imports_of_the_same_at_once_all_succeed(namespace):
    whole = archive(BIG, OTHER)
    failures = []

    def run():
        try:
            import_archive(io.BytesIO(whole), into=namespace)
        except Exception as failure:  # noqa: BLE001 - shown below
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert held(namespace) == {**BIG.blobs, **OTHER.blobs}
    assert list(namespace.ingests()) == []
    assert [each.name for each in namespace.images.list()] == ["app:1", "app:2"]


def test_more_blobs_than_writers_may_be_open_come_too(store, opened, monkeypatch):
    monkeypatch.setattr(staging, "HELD_LIMIT", 2)
    many = image(*({f"{number}": b"x" * number} for number in range(9)))
    with opened(archive(many)) as source:
        import_archive(source, into=store)
    assert held(store) == many.blobs
    assert list(store.ingests()) == []


def test_writers_that_were_silent_for_too_long_are_opened_again(store, opened, monkeypatch):
    commit = staging.Staging.commit

    def commit_later(self):
        """When somebody else has let go of every ref for it, as a daemon does."""
        for each in self._held:
            each.writer.close()
        commit(self)

    monkeypatch.setattr(staging.Staging, "commit", commit_later)
    with opened(archive(BIG)) as source:
        import_archive(source, into=store)
    assert held(store) == BIG.blobs
    assert list(store.ingests()) == []


def test_a_progress_that_raises_leaves_ingests_that_are_gone_on_with(store, opened):
    def interrupt(step):
        if isinstance(step, Moved):
            raise KeyboardInterrupt

    with opened(archive(BIG)) as source, pytest.raises(KeyboardInterrupt):
        import_archive(source, into=store, progress=interrupt)
    assert held(store) == {}
    assert begun(store)
    with opened(archive(BIG)) as source:
        import_archive(source, into=store)
    assert held(store) == BIG.blobs
    assert list(store.ingests()) == []


def test_a_source_that_fails_keeps_what_came(store):
    class Failing(io.RawIOBase):
        def __init__(self, data):
            self._stream = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            count = self._stream.readinto(buffer)
            if not count:
                raise ConnectionFailed("registry.example", "reset")
            return count

    whole = archive(BIG)
    with pytest.raises(ConnectionFailed):
        import_archive(Failing(whole[: len(whole) // 2]), into=store)
    assert held(store) == {}
    assert begun(store)


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("lasts", [False, True])
def test_wherever_the_disk_fails_the_next_attempt_succeeds(tmp_path, opened, number, lasts):
    whole = archive(BIG)
    counting = FailingDisk(number)
    with opened(whole) as source:
        import_archive(source, into=LocalStore(tmp_path / "counted", disk=counting))
    for position in range(0, len(counting.calls), 7):
        root = tmp_path / f"{position}"
        store = LocalStore(root, disk=FailingDisk(number, fails_at=position, lasts=lasts))
        with contextlib.suppress(ResourceExhausted, DiskFailed), opened(whole) as source:
            import_archive(source, into=store)
        store = LocalStore(root)
        for digest_, data in held(store).items():
            assert Digest.of(data) == digest_
        with opened(whole) as source:
            import_archive(source, into=store)
        assert held(store) == BIG.blobs
        assert list(store.ingests()) == []


def test_progress_tells_of_every_blob(store, opened):
    steps = []
    with opened(archive()) as source:
        import_archive(source, into=store, progress=steps.append)
    planned = {step.blob.digest for step in steps if isinstance(step, Planned)}
    assert planned == set(APP.blobs) - {APP.digest}
    done = {step.blob.digest for step in steps if isinstance(step, Done)}
    assert done >= {APP.digest, digest(APP.layers[0])}


def test_an_imported_thing_is_what_an_image_is_made_of():
    assert Imported._fields == Image._fields[:2]
