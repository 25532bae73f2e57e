"""Pulling: what is in a store afterwards, and what is left of a pull that failed."""

import base64
import hashlib
import json
import signal
import ssl
import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from lading import LocalStore
from lading.content.catalog import Resource
from lading.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    SizeMismatch,
    Unavailable,
)
from lading.metadata import Metadata
from lading.model.digest import Digest
from lading.model.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from lading.model.platform import Platform
from lading.oci import leasing, pulling
from lading.oci.leasing import PullLease
from lading.oci.progress import Begun, Done, Found, Moved, Planned, Resolved, Waiting
from lading.oci.transport.patience import Patience
from tests.oci.pulls import Watched, client, described, digests_in, index_of, target_of
from tests.oci.scripted import Says
from tests.support.certificates import Authority
from tests.support.lies import BEFORE, Always, Cut, Fault, Stall, Status
from tests.support.link import link
from tests.support.lying import lying
from tests.support.registry import digest, image

SMALL = image({"a": b"a" * 1000}, {"b": b"b"})
LARGE = image({"a": bytes(range(256)) * 2000}, {"b": b"b"})
NAME = "team/app:1"
LAYER = digest(LARGE.layers[0])
SIZE = len(LARGE.layers[0])
DAY_NS = 86_400_000_000_000


@pytest.fixture
def content(tmp_path):
    return LocalStore(tmp_path / "root")


@pytest.fixture
def metadata(tmp_path, content):
    with Metadata(f"sqlite:///{tmp_path}/metadata.db", content=content) as opened:
        yield opened


@pytest.fixture
def namespace(metadata):
    return metadata.namespace("images")


@pytest.fixture
def registry():
    with lying({NAME: LARGE}) as registry:
        yield registry


@pytest.fixture
def reference(registry):
    return f"{registry.host}/{NAME}"


@pytest.fixture
def pull(reference):
    with client() as registry:

        def pull_it(into, what=reference, **options):
            return registry.pull(what, into=into, **options)

        yield pull_it


def lease_of(namespace, reference):
    return namespace.leased(f"pull-{reference}")


def leases(namespace):
    return [lease.id for lease in namespace.leases()]


# What is there afterwards.


def test_a_store_without_names_gets_the_blobs(pull, content):
    assert pull(content) == target_of(LARGE)
    assert digests_in(content) == sorted(LARGE.blobs)
    assert content.read(Digest(LAYER)) == LARGE.layers[0]


@pytest.mark.parametrize(
    ("large", "options", "expected"),
    [(10, {}, 3), (11, {}, 6), (10, {"blobs_at_once": 2}, 2), (11, {"blobs_at_once": 2}, 2)],
)
def test_small_blobs_are_more_at_once_than_large_ones_where_nobody_has_said_how_many(
    serve, content, monkeypatch, *, large, options, expected
):
    monkeypatch.setattr(pulling, "LARGE", large)
    layers = {digest(layer): layer for layer in (bytes([n]) * 10 for n in range(6))}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described(OCI_CONFIG, b"{}"),
            "layers": [described(OCI_LAYER, layer) for layer in layers.values()],
        }
    ).encode()
    together, guard = threading.Barrier(expected, timeout=10), threading.Lock()
    now = most = 0

    def answer(asked):
        nonlocal now, most
        if "/manifests/" in asked.path:
            return Says(200, {"Content-Type": OCI_MANIFEST}, manifest)
        layer = layers.get(asked.path.rpartition("/")[2])
        if layer is not None:
            with guard:
                now += 1
                most = max(most, now)
            together.wait()
            with guard:
                now -= 1
        return Says(200, {}, b"{}" if layer is None else layer)

    server = serve(answer)
    with client(**options) as registry:
        registry.pull(f"{server.host}/{NAME}", into=content)
    assert most == expected


