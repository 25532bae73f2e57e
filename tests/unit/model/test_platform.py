"""Platforms have one spelling each, and a machine is served by what it can run."""

import platform as python_platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidArgument
from lading.model.platform import Platform

FOLDED = {
    "linux/amd64": "linux/amd64",
    "linux/x86_64": "linux/amd64",
    "Linux/X86-64": "linux/amd64",
    "linux/amd64/v1": "linux/amd64",
    "linux/amd64/v3": "linux/amd64/v3",
    "linux/i386": "linux/386",
    "linux/i386/v7": "linux/386",
    "linux/386": "linux/386",
    "linux/arm64": "linux/arm64",
    "linux/arm64/v8": "linux/arm64",
    "linux/arm64/8": "linux/arm64",
    "linux/aarch64": "linux/arm64",
    "linux/arm64/v9": "linux/arm64/v9",
    "linux/arm": "linux/arm/v7",
    "linux/arm/7": "linux/arm/v7",
    "linux/arm/v6": "linux/arm/v6",
    "linux/arm/6": "linux/arm/v6",
    "linux/armhf": "linux/arm/v7",
    "linux/armhf/v6": "linux/arm/v7",
    "linux/armel": "linux/arm/v6",
    "macos/arm64": "darwin/arm64",
    "windows/amd64": "windows/amd64",
    "plan9/mips": "plan9/mips",
    "nothing/we_know": "nothing/we_know",
    "arm64": "linux/arm64",
    "x86_64": "linux/amd64",
    "aarch64": "linux/arm64",
    "s390x": "linux/s390x",
    "mips64le": "linux/mips64le",
}
NO_PLATFORMS = [
    "",
    "/",
    "linux/",
    "/amd64",
    "a/b/c/d",
    "linux/a b",
    "linux/*",
    "é",
    "linux/é",
    "x",
    "\n",
    "linux/amd64\n",
]


@pytest.mark.parametrize(("text", "folded"), FOLDED.items())
def test_a_platform_has_one_spelling(text, folded):
    assert str(Platform.parse(text)) == folded
    assert Platform.parse(folded) == Platform.parse(text)


def test_a_system_alone_is_on_this_machines_architecture(monkeypatch):
    monkeypatch.setattr(python_platform, "machine", lambda: "armv6l")
    assert str(Platform.parse("linux")) == "linux/arm/v6"
    assert str(Platform.parse("macOS")) == "darwin/arm/v6"


@pytest.mark.parametrize("text", NO_PLATFORMS)
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidArgument, match="linux/"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("i686", "linux/386"),
        ("s390x", "linux/s390x"),
        ("", "linux/amd64"),
    ],
)
def test_images_for_this_machine_are_for_linux(monkeypatch, machine, architecture):
    monkeypatch.setattr(python_platform, "machine", lambda: machine)
    assert str(Platform.of_this_machine()) == architecture


@pytest.mark.parametrize(
    ("machine", "served"),
    [
        ("linux/amd64", ["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
        ("linux/arm/v7", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        (
            "linux/arm64",
            ["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
        ),
        ("linux/s390x", ["linux/s390x"]),
    ],
)
def test_a_machine_is_served_by_what_it_can_run_the_best_first(machine, served):
    assert [str(each) for each in Platform.parse(machine).served_by()] == served


@given(st.text(max_size=30))
def test_any_text_is_a_platform_or_refused(text):
    try:
        found = Platform.parse(text)
    except InvalidArgument:
        return
    assert Platform.parse(str(found)) == found
    assert Platform.of(*found) == found
