"""Value: named fields that never change, for classes that every start of the command makes.

    class BlobDeleted(Event):
        digest: Digest            a field, behind those of Event
        topic: ClassVar[str] = ""     has a value, and is none

In use it is what `dataclass(frozen=True)` makes. That writes five functions for each class as text
and compiles them, and two dozen classes took 15 ms of a start that is to take 200.
"""

from typing import Any, ClassVar, NoReturn, dataclass_transform


@dataclass_transform(frozen_default=True)
class Value:
    """Equal to another of its own class with the same fields. Fields have no defaults."""

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (name for name in cls.__annotations__ if name not in cls.__dict__)
        cls.__match_args__ = (*cls.__match_args__, *own)  # type: ignore[misc]  # mypy has made some

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__
        given = dict(zip(names, values, strict=False))
        fields = given | named
        if len(values) + len(named) != len(names) or fields.keys() != set(names):
            takes = ", ".join(names) or "nothing"
            raise TypeError(f"{type(self).__qualname__} takes {takes}")
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__}.{name} never changes")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__}.{name} never changes")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *map(self.__dict__.get, self.__match_args__)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"