def test_a_namespace_gets_labels_and_a_name_and_no_lease_is_left(pull, namespace, reference):
    assert pull(namespace) == target_of(LARGE)
    image = namespace.images.get(reference)
    assert image.target == target_of(LARGE)
    source = {"containerd.io/distribution.source.127.0.0.1": "team/app"}
    assert namespace.blob(Digest(LAYER)).labels == source
    assert namespace.blob(Digest(LARGE.digest)).labels == source | {
        "containerd.io/gc.ref.content.config": digest(LARGE.config),
        "containerd.io/gc.ref.content.l.0": LAYER,
        "containerd.io/gc.ref.content.l.1": digest(LARGE.layers[1]),
    }
    assert leases(namespace) == []


def test_a_collection_takes_nothing_of_an_image_and_everything_without_it(
    pull, metadata, namespace, content, reference
):
    pull(namespace)
    metadata.collect()
    assert digests_in(namespace) == sorted(LARGE.blobs)
    namespace.images.delete(reference)
    metadata.collect()
    assert digests_in(content) == []


def test_an_image_may_have_another_name(pull, namespace):
    pull(namespace, name="app")
    assert [image.name for image in namespace.images.list()] == ["app"]


def test_a_name_that_stood_for_something_stands_for_this_now_and_keeps_its_labels(
    pull, registry, namespace, reference
):
    registry.add(NAME, SMALL)
    pull(namespace)
    namespace.images.update(reference, labels={"a": "b"}, fields=["labels.a"])
    registry.add(NAME, LARGE)
    pull(namespace)
    found = namespace.images.get(reference)
    assert (found.target.digest, found.labels) == (LARGE.digest, {"a": "b"})


def test_a_name_that_is_made_or_deleted_meanwhile_is_no_failure():
    class Contested:
        """Images whose name is taken when it is made, and gone when it is changed, twice."""

        def __init__(self):
            self.answers = [AlreadyExists("n"), NotFound("n", "image"), AlreadyExists("n"), None]

        def _answer(self, *_, **__):
            if answer := self.answers.pop(0):
                raise answer

        create = update = _answer

    images = Contested()
    pulling._name(images, "n", target_of(SMALL))
    assert images.answers == []


def test_a_second_pull_asks_for_no_bytes(pull, registry, namespace):
    pull(namespace)
    asked = len(registry.log)
    watched = Watched()
    pull(namespace, progress=watched)
    assert [request.method for request in registry.log[asked:]] == ["HEAD"]
    assert {step.blob.digest for step in watched.of(Found)} == set(LARGE.blobs)
    assert not watched.of(Done)


@pytest.mark.parametrize("kind", ["namespace", "content"])
def test_a_blob_that_is_missing_under_a_manifest_that_is_here_is_fetched(
    request, pull, registry, content, kind
):
    store = request.getfixturevalue(kind)
    pull(store)
    content.delete(Digest(LAYER))  # the namespace still has a row for it
    pull(store)
    assert store.read(Digest(LAYER)) == LARGE.layers[0]
    assert len(registry.asked(f"GET blobs {LAYER}")) == 2


def test_a_damaged_manifest_is_not_believed(pull, registry, content):
    pull(content)
    path = content.path(Digest(LARGE.digest))
    path.chmod(0o600)
    path.write_bytes(SMALL.manifest)
    asked = len(registry.asked("GET manifests"))
    assert pull(content) == target_of(LARGE)
    assert len(registry.asked("GET manifests")) == asked + 1
    assert content.read(Digest(LARGE.digest)) == LARGE.manifest


