"""A target and everything it points to, on its way to a registry."""

import json
import random
from dataclasses import dataclass, replace

import pytest

from lading import Digest, LocalStore
from lading.errors import (
    DataLoss,
    DigestMismatch,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refused,
    SizeMismatch,
    Unavailable,
)
from lading.metadata import Metadata
from lading.model.descriptor import Descriptor, json_of
from lading.model.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.progress import Done, Found, Mounted, Planned, Resolved
from lading.oci.pushing import push_image
from lading.oci.uploads.sessions import UploadSessions
from tests.support.lies import HONEST, OTHER_DIGEST, Always, Status
from tests.support.lying import lying
from tests.support.lying_uploads import Quirks

REPOSITORY = "me/model"
ARM, AMD = Platform("linux", "arm64"), Platform("linux", "amd64")
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


class Made:
    """What a test has made, and the store that has it."""

    def __init__(self, store):
        self.store = store
        self._random = random.Random(7)  # noqa: S311 - no secret

    def blob(self, media_type=OCI_LAYER, *, size=1_000, data=None, **fields):
        data = self._random.randbytes(size) if data is None else data
        return Descriptor(media_type, self.store.add(data).digest, len(data), **fields)

    def manifest(self, *layers, media_type=OCI_MANIFEST, platform=None, **fields):
        config = self.blob(OCI_CONFIG, data=json.dumps({"of": len(layers)}).encode())
        value = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": json_of(config),
            "layers": [json_of(layer) for layer in layers],
            **fields,
        }
        # Spaces that nobody else would write: the bytes have to arrive as they are.
        return self.blob(media_type, data=json.dumps(value, indent=3).encode(), platform=platform)

    def index(self, *manifests, media_type=OCI_INDEX):
        value = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [json_of(each) for each in manifests],
        }
        return self.blob(media_type, data=json.dumps(value).encode())


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def made(store):
    return Made(store)


@dataclass
class Pusher:
    make_remote: object
    folder: object
    steps: list

    def __call__(
        self, registry, target, *, source, name=f"{REPOSITORY}:1", platform="all", attempts=5
    ):
        """Push, and return what was named; each call is as good as a process of its own."""
        reference = Reference.parse(f"{registry.host}/{name}")
        remote = self.make_remote(str(reference))
        remote.patience = replace(remote.patience, attempts=attempts)
        self.steps.clear()
        return push_image(
            remote,
            reference,
            target,
            source=source,
            platform=platform,
            sessions=UploadSessions(self.folder),
            blobs_at_once=4,
            progress=self.steps.append,
        )


@pytest.fixture
def push(remote, tmp_path):
    return Pusher(remote, tmp_path / "uploads", [])


def held(registry, repository=REPOSITORY):
    """The digests of what a repository has."""
    return {*registry.blobs.get(repository, {}), *registry.manifests.get(repository, {})}


def puts(registry):
    return [each.object for each in registry.asked("PUT manifests")]


def test_everything_arrives_byte_for_byte_and_the_target_last(push, made, store):
    image = made.manifest(made.blob(), made.blob())
    with lying() as registry:
        assert push(registry, image, source=store) == image
        manifests = registry.manifests[REPOSITORY]
        assert manifests["1"] == manifests[image.digest] == (OCI_MANIFEST, store.read(image.digest))
        assert held(registry) == {*(blob.digest for blob in store.blobs()), "1"}
        kinds = [each.kind for each in registry.asked("PUT")]
        assert kinds == [*["uploads"] * 3, "manifests"]
    assert push.steps[0] == Resolved(f"{registry.host}/{REPOSITORY}:1", image)
    assert {step.blob.digest for step in push.steps if isinstance(step, Planned)} == {
        blob.digest for blob in store.blobs()
    }
    assert isinstance(push.steps[-1], Done)


