"""An image on its way from a registry to a registry."""

import json
from dataclasses import dataclass, replace

import pytest

from lading import Digest
from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from lading.model.manifest import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from lading.model.platform import Platform
from lading.model.reference import Reference
from lading.oci.copying import copy_image
from lading.oci.progress import Begun, Done, Found, Mounted, Planned, Resolved, Restarted
from lading.oci.uploads.sessions import UploadSessions
from tests.support.lies import (
    HONEST,
    Always,
    Cut,
    CutAt,
    IgnoresRange,
    Status,
    Takes,
    WrongBytes,
)
from tests.support.lying import lying
from tests.support.lying_uploads import Quirks
from tests.support.registry import digest, image

SMALL = image({"a": b"a" * 5_000}, {"b": b"b" * 7_000})
LARGE = image({"large": bytes(range(256)) * (17 << 12)}, {"small": b"s"})
LAYER = LARGE.layers[0]
NAME = digest(LAYER)
STATELESS = Quirks(states=False)
KEEPS_ATTACHED = Quirks(subjects=True, referrers=True)


@dataclass
class Copier:
    make_remote: object
    folder: object
    steps: list

    def __call__(self, source, target, *, platform="all", attempts=5, **options):
        """Copy, as a process of its own would."""
        remotes = []
        for name in (source, target):
            remote = self.make_remote(name)
            remote.patience = replace(remote.patience, attempts=attempts)
            remotes += [remote, Reference.parse(name)]
        self.steps.clear()
        return copy_image(
            *remotes,
            platform=platform,
            sessions=UploadSessions(self.folder),
            blobs_at_once=4,
            progress=self.steps.append,
            **options,
        )

    def of(self, kind, name=None):
        return [
            step
            for step in self.steps
            if isinstance(step, kind) and (name is None or step.blob.digest == name)
        ]


@pytest.fixture
def copy(remote, tmp_path):
    return Copier(remote, tmp_path / "uploads", [])


def has_it(registry, made, name="there/app", tag="1"):
    return (
        registry.manifests[name][tag] == (OCI_MANIFEST, made.manifest)
        and registry.blobs[name].items() >= {digest(each): each for each in made.layers}.items()
    )


def test_everything_arrives_and_nothing_is_asked_for_twice(copy):
    with lying({"here/app:1": SMALL}) as source, lying() as target:
        found = copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert has_it(target, SMALL)
        assert found.digest == SMALL.digest
        assert len(source.asked("GET blobs")) == 3
    assert copy.of(Resolved) == [Resolved(f"{source.host}/here/app:1", found)]
    assert len(copy.of(Planned)) == len(copy.of(Done)) == 4


def test_a_second_copy_reads_no_blob(copy):
    with lying({"here/app:1": SMALL}) as source, lying() as target:
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        before = len(source.asked("GET blobs"))
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert len(source.asked("GET blobs")) == before
    assert len(copy.of(Found)) == 4


def test_within_one_registry_blobs_are_mounted(copy):
    with lying({"here/app:1": SMALL}) as registry:
        copy(f"{registry.host}/here/app:1", f"{registry.host}/there/app:2")
        assert has_it(registry, SMALL, tag="2")
        assert registry.asked("GET blobs") == registry.asked("PUT uploads") == []
    assert {step.source for step in copy.of(Mounted)} == {"here/app"}


def test_where_nothing_can_be_mounted_blobs_pass_through(copy):
    with lying({"here/app:1": SMALL}, quirks=Quirks(mounts=False)) as registry:
        copy(f"{registry.host}/here/app:1", f"{registry.host}/there/app:1")
        assert has_it(registry, SMALL)


def test_a_tag_within_one_repository_costs_a_manifest(copy):
    with lying({"here/app:1": SMALL}) as registry:
        copy(f"{registry.host}/here/app:1", f"{registry.host}/here/app:2")
        assert has_it(registry, SMALL, name="here/app", tag="2")
        assert registry.asked("uploads") == []


def test_a_source_that_is_not_there_is_not_found(copy):
    with lying() as source, lying() as target:
        with pytest.raises(NotFound, match="here/app:1"):
            copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert target.asked() == []