def test_the_largest_blob_begins_first(registry, content, reference):
    with client(blobs_at_once=1) as one:
        one.pull(reference, into=content)
    sizes = [request.sent for request in registry.asked("GET blobs")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 3


# Several platforms, and other kinds of images.


def platforms(registry):
    """An image for two machines, which share a layer; the index's digest."""
    ours, theirs = image({"s": b"s"}, {"a": b"a"}), image({"s": b"s"}, {"b": b"b"}, env="B=2")
    for made in (ours, theirs):
        registry.add("multi/app:x", made)
    index = index_of((ours.manifest, "linux/amd64"), (theirs.manifest, "linux/arm64"))
    return registry.add_manifest("multi/app", "1", index, OCI_INDEX), ours, theirs


def test_of_an_index_one_platform_comes(pull, registry, namespace):
    index, _, theirs = platforms(registry)
    name = f"{registry.host}/multi/app:1"
    found = pull(namespace, name, platform=Platform.parse("linux/arm64"))
    assert found.digest == namespace.images.get(name).target.digest == index
    assert digests_in(namespace) == sorted([index, *theirs.blobs])


def test_all_platforms_share_what_they_share(pull, registry, namespace):
    index, ours, theirs = platforms(registry)
    watched = Watched()
    name = f"{registry.host}/multi/app:1"
    pull(namespace, name, platform="all", progress=watched)
    assert digests_in(namespace) == sorted({index, *ours.blobs, *theirs.blobs})
    shared = digest(ours.layers[0])
    assert len(registry.asked(f"GET blobs {shared}")) == 1
    planned = [step.blob.digest for step in watched.of(Planned)]
    assert sorted(planned) == digests_in(namespace)


def test_another_platform_later_adds_what_it_lacks(pull, registry, metadata, namespace):
    index, ours, theirs = platforms(registry)
    name = f"{registry.host}/multi/app:1"
    for platform in ("linux/amd64", "linux/arm64"):
        pull(namespace, name, platform=Platform.parse(platform))
        metadata.collect()
    assert digests_in(namespace) == sorted({index, *ours.blobs, *theirs.blobs})


def test_a_platform_that_there_is_not_leaves_nothing(pull, registry, namespace):
    platforms(registry)
    with pytest.raises(NotFound, match="there is linux/amd64, linux/arm64"):
        pull(namespace, f"{registry.host}/multi/app:1", platform=Platform.parse("linux/s390x"))
    assert (digests_in(namespace), leases(namespace)) == ([], [])


def test_a_tag_that_there_is_not_leaves_nothing(pull, registry, namespace):
    with pytest.raises(NotFound):
        pull(namespace, f"{registry.host}/team/app:2")
    assert leases(namespace) == []


def test_an_artifact_of_any_type_comes(pull, registry, namespace):
    weights, config = b"weights" * 100, b"{}"
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.model",
        "config": described("application/vnd.oci.empty.v1+json", config),
        "layers": [described("application/vnd.gguf", weights)],
    }
    for blob in (weights, config):
        registry.add_blob("me/model", blob)
    made = registry.add_manifest("me/model", "1", json.dumps(value).encode(), OCI_MANIFEST)
    assert pull(namespace, f"{registry.host}/me/model:1").digest == made
    assert digests_in(namespace) == sorted([made, digest(weights), digest(config)])


def sha512(data):
    return f"sha512:{hashlib.sha512(data).hexdigest()}"


def test_digests_of_another_algorithm_are_kept_as_they_are(pull, registry, metadata, namespace):
    layer, config = b"layer" * 100, b"{}"
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(OCI_CONFIG, config, digest=sha512(config)),
        "layers": [described(OCI_LAYER, layer, digest=sha512(layer))],
    }
    data = json.dumps(value).encode()
    entry = described(OCI_MANIFEST, data, digest=sha512(data))
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    held = registry.blobs.setdefault("strong/app", {})
    held |= {sha512(each): each for each in (layer, config)}
    registry.manifests["strong/app"] = {sha512(data): (OCI_MANIFEST, data)}
    target = registry.add_manifest("strong/app", "1", index, OCI_INDEX)
    pull(namespace, f"{registry.host}/strong/app:1")
    metadata.collect()
    expected = [target, sha512(data), sha512(layer), sha512(config)]
    assert digests_in(namespace) == sorted(expected)
    assert namespace.blob(Digest(sha512(data))).labels["containerd.io/gc.ref.content.l.0"]


def test_bytes_in_a_descriptor_need_not_be_asked_for(pull, registry, namespace):
    value = json.loads(LARGE.manifest)
    value["config"]["data"] = base64.b64encode(LARGE.config).decode()
    data = json.dumps(value).encode()
    registry.add_manifest("team/app", "inline", data, OCI_MANIFEST)
    pull(namespace, f"{registry.host}/team/app:inline")
    assert namespace.read(Digest(digest(LARGE.config))) == LARGE.config
    assert not registry.asked(f"blobs {digest(LARGE.config)}")


