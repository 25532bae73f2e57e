"""A registry that lies while several of its ranges, or many of its blobs, are on their way."""

import random
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lading import LocalStore
from lading.errors import Error
from lading.oci.fetching import watch, widening
from tests.oci.puller import Puller, check_is_right, check_is_whole
from tests.support.lies import (
    BEFORE,
    HONEST,
    Always,
    Chunked,
    Cut,
    Fault,
    FromStart,
    Header,
    IgnoresRange,
    Longer,
    Multipart,
    Redirect,
    Revokes,
    Shorter,
    Stall,
    Status,
    WrongBytes,
    Zipped,
    name_of,
)
from tests.support.lies_table import in_part_elsewhere, once_elsewhere, used_up_elsewhere
from tests.support.link import link
from tests.support.lying import Lying
from tests.support.registry import digest, image

pytestmark = pytest.mark.slow

MIB = 1 << 20
RATE = 4 * MIB
"""Bytes a second that one connection has: so slow that more of them are opened."""
LARGE = image({"weights": random.Random(7).randbytes(4 * MIB)})  # noqa: S311 - the same bytes each time
(LAYER,) = LARGE.layers
NAME = digest(LAYER)


@dataclass(frozen=True)
class WrongByte(Fault):
    """Sends one wrong byte, in the middle of whatever was asked for."""

    def __call__(self, answer, asked):
        return WrongBytes(asked.start + len(answer.body) // 2)(answer, asked)


RANGES = [
    HONEST,
    Cut(100_000),
    Cut(300_001, reset=True),
    Cut(BEFORE),
    Stall(400_000),
    Stall(BEFORE),
    IgnoresRange(),
    FromStart(),
    FromStart(says=True),
    Header("Content-Range"),
    Multipart(),
    WrongByte(),
    WrongByte() + Cut(400_000),
    Longer(9),
    Longer(9) + Chunked(),
    Shorter(9),
    Shorter(9) + Chunked(),
    Zipped(),
    Status(416),
    Status(429, headers={"Retry-After": "1"}),
    Status(503),
    Redirect(once_elsewhere),
    Redirect(in_part_elsewhere),
    Redirect(used_up_elsewhere),
    Revokes() + Cut(90_000),
]
# Wrong bytes twice are an error, and so is a token that is no good as soon as it was given.
MAY_END = [WrongByte(), Revokes() + Cut(90_000)]


@pytest.fixture
def soon(monkeypatch):
    """Decide after a moment already that one connection is slow, and take small ranges then."""
    monkeypatch.setattr(watch, "MEASURED_S", 0.05)
    monkeypatch.setattr(widening, "_RANGE_S", 0.1)


@pytest.fixture
def registry():
    registry = Lying({"team/app:1": LARGE}, tokens=True)
    registry.other = Lying()
    yield registry
    registry.close()
    registry.other.close()


@pytest.mark.parametrize("told", ["second", "third to fifth", "always"])
@pytest.mark.parametrize("lie", RANGES, ids=name_of)
def test_a_range_beside_others_may_be_a_lie(lie, told, registry, soon, tmp_path):
    rows = {
        "second": [HONEST, lie],
        "third to fifth": [HONEST, HONEST, lie, lie, lie],
        "always": [HONEST, Always(lie)],
    }
    registry.lie({f"{NAME} range": rows[told]})
    store = LocalStore(tmp_path / "root")
    with link(registry.host, rate=RATE) as line:
        pull = Puller(store, line, idle=timedelta(seconds=0.3), attempts=3)
        try:
            pull()
        except Error:
            assert told == "always" or lie in MAY_END
        assert line.connections > 3
        check_is_right(store)
        registry.lie({})
        line.rate_is(None)
        pull()
    check_is_whole(store, LARGE)
    sent = sum(each.sent for each in registry.asked(f"GET {NAME}"))
    assert sent < 12 * len(LAYER)
    # Four mebibytes in pieces of 90,000 bytes are 47, and some of them are asked for twice.
    assert len(registry.asked(f"GET {NAME} range")) < 2 * 47


MANY = image(*({f"{number}": random.Random(number).randbytes(MIB)} for number in range(100)))  # noqa: S311 - the same bytes each time
PASSING = [
    *(Cut(BEFORE), Cut(BEFORE, reset=True), Cut(1), Cut(70_001), Cut(500_000, reset=True)),
    *(Chunked(), Longer(9), Longer(9) + Chunked(), Shorter(9), Shorter(9) + Chunked()),
    *(Status(429, headers={"Retry-After": "1"}), Status(500), Status(503), Zipped()),
    *(IgnoresRange(), FromStart(), FromStart(says=True), Header("Content-Range"), Multipart()),
    *(WrongByte(), WrongByte() + Cut(300_000), Status(416), Revokes() + Cut(90_000)),
    *(Redirect(once_elsewhere), Redirect(in_part_elsewhere), Redirect(used_up_elsewhere)),
]


@pytest.mark.parametrize("seed", range(4))
def test_an_image_of_a_hundred_layers_arrives_through_lies_of_all_kinds(seed, tmp_path):
    dice = random.Random(seed)  # noqa: S311 - the same lies each time
    registry = Lying({"team/app:1": MANY}, tokens=True)
    registry.other = Lying()
    try:
        told = [dice.choice(PASSING) if dice.random() < 0.4 else HONEST for _ in range(250)]
        registry.lie({"blobs": told})
        store = LocalStore(tmp_path / "root")
        pull = Puller(store, registry)
        pulls = 0
        while True:
            pulls += 1
            try:
                pull()
                break
            except Error:  # wrong bytes of one blob twice, or a token that was taken back at once
                check_is_right(store)
        assert pulls <= 5
        check_is_whole(store, MANY)
        sent = sum(
            each.sent for server in (registry, registry.other) for each in server.asked("GET")
        )
        assert sent < 1.6 * sum(map(len, MANY.layers))
    finally:
        registry.close()
        registry.other.close()