def index_of(registry, *parts):
    """Put an index of images into `here/app:all`."""
    manifests = []
    for made, architecture in parts:
        registry.add(f"here/app:{architecture}", made)
        manifests.append(
            {
                "mediaType": OCI_MANIFEST,
                "digest": made.digest,
                "size": len(made.manifest),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    return registry.add_manifest("here/app", "all", data.encode(), OCI_INDEX)


def test_all_platforms_go_along(copy):
    other = image({"c": b"c"}, env="B=2")
    with lying() as source, lying() as target:
        index = index_of(source, (SMALL, "amd64"), (other, "arm64"))
        found = copy(f"{source.host}/here/app:all", f"{target.host}/there/app:1")
        assert found.digest == index
        assert set(target.manifests["there/app"]) == {"1", index, SMALL.digest, other.digest}


def test_one_platform_becomes_the_target(copy):
    other = image({"c": b"c"}, env="B=2")
    with lying() as source, lying() as target:
        index_of(source, (SMALL, "amd64"), (other, "arm64"))
        names = f"{source.host}/here/app:all", f"{target.host}/there/app:1"
        found = copy(*names, platform=Platform("linux", "arm64"))
        assert found.digest == other.digest
        assert set(target.manifests["there/app"]) == {"1", other.digest}


def test_the_digest_of_something_else_is_refused_before_anything_is_sent(copy):
    with lying({"here/app:1": SMALL}) as source, lying() as target:
        with pytest.raises(InvalidArgument, match="name it by a tag"):
            copy(f"{source.host}/here/app:1", f"{target.host}/there/app@{Digest.of(b'x')}")
        assert target.asked() == []


# What is attached.


def attach(registry, subject, size, kind):
    """Put a manifest of no layers that is attached to another one; gives its digest and size."""
    config = registry.add_blob("here/app", b"{}")
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": OCI_EMPTY, "digest": config, "size": 2},
        "layers": [],
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": size},
    }
    data = json.dumps(value).encode()
    return registry.add_manifest("here/app", "", data, OCI_MANIFEST), len(data)


def test_what_is_attached_stays_unless_it_is_asked_for(copy):
    with lying({"here/app:1": SMALL}, quirks=KEEPS_ATTACHED) as source, lying() as target:
        attach(source, SMALL.digest, len(SMALL.manifest), "application/x.signature")
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert set(target.manifests["there/app"]) == {"1", SMALL.digest}


@pytest.mark.parametrize("quirks", [KEEPS_ATTACHED, Quirks()], ids=["referrers", "tags"])
def test_what_is_attached_comes_along_and_what_is_attached_to_that(copy, quirks):
    with (
        lying({"here/app:1": SMALL}, quirks=KEEPS_ATTACHED) as source,
        lying(quirks=quirks) as target,
    ):
        one, size = attach(source, SMALL.digest, len(SMALL.manifest), "application/x.document")
        two, _ = attach(source, one, size, "application/x.signature")
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1", referrers=True)
        tags = {f"sha256-{name[7:]}" for name in (SMALL.digest, one)}
        found = {name for name in target.manifests["there/app"] if not name.startswith("sha256:")}
        assert found == ({"1"} if quirks is KEEPS_ATTACHED else {"1", *tags})
        assert {one, two} <= set(target.manifests["there/app"])


# Large blobs, and what goes wrong on either side.


@pytest.mark.slow
def test_a_large_blob_passes_in_chunks_and_the_source_is_read_once(copy):
    with lying({"here/app:1": LARGE}) as source, lying() as target:
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert has_it(target, LARGE)
        assert sum(each.sent for each in source.asked(f"GET {NAME}")) == len(LAYER)
        assert len(target.asked("PATCH")) == 2


@pytest.mark.slow
def test_another_process_goes_on_at_the_byte_where_the_target_is(copy):
    faults = {"PATCH uploads": [HONEST, Takes(123_456)]}
    with lying({"here/app:1": LARGE}) as source, lying(faults=faults, quirks=STATELESS) as target:
        names = f"{source.host}/here/app:1", f"{target.host}/there/app:1"
        with pytest.raises(Unavailable):
            copy(*names, attempts=1)
        before = len(source.asked(f"GET {NAME}"))
        copy(*names)
        assert has_it(target, LARGE)
        offset = (16 << 20) + 123_456
        ranges = [each.range for each in source.asked(f"GET {NAME}")[before:]]
        assert ranges == [f"bytes={offset}-{len(LAYER) - 1}"]
    assert [step.offset for step in copy.of(Begun, NAME)] == [offset]
    assert [step.moved for step in copy.of(Done, NAME)] == [len(LAYER) - offset]


@pytest.mark.slow
def test_a_source_that_breaks_off_does_not_break_off_the_upload(copy):
    faults = {NAME: [CutAt(1_000_000), CutAt(9_000_001, reset=True), Status(503)]}
    with lying({"here/app:1": LARGE}, faults=faults) as source, lying() as target:
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert has_it(target, LARGE)
        starts = [each.start for each in source.asked(f"GET {NAME}")]
        assert len(target.asked("PATCH")) == 2
    assert starts[:2] == [0, 1_000_000]
    assert starts == sorted(starts)
    assert len(starts) == 5
    assert copy.of(Restarted) == []


@pytest.mark.slow
def test_a_source_without_ranges_is_read_once_more_and_no_byte_is_sent_twice(copy):
    faults = {NAME: [CutAt(1_000_000), Always(IgnoresRange())]}
    with lying({"here/app:1": LARGE}, faults=faults) as source, lying() as target:
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert has_it(target, LARGE)
        assert sum(each.received for each in target.asked("PATCH")) == len(LAYER)


def test_a_source_that_never_gives_all_is_an_error_and_its_pauses_are_made_once(copy, pauses):
    name = digest(SMALL.layers[0])
    with (
        lying({"here/app:1": SMALL}, faults={name: [Always(Cut(0))]}) as source,
        lying() as target,
    ):
        with pytest.raises(ConnectionFailed, match=source.host):
            copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1", attempts=3)
        assert len(source.asked(f"GET {name}")) == 3
        assert target.manifests == {}
    assert len(pauses) == 2


@pytest.mark.parametrize("place", [0, 6_000])
def test_wrong_bytes_that_come_once_are_asked_for_once_more(copy, place):
    name = digest(SMALL.layers[1])
    faults = {name: [WrongBytes(place)]}
    with lying({"here/app:1": SMALL}, faults=faults) as source, lying() as target:
        copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert has_it(target, SMALL)
        assert len(target.asked("PUT uploads")) <= 4


def test_wrong_bytes_that_come_always_are_an_error_and_never_arrive(copy):
    name = digest(SMALL.layers[1])
    faults = {name: [Always(WrongBytes(6_000))]}
    with lying({"here/app:1": SMALL}, faults=faults) as source, lying() as target:
        with pytest.raises(DigestMismatch):
            copy(f"{source.host}/here/app:1", f"{target.host}/there/app:1")
        assert name not in target.blobs.get("there/app", {})
        assert target.manifests == {}