def test_a_manifest_of_another_size_than_its_index_says_is_refused(pull, registry, namespace):
    registry.add("team/app:x", SMALL)
    index = json.loads(index_of((SMALL.manifest, "linux/amd64")))
    index["manifests"][0]["size"] += 1
    registry.add_manifest("team/app", "bad", json.dumps(index).encode(), OCI_INDEX)
    with pytest.raises(SizeMismatch):
        pull(namespace, f"{registry.host}/team/app:bad", platform="all")


@pytest.mark.slow
def test_a_layer_that_the_registry_has_not_comes_from_the_url_that_it_names(
    tmp_path, monkeypatch, namespace
):
    authority = Authority(tmp_path)
    certificate, key = authority.vouch("elsewhere")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    layer = b"foreign" * 1000
    with (
        lying(files={"layer": layer}, context=context) as elsewhere,
        lying(files={"layer": layer}) as without_tls,
        lying(tokens=True) as registry,
        client() as pulling_client,
    ):
        urls = ["file:///etc/hostname", *(at.url_of("layer") for at in (without_tls, elsewhere))]
        value = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described(OCI_CONFIG, SMALL.config),
            "layers": [described(OCI_LAYER, layer, urls=urls)],
        }
        registry.add_blob("windows/app", SMALL.config)
        data = json.dumps(value).encode()
        registry.add_manifest("windows/app", "1", data, OCI_MANIFEST)
        pulling_client.pull(f"{registry.host}/windows/app:1", into=namespace)
        assert namespace.read(Digest(digest(layer))) == layer
        (asked,) = elsewhere.asked("files")
        assert asked.authorization is None
        assert without_tls.log == []
        assert registry.asked(f"GET blobs {digest(layer)}")


# What is left of a pull that failed, and how the next one goes on.


def broken(registry):
    """Have the registry break off the large layer, and have no more of it."""
    registry.lie({LAYER: [Cut(200_000), Always(Status(404))]})


def test_a_failed_pull_keeps_its_bytes_under_its_lease_for_a_day(
    pull, registry, metadata, namespace, reference
):
    broken(registry)
    with pytest.raises(NotFound):
        pull(namespace)
    lease = lease_of(namespace, reference)
    record = lease.record()
    assert 0 < DAY_NS - (record.expires_ns - record.created_ns) < DAY_NS // 1000
    assert Resource("ingests", f"layer-{LAYER}") in lease.resources()
    metadata.collect()
    assert namespace.ingest(f"layer-{LAYER}").offset == 200_000
    assert LARGE.digest not in digests_in(namespace)
    assert [image.name for image in namespace.images.list()] == []


def test_the_next_pull_goes_on_and_ends_the_lease(pull, registry, namespace, reference):
    broken(registry)
    with pytest.raises(NotFound):
        pull(namespace)
    registry.lie({})
    asked = len(registry.asked(f"GET blobs {LAYER}"))
    watched = Watched()
    pull(namespace, progress=watched)
    (again,) = registry.asked(f"GET blobs {LAYER}")[asked:]
    assert again.range == f"bytes=200000-{SIZE - 1}"
    assert 200_000 in [step.offset for step in watched.of(Begun)]
    assert leases(namespace) == []
    assert digests_in(namespace) == sorted(LARGE.blobs)


def test_a_lease_that_was_left_is_renewed(pull, registry, tmp_path, content):
    now = [1_700_000_000_000_000_000]
    with Metadata(
        f"sqlite:///{tmp_path}/other.db", content=content, clock=lambda: now[0]
    ) as metadata:
        namespace = metadata.namespace("images")
        broken(registry)
        for _ in range(2):
            with pytest.raises(NotFound):
                pull(namespace)
            (lease,) = namespace.leases()
            assert lease.expires_ns == now[0] + DAY_NS
            now[0] += DAY_NS // 2