def test_of_an_index_the_children_go_first(push, made, store):
    images = [made.manifest(made.blob(), platform=each) for each in (ARM, AMD)]
    index = made.index(*images)
    with lying() as registry:
        push(registry, index, source=store)
        assert puts(registry) == [*(image.digest for image in images), "1"]
        assert registry.manifests[REPOSITORY]["1"][0] == OCI_INDEX


@pytest.mark.parametrize(
    ("index_type", "manifest_type"), [(DOCKER_INDEX, DOCKER_MANIFEST), (OCI_INDEX, OCI_MANIFEST)]
)
def test_media_types_arrive_as_they_are(push, made, store, index_type, manifest_type):
    image = made.manifest(made.blob(), media_type=manifest_type)
    index = made.index(image, media_type=index_type)
    with lying() as registry:
        push(registry, index, source=store)
        kept = registry.manifests[REPOSITORY]
        assert (kept["1"][0], kept[image.digest][0]) == (index_type, manifest_type)


def test_a_blob_that_several_manifests_share_is_sent_once(push, made, store):
    shared = made.blob()
    index = made.index(*(made.manifest(shared, made.blob(), platform=each) for each in (ARM, AMD)))
    with lying() as registry:
        push(registry, index, source=store)
        assert len(registry.asked(f"HEAD {shared.digest}")) == 1


def test_a_second_push_sends_nothing(push, made, store):
    image = made.manifest(made.blob(), made.blob())
    with lying() as registry:
        push(registry, image, source=store)
        before = len(registry.asked())
        push(registry, image, source=store)
        assert {each.method for each in registry.asked()[before:]} == {"HEAD"}
    assert {type(step) for step in push.steps} == {Resolved, Planned, Found}


def test_a_tag_moves_to_another_target(push, made, store):
    one, two = made.manifest(made.blob()), made.manifest(made.blob())
    with lying() as registry:
        push(registry, one, source=store)
        push(registry, two, source=store)
        assert registry.manifests[REPOSITORY]["1"][1] == store.read(two.digest)


def test_by_a_digest_the_target_is_put_under_no_tag(push, made, store):
    image = made.manifest(made.blob())
    with lying() as registry:
        push(registry, image, source=store, name=f"{REPOSITORY}@{image.digest}")
        assert puts(registry) == [image.digest]


def test_the_digest_of_something_else_is_refused_before_anything_is_sent(push, made, store):
    image = made.manifest(made.blob())
    other = Digest.of(b"something else")
    with lying() as registry:
        for name in (f"{REPOSITORY}@{other}", f"{REPOSITORY}:1@{other}"):
            with pytest.raises(InvalidArgument, match="name it by a tag"):
                push(registry, image, source=store, name=name)
        assert registry.asked() == []


def test_what_is_no_manifest_is_refused(push, made, store):
    with lying() as registry:
        with pytest.raises(InvalidArgument, match="names manifests alone"):
            push(registry, made.blob(), source=store)
        assert registry.asked() == []


# What is missing.


def test_missing_blobs_are_listed_before_anything_is_sent(push, made, store):
    layers = [made.blob() for _ in range(6)]
    image = made.manifest(*layers)
    for layer in layers[1:]:
        store.delete(layer.digest)
    with lying() as registry:
        with pytest.raises(NotFound) as missing:
            push(registry, image, source=store)
        assert registry.asked() == []
    told = str(missing.value)
    assert all(layer.digest in told for layer in layers[1:4])
    assert "2 more" in told


def test_a_blob_of_another_size_than_its_manifest_says_is_an_error(push, made, store):
    layer = made.blob()
    image = made.manifest(layer._replace(size=layer.size + 1))
    with lying() as registry:
        with pytest.raises(SizeMismatch):
            push(registry, image, source=store)
        assert registry.asked() == []


def test_missing_platforms_are_named(push, made, store):
    images = [made.manifest(made.blob(), platform=each) for each in (ARM, AMD)]
    index = made.index(*images)
    store.delete(images[0].digest)
    with lying() as registry, pytest.raises(NotFound, match=r"\(linux/arm64\): not found"):
        push(registry, index, source=store)


