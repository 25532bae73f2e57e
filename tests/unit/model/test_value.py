"""Values: what a frozen dataclass is, made in no time."""

import copy
import pickle
from typing import ClassVar

import pytest

from lading.model.value import Value


class Place(Value):
    """Somewhere."""

    town: str

    kind: ClassVar[str] = "place"


class House(Place):
    """Somewhere in it."""

    number: int


class Square(Place):
    """The same fields as its base."""


HOUSE = House("Ulm", 7)


def test_fields_come_in_order_those_of_the_base_first():
    assert (HOUSE.town, HOUSE.number, HOUSE.kind) == ("Ulm", 7, "place")
    assert House("Ulm", number=7) == House(number=7, town="Ulm") == HOUSE
    match HOUSE:
        case House(town, number):
            assert (town, number) == ("Ulm", 7)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("Ulm",), {}),
        (("Ulm", 7, 8), {}),
        (("Ulm", 7), {"number": 7}),
        (("Ulm",), {"town": "Ulm"}),
        (("Ulm",), {"colour": "red"}),
        ((), {"town": "Ulm", "number": 7, "colour": "red"}),
    ],
)
def test_all_fields_have_to_be_given_and_each_once(values, named):
    with pytest.raises(TypeError, match="House takes town, number"):
        House(*values, **named)


def test_it_is_equal_to_what_has_the_same_class_and_fields():
    assert House("Ulm", 7) == HOUSE != House("Ulm", 8)
    assert Square("Ulm") != Place("Ulm")
    assert HOUSE != ("Ulm", 7)
    assert {House("Ulm", 7), HOUSE, Place("Ulm"), Square("Ulm")} == {
        HOUSE,
        Place("Ulm"),
        Square("Ulm"),
    }


def test_it_never_changes():
    for name in ("town", "colour"):
        with pytest.raises(AttributeError, match=f"House.{name} never changes"):
            setattr(HOUSE, name, "red")
        with pytest.raises(AttributeError, match=f"House.{name} never changes"):
            delattr(HOUSE, name)


def test_it_says_what_it_is():
    assert repr(HOUSE) == "House(town='Ulm', number=7)"


def test_it_can_be_copied_and_sent_elsewhere():
    assert copy.deepcopy(HOUSE) == HOUSE == pickle.loads(pickle.dumps(HOUSE))  # noqa: S301 - our own bytes
