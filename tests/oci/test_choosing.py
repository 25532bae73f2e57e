"""Which manifests of an index are wanted, and what is said where none is."""

import pytest

from lading.errors import NotFound
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from lading.model.platform import Platform
from lading.oci.choosing import chosen

ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def entry(platform=None, *, annotations=None, version="", number=0):
    found = None if platform is None else Platform.parse(platform)._replace(os_version=version)
    digest = Digest.of(f"{platform} {version} {number}".encode())
    return Descriptor(OCI_MANIFEST, digest, 7, annotations or {}, found)


def index(*entries):
    return Manifest("index", OCI_INDEX, None, (), entries, None, None, {})


AMD64, ARM64, ARMV6, ARMV7 = map(entry, ("linux/amd64", "arm64", "linux/arm/v6", "linux/arm/v7"))


@pytest.mark.parametrize(
    ("wanted", "best"),
    [("linux/amd64", AMD64), ("linux/arm64/v8", ARM64), ("linux/arm/v7", ARMV7)],
)
def test_a_platform_gets_its_own_manifest_alone(wanted, best):
    found = chosen(index(ARMV6, ARMV7, ARM64, AMD64), Platform.parse(wanted))
    assert found == (best,)


def test_a_newer_machine_runs_what_was_made_for_the_newest_of_the_older_ones():
    assert chosen(index(ARMV6, ARMV7), Platform.parse("linux/arm64")) == (ARMV7,)
    assert chosen(index(ARMV6, AMD64), Platform.parse("linux/arm/v7")) == (ARMV6,)


def test_all_is_all():
    entries = (AMD64, entry(annotations=ATTESTATION), ARM64)
    assert chosen(index(*entries), "all") == entries


def test_no_platform_is_the_one_of_this_machine():
    mine = Descriptor(OCI_MANIFEST, Digest.of(b"mine"), 4, {}, Platform.of_this_machine())
    assert chosen(index(entry("plan9/mips"), mine), None) == (mine,)


def test_the_first_of_several_for_one_platform_is_taken():
    first, second = entry("linux/amd64", number=1), entry("linux/amd64", number=2)
    assert chosen(index(first, second), Platform.parse("linux/amd64")) == (first,)


def test_a_version_of_the_system_counts_where_somebody_names_it():
    old, new = (entry("windows/amd64", version=version) for version in ("10.0.1", "10.0.2"))
    wanted = Platform.parse("windows/amd64")
    assert chosen(index(old, new), wanted) == (old,)
    assert chosen(index(old, new), wanted._replace(os_version="10.0.2")) == (new,)


def test_what_says_no_platform_belongs_together():
    parts = entry(number=1), entry(number=2)
    assert chosen(index(*parts), Platform.parse("linux/amd64")) == parts


def test_what_says_no_platform_is_for_those_for_whom_nothing_else_is():
    unsaid = entry()
    assert chosen(index(ARM64, unsaid), Platform.parse("linux/amd64")) == (unsaid,)
    assert chosen(index(ARM64, unsaid), Platform.parse("linux/arm64")) == (ARM64,)


def test_what_a_builder_says_of_a_manifest_is_no_image():
    attested = entry("unknown/unknown", annotations=ATTESTATION)
    unsaid = entry(annotations=ATTESTATION)
    with pytest.raises(NotFound) as missing:
        chosen(index(ARM64, attested, unsaid), Platform.parse("linux/amd64"))
    assert str(missing.value) == "platform 'linux/amd64 (there is linux/arm64)': not found"


def test_what_there_is_instead_is_listed_once_each_and_not_without_end():
    many = [entry(f"linux/m{number}", number=other) for number in range(20) for other in (1, 2)]
    with pytest.raises(NotFound) as missing:
        chosen(index(*many), Platform.parse("linux/amd64"))
    assert "there is linux/m0, linux/m1, " in str(missing.value)
    assert str(missing.value).endswith("linux/m11, 8 more)': not found")


def test_an_index_for_nobody_says_so():
    nobody = entry("unknown/unknown")
    with pytest.raises(NotFound, match="there is none for any platform"):
        chosen(index(nobody), Platform.parse("linux/amd64"))


def test_an_empty_index_is_empty():
    assert chosen(index(), Platform.parse("linux/amd64")) == ()