def test_a_platform_is_pushed_as_a_target_of_its_own(push, made, store):
    images = [made.manifest(made.blob(), platform=each) for each in (ARM, AMD)]
    index = made.index(*images)
    store.delete(images[0].digest)
    with lying() as registry:
        pushed = push(registry, index, source=store, platform=AMD)
        assert pushed.digest == images[1].digest
        assert puts(registry) == ["1"]


def test_a_platform_that_is_not_there_is_not_found(push, made, store):
    index = made.index(made.manifest(made.blob(), platform=ARM))
    with lying() as registry, pytest.raises(NotFound, match="linux/arm64"):
        push(registry, index, source=store, platform=Platform("linux", "s390x"))


def test_an_index_that_is_no_choice_of_platforms_is_not_narrowed(push, made, store):
    index = made.index(made.manifest(made.blob()), made.manifest(made.blob()))
    with lying() as registry:
        with pytest.raises(InvalidArgument, match="as a whole"):
            push(registry, index, source=store, platform=AMD)
        push(registry, index, source=store)


def test_a_layer_that_everybody_has_from_elsewhere_may_be_missing(push, made, store):
    foreign = made.blob(FOREIGN, urls=("https://example.com/layer",))
    image = made.manifest(foreign, made.blob())
    store.delete(foreign.digest)
    with lying() as registry:
        push(registry, image, source=store)
        assert foreign.digest not in held(registry)


def test_bytes_that_came_with_their_descriptor_need_not_be_in_the_store(push, made, store):
    empty = made.blob(OCI_EMPTY, data=b"{}")
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/x.test",
        "config": json_of(empty) | {"data": "e30="},
        "layers": [],
    }
    image = made.blob(OCI_MANIFEST, data=json.dumps(value).encode())
    store.delete(empty.digest)
    with lying() as registry:
        push(registry, image, source=store)
        assert registry.blobs[REPOSITORY][empty.digest] == b"{}"


def test_a_damaged_manifest_is_a_loss_and_nothing_is_sent(push, made, store):
    image = made.manifest(made.blob())
    path = store.path(image.digest)
    path.chmod(0o600)
    path.write_bytes(b"{}")
    with lying() as registry:
        with pytest.raises(DataLoss):
            push(registry, image, source=store)
        assert registry.asked() == []


# Where blobs are known to be.


def test_what_was_pulled_from_another_repository_there_is_mounted(push, made, tmp_path):
    with Metadata(f"sqlite:///{tmp_path}/metadata.db", content=made.store) as metadata:
        namespace = metadata.namespace("default")
        mine = Made(namespace)
        layer = mine.blob()
        image = mine.manifest(layer)
        with lying() as registry:
            registry.add_blob("you/model", namespace.read(layer.digest))
            label = "containerd.io/distribution.source.127.0.0.1"
            namespace.label(layer.digest, {label: "you/model"})
            push(registry, image, source=namespace)
            assert Mounted(layer, "you/model") in push.steps
            # From now on it is known to be in both.
            assert namespace.blob(layer.digest).labels[label] == f"{REPOSITORY},you/model"
            push(registry, image, source=namespace, name="third/model:1")
            assert {type(step) for step in push.steps} >= {Mounted}
            assert len(registry.asked("PUT uploads")) == 1  # the config, once


# What goes wrong at the registry.


def test_a_failure_of_one_blob_ends_the_push_and_the_next_one_goes_on(push, made, store):
    image = made.manifest(*(made.blob() for _ in range(8)))
    with lying(faults={"POST uploads": [HONEST, Always(Status(503))]}) as registry:
        with pytest.raises(Unavailable):
            push(registry, image, source=store, attempts=2)
        assert registry.manifests == {}
        registry.lie({})
        push(registry, image, source=store)
        assert puts(registry) == ["1"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_manifest_is_tried_again(push, made, store, pauses, status):
    image = made.manifest(made.blob())
    with lying(faults={"PUT manifests": [Status(status)]}) as registry:
        push(registry, image, source=store)
        assert puts(registry) == ["1", "1"]
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(400, Refused), (403, PermissionDenied), (413, Refused)]
)
def test_a_manifest_that_is_refused_is_an_error(push, made, store, status, error):
    image = made.manifest(made.blob())
    with lying(faults={"PUT manifests": [Always(Status(status, "TAG_INVALID"))]}) as registry:
        with pytest.raises(error, match="TAG_INVALID"):
            push(registry, image, source=store)
        assert puts(registry) == ["1"]


