"""A containerd and a lading side by side, and a registry."""

import re

import pytest

from tests.compat.ctr import Both, Ctr
from tests.compat.daemon import running_lading
from tests.support.containerd import running_containerd
from tests.support.registry import running_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with (
        running_containerd(tmp_path_factory.mktemp("containerd"), collects=False) as theirs,
        running_lading(tmp_path_factory.mktemp("lading"), collects=False) as ours,
    ):
        yield Ctr(theirs), Ctr(ours.address)


@pytest.fixture
def both(servers, request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))
    return Both(*servers, name[:70].strip("-"))