def test_what_a_failed_pull_had_done_is_there_for_the_next(pull, registry, metadata, namespace):
    watched = Watched()
    registry.lie({digest(LARGE.config): [Always(Status(404))]})  # the smallest, and so the last
    with client(blobs_at_once=1) as one, pytest.raises(NotFound):
        one.pull(f"{registry.host}/{NAME}", into=namespace, progress=watched)
    metadata.collect()
    registry.lie({})
    again = Watched()
    pull(namespace, progress=again)
    found = {step.blob.digest for step in again.of(Found)}
    assert found == {step.blob.digest for step in watched.of(Done)} != set()


def test_the_failure_of_one_blob_ends_the_others_which_keep_their_bytes(
    registry, namespace, reference
):

    class OnceTheOtherStandsStill(Fault):
        def __call__(self, answer, asked):
            registry.wait_for(f"GET {LAYER}", sent=200_000)
            return Status(403)(answer, asked)

    registry.lie({LAYER: [Stall(200_000)], digest(LARGE.layers[1]): [OnceTheOtherStandsStill()]})
    # Nobody's patience ends the stall: it would take an hour.
    patience = Patience(idle=timedelta(hours=1), attempts=1)
    with client(patience=patience) as one, pytest.raises(PermissionDenied):
        one.pull(reference, into=namespace)
    assert namespace.ingest(f"layer-{LAYER}").offset <= 200_000
    registry.lie({})
    with client() as one:
        one.pull(reference, into=namespace)
    assert digests_in(namespace) == sorted(LARGE.blobs)


def test_whoever_raises_when_told_of_progress_ends_the_pull_and_keeps_the_bytes(
    pull, registry, namespace, reference
):
    registry.lie({LAYER: [Cut(200_000)]})

    def refuse(step):
        raise RuntimeError("enough")

    watched = Watched().on(Waiting, refuse)
    with pytest.raises(RuntimeError, match="enough"):
        pull(namespace, progress=watched)
    assert namespace.ingest(f"layer-{LAYER}").offset == 200_000
    assert leases(namespace) == [f"pull-{reference}"]
    pull(namespace)
    assert registry.asked(f"GET blobs {LAYER}")[-1].range == f"bytes=200000-{SIZE - 1}"


def test_a_signal_in_the_middle_of_a_stall_ends_the_pull_at_once(pull, registry, namespace):
    registry.lie({LAYER: [Stall(200_000)]})
    main = threading.main_thread().ident

    def interrupt():
        registry.wait_for(f"GET {LAYER}", sent=200_000)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        pull(namespace)
    interrupter.join()
    assert namespace.ingest(f"layer-{LAYER}").offset <= 200_000
    pull(namespace)
    assert digests_in(namespace) == sorted(LARGE.blobs)


# Several pulls at once, and leases that others end.


@pytest.mark.slow
def test_two_pulls_of_one_image_both_succeed_and_each_blob_moves_once(
    registry, namespace, reference
):
    begun, waited = threading.Event(), threading.Event()

    def stand_still(step):
        begun.set()
        assert waited.wait(30)

    first = Watched().on(Begun, stand_still)
    second = Watched().on(Waiting, lambda _: waited.set())
    failures = []

    def pull_first():
        try:
            with client() as one:
                one.pull(reference, into=namespace, progress=first)
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            failures.append(failure)

    thread = threading.Thread(target=pull_first)
    thread.start()
    assert begun.wait(30)
    with client(patience=Patience()) as other:
        other.pull(reference, into=namespace, progress=second)
    thread.join()
    assert failures == []
    assert second.of(Waiting)
    for blob in (LARGE.config, *LARGE.layers):
        assert len(registry.asked(f"GET blobs {digest(blob)}")) == 1
    assert digests_in(namespace) == sorted(LARGE.blobs)
    assert namespace.images.get(reference).target.digest == LARGE.digest
    assert leases(namespace) == []


