"""Settings: what a daemon is told, by flags, by the environment and by a file, in this order.

    root = "/srv/lading"
    listen = ["unix:///run/lading/lading.sock", "unix:///run/lading/c.sock,namespace=containerd"]
    log-level = "debug"

    [collection]
    poll = "30s"

A name is the same in all three: `log-level`, `LADING_LOG_LEVEL`, `--log-level`. Values are checked
here, wherever they come from, and a complaint names the place.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from lading.daemon.journal import FORMATS, LEVELS
from lading.daemon.listeners import Listener, UnixListener, listener
from lading.errors import InvalidArgument
from lading.metadata.schedule import Thresholds

PROCESSES_LIMIT = 64
WORKERS_LIMIT = 4096
COUNT_LIMIT = 2**31 - 1
SPAN_LIMIT = timedelta(days=366)
"""No timer of the system waits for ever."""
_COLLECTION = "collection"
_FILE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What a daemon is to do."""

    root: Path
    metadata: str
    """The address of the database."""
    listen: tuple[Listener, ...]
    sharing: Literal["shared", "isolated"] = "shared"
    processes: int = 1
    """How many answer calls; with more than one, this one is their parent and answers none."""
    workers: int = 256
    """Threads of each listener, in each process."""
    grace: timedelta = timedelta(seconds=10)
    """How long calls in flight may take at a stop."""
    log_level: str = "info"
    log_format: str = "logfmt"
    thresholds: Thresholds = field(default_factory=Thresholds)


class Source(NamedTuple):
    """A place that settings come from."""

    values: Mapping[str, object]
    """By their names, as they stand there; those of a table with a dot: `collection.poll`."""
    place: Callable[[str], str]
    """What a complaint calls the place of one."""


class _Wrong(ValueError):
    """What a value would have to be."""


def settings(
    sources: Sequence[Source],
    *,
    duration: Callable[[str], timedelta],
    root: str,
    runtime: str | None,
) -> Settings:
    """Put settings together; of several sources the first one that has a setting counts.

    `duration` reads a span, `root` is the root where none is given, `runtime` the directory for
    sockets. Raises `InvalidArgument` for a name that is no setting, and for a value that is none.
    """
    readers = _readers(duration)
    found: dict[str, Any] = {}
    for source in sources:
        for name, value in source.values.items():
            if name not in readers:
                known = ", ".join(readers)
                raise InvalidArgument(f"{source.place(name)}: no such setting; there are {known}")
            read = _value(readers[name], value, source.place(name))
            found.setdefault(name, read)
    folder = Path(os.path.abspath(found.pop("root", root)))  # noqa: PTH100 - symbolic links stay
    listen = found.pop("listen", None) or (_usual_listener(runtime),)
    _check_paths_differ(listen)
    thresholds = Thresholds(**_taken(found, f"{_COLLECTION}."))
    return Settings(
        root=folder,
        metadata=found.pop("metadata", f"sqlite:///{folder}/metadata.db"),
        listen=listen,
        thresholds=thresholds,
        **{name.replace("-", "_"): value for name, value in found.items()},
    )


def of_environment(environment: Mapping[str, str]) -> Source:
    """The settings that the environment has, as `LADING_LOG_LEVEL`."""
    flat = {
        name: value
        for name in _readers(_no_span)
        if "." not in name and (value := environment.get(_variable(name)))
    }
    parts = collection_of(environment.get(_variable(_COLLECTION), "").split(","))
    return Source(
        flat | parts,
        lambda name: f"${_variable(name)}",
    )


def of_flags(given: Mapping[str, object]) -> Source:
    """The settings of a command line, where those are that were given."""
    values = {name: value for name, value in given.items() if value not in (None, ())}
    parts = collection_of(cast("Sequence[str]", values.pop(_COLLECTION, ())))
    return Source(values | parts, lambda name: f"--{name.replace('.', ' ')}")


def of_file(path: Path) -> Source:
    """The settings of a TOML file, or `InvalidArgument` with what stands in the way."""
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_LIMIT + 1)
        if len(text) > _FILE_LIMIT:
            raise InvalidArgument(f"{path}: too large for settings")
        table = tomllib.loads(text.decode())
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path}: {error}") from error
    return Source(dict(_flat(table)), lambda name: f"{path}: {name}")