def test_another_digest_of_a_manifest_is_an_error(push, made, store):
    image = made.manifest()
    with lying() as registry:
        for blob in store.blobs():
            registry.add_blob(REPOSITORY, store.read(blob.digest))
        registry.uploads.quirks = Quirks(digest=OTHER_DIGEST)
        with pytest.raises(DigestMismatch, match="0123456789abcdef"):
            push(registry, image, source=store)


def test_a_tag_that_nobody_may_write_twice_is_not_written_twice(push, made, store):
    image = made.manifest(made.blob())
    with lying() as registry:
        push(registry, image, source=store)
        registry.lie({"PUT manifests": [Always(Status(400, "TAG_IMMUTABLE"))]})
        push(registry, image, source=store)
        assert puts(registry) == ["1"]


# What is attached to something else.


def signature_of(made, subject, **fields):
    return made.manifest(
        made.blob(), subject=json_of(subject), artifactType="application/x.signature", **fields
    )


def test_where_the_registry_keeps_what_is_attached_nothing_is_added(push, made, store):
    image = made.manifest(made.blob())
    signature = signature_of(made, image)
    with lying(quirks=Quirks(subjects=True, referrers=True)) as registry:
        push(registry, signature, source=store)
        assert puts(registry) == ["1"]


def test_where_it_does_not_an_index_lists_it_under_a_tag(push, made, store):
    image = made.manifest(made.blob())
    first = signature_of(made, image, annotations={"by": "me"})
    second = made.manifest(made.blob(), subject=json_of(image))
    with lying() as registry:
        push(registry, first, source=store, name=f"{REPOSITORY}:signature")
        push(registry, second, source=store, name=f"{REPOSITORY}@{second.digest}")
        push(registry, first, source=store, name=f"{REPOSITORY}:again")
        media_type, data = registry.manifests[REPOSITORY][f"sha256-{image.digest.hex}"]
    assert media_type == OCI_INDEX
    assert json.loads(data)["manifests"] == [
        json_of(first) | {"artifactType": "application/x.signature", "annotations": {"by": "me"}},
        json_of(second) | {"artifactType": OCI_CONFIG},
    ]


def test_an_entry_that_somebody_overwrites_is_written_again(push, made, store):
    image = made.manifest(made.blob())
    mine, theirs = signature_of(made, image), made.manifest(made.blob(), subject=json_of(image))
    tag = f"sha256-{image.digest.hex}"

    class Overwrites(Status):
        """Somebody else writes the index between our read and our write."""

        def __call__(self, answer, asked):
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [json_of(theirs)]}
            asked.server.add_manifest(REPOSITORY, tag, json.dumps(index).encode(), OCI_INDEX)
            return answer

    with lying() as registry:
        registry.add_manifest(REPOSITORY, "", store.read(theirs.digest), OCI_MANIFEST)
        registry.lie({f"PUT {tag}": [Overwrites(200)]})
        push(registry, mine, source=store)
        listed = json.loads(registry.manifests[REPOSITORY][tag][1])["manifests"]
    assert {each["digest"] for each in listed} == {mine.digest, theirs.digest}


def test_what_is_attached_goes_along_with_an_index(push, made, store):
    image = made.manifest(made.blob(), platform=AMD)
    index = made.index(image, signature_of(made, image))
    with lying() as registry:
        push(registry, index, source=store)
        assert f"sha256-{image.digest.hex}" in puts(registry)