@pytest.mark.parametrize("then", ["nothing", "collection", "another"])
def test_a_pull_whose_lease_another_one_has_ended_makes_sure_of_everything(
    pull, metadata, namespace, reference, then
):
    """It may be that what was here by then is collected, and that there is such a lease again."""

    def end_lease(step):
        lease_of(namespace, reference).end()
        if then != "nothing":
            metadata.collect()
        if then == "another":
            namespace.lease(f"pull-{reference}")

    watched = Watched().on(Done, end_lease)
    pull(namespace, progress=watched)
    metadata.collect()
    assert digests_in(namespace) == sorted(LARGE.blobs)
    assert all("containerd.io" in str(blob.labels) for blob in namespace.blobs())
    assert namespace.images.get(reference).target.digest == LARGE.digest
    assert leases(namespace) == []


def test_who_never_has_a_lease_for_long_enough_is_told(pull, namespace, reference):
    pull(namespace)

    def end_lease(_):
        with suppress(NotFound):
            lease_of(namespace, reference).end()

    watched = Watched()
    for _ in range(100):
        watched.on(Found, end_lease)
    with pytest.raises(Unavailable, match="others pull it all the time"):
        pull(namespace, progress=watched)


def test_a_lease_of_the_callers_own_is_used_and_left(pull, metadata, namespace, reference):
    with namespace.lease("mine") as mine:
        pull(mine)
        assert leases(namespace) == ["mine"]
        namespace.images.delete(reference)
        metadata.collect()
        assert digests_in(namespace) == sorted(LARGE.blobs)
    metadata.collect()
    assert digests_in(namespace) == []


def test_the_lease_of_a_pull_that_takes_long_is_renewed(monkeypatch, pull, namespace, reference):
    renewed = threading.Event()

    class Lease(PullLease):
        def renew(self):
            super().renew()
            renewed.set()

    monkeypatch.setattr(leasing, "PullLease", Lease)
    monkeypatch.setattr(pulling, "RENEWAL", timedelta(milliseconds=1))

    def expires_ns():
        return lease_of(namespace, reference).record().expires_ns

    def wait(step):
        before = expires_ns()
        while expires_ns() == before:
            assert renewed.wait(30)
            renewed.clear()

    pull(namespace, progress=Watched().on(Begun, wait))


# One blob.


def test_one_blob_comes_without_a_name_and_with_the_callers_labels(registry, namespace, reference):
    with client() as fetching:
        blob = f"{registry.host}/team/app@{LAYER}"
        watched = Watched()
        found = fetching.fetch(blob, into=namespace, labels={"a": "b"}, progress=watched)
    assert (found.digest, found.size) == (LAYER, SIZE)
    assert [(blob.digest, blob.labels) for blob in namespace.blobs()] == [(LAYER, {"a": "b"})]
    assert list(namespace.images.list()) == leases(namespace) == []
    kinds = [type(step) for step in watched.steps if not isinstance(step, Moved)]
    assert kinds == [Resolved, Planned, Begun, Done]


def test_one_manifest_comes_without_what_it_points_to(registry, content):
    with client() as fetching:
        fetching.fetch(f"{registry.host}/team/app@{LARGE.digest}", into=content)
    assert digests_in(content) == [LARGE.digest]


def test_a_blob_without_a_digest_is_no_blob(registry, content, reference):
    with client() as fetching, pytest.raises(InvalidArgument, match="@sha256:"):
        fetching.fetch(reference, into=content)
    assert registry.log == []


@pytest.mark.slow
def test_a_signal_ends_a_pull_at_once_whose_many_streams_get_no_answer(namespace):
    """The first stream is slow, so that more are opened, and then nobody gets a word."""
    made = image({"a": bytes(range(256)) * 100_000})
    layer = digest(made.layers[0])
    main = threading.main_thread().ident
    with (
        lying({NAME: made}, faults={f"{layer} range": [Always(Stall(BEFORE))]}) as registry,
        link(registry.host, rate=1 << 20) as line,
        client(patience=Patience(idle=timedelta(hours=1)), streams=4) as one,
    ):

        def interrupt():
            registry.wait_for(f"GET {layer} range", count=2)
            signal.pthread_kill(main, signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            one.pull(f"{line.host}/{NAME}", into=namespace)
        interrupter.join()
        assert not [each for each in threading.enumerate() if each.name.startswith("range-")]
        assert not [each for each in threading.enumerate() if "_take_part" in each.name]