def collection_of(texts: Sequence[str]) -> dict[str, object]:
    """Read `poll=30s` and the like."""
    pairs = (text.partition("=") for text in texts if text.strip())
    return {f"{_COLLECTION}.{name.strip()}": value.strip() for name, _, value in pairs}


def _flat(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if name == _COLLECTION and isinstance(value, dict):
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        else:
            yield name, value


def _value(reader: Callable[[object], object], value: object, place: str) -> object:
    try:
        return reader(value)
    except _Wrong as wrong:
        shown = "yes" if value is True else "no" if value is False else repr(value)
        raise InvalidArgument(f"{place} has to be {wrong}, not {shown}") from None
    except InvalidArgument as wrong:
        raise InvalidArgument(f"{place}: {wrong}") from None


def _readers(duration: Callable[[str], timedelta]) -> dict[str, Callable[[object], object]]:
    """How each setting is read. A reader raises `_Wrong`, or `InvalidArgument` with a sentence."""

    def span(value: object) -> timedelta:
        found = duration(_text(value, "a span such as 10s, in quotes"))
        if found > SPAN_LIMIT:
            raise _Wrong(f"at most {SPAN_LIMIT.days}d")
        return found

    def some_span(value: object) -> timedelta:
        found = span(value)
        if not found:
            raise _Wrong("longer than nothing")
        return found

    count = _whole(0, COUNT_LIMIT)
    return {
        "root": lambda value: _text(value, "a folder"),
        "metadata": lambda value: _text(value, "the address of a database"),
        "listen": _listeners,
        "sharing": _one_of("shared", "isolated"),
        "processes": _whole(1, PROCESSES_LIMIT),
        "workers": _whole(1, WORKERS_LIMIT),
        "grace": span,
        "log-level": _one_of(*LEVELS),
        "log-format": _one_of(*FORMATS),
        f"{_COLLECTION}.pause": _share,
        f"{_COLLECTION}.deletions": count,
        f"{_COLLECTION}.mutations": count,
        f"{_COLLECTION}.delay": span,
        f"{_COLLECTION}.startup": span,
        f"{_COLLECTION}.poll": some_span,
    }


def _variable(name: str) -> str:
    return f"LADING_{name.partition('.')[0].replace('-', '_').upper()}"


def _no_span(text: str) -> timedelta:
    raise InvalidArgument(text)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _Wrong(what)
    return value


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise _Wrong(" or ".join((", ".join(words[:-1]), words[-1])))
        return value

    return read


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            value = int(value[:20])
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _Wrong(f"a whole number from {least} to {most}")
        return value

    return read


def _share(value: object) -> float:
    try:
        share = float(value) if isinstance(value, (int, float, str)) else 0.0
    except ValueError:
        share = 0.0
    if isinstance(value, bool) or not 0 < share <= 0.5:  # noqa: PLR2004 - as the sentence says
        raise _Wrong("a share above 0, at most 0.5")
    return share


def _listeners(value: object) -> tuple[Listener, ...]:
    texts = value.split() if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise _Wrong("a list of addresses")
    if not texts:
        raise _Wrong("at least one address")
    return tuple(listener(text) for text in texts)


def _usual_listener(runtime: str | None) -> Listener:
    if os.geteuid() == 0:
        runtime = "/run" if sys.platform == "linux" else "/var/run"
    elif not runtime:
        raise InvalidArgument(
            "say where to listen, since XDG_RUNTIME_DIR is not set: --listen unix:///PATH"
        )
    return listener(f"unix://{runtime}/lading/lading.sock")


def _check_paths_differ(listen: Sequence[Listener]) -> None:
    paths = [each.path for each in listen if isinstance(each, UnixListener)]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InvalidArgument(f"{twice} is there twice to listen on")


def _taken(found: dict[str, Any], prefix: str) -> dict[str, Any]:
    names = [name for name in found if name.startswith(prefix)]
    return {name.removeprefix(prefix): found.pop(name) for name in names}
