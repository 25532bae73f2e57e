"""Challenges: what a 401 asks for, in `WWW-Authenticate`. RFC 9110, 11.6.1.

    Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull"
    Basic realm="a, b", Bearer realm=…

Several may stand in one line, and the commas between them are those within them. Registries are not
exact about it, so what is wrong is passed over as far as the rest can be understood.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

LINES_LIMIT = 16
LINE_LIMIT = 16 << 10
"""Characters of a line; what is after them is not read."""

_GAP = re.compile(r"[\s,]*")
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[\s,]|$)")
_PARAMETER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*
    (?: "((?:[^"\\]|\\.)*)(?:"|\\?$)  # quoted, perhaps with its end cut off
      | ([^\s,"]*) )                  # a token; some write URLs without quotes, too""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_JUNK = re.compile(r"[^\s,]+")


class Challenge(NamedTuple):
    """One way to say who asks. Scheme and names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    def get(self, name: str) -> str:
        """A parameter, empty where it is not there."""
        return self.parameters.get(name, "")


def read_challenges(lines: Sequence[str]) -> tuple[Challenge, ...]:
    """Read the lines of a `WWW-Authenticate`, or of several; what cannot be read is left out."""
    return tuple(found for line in lines[:LINES_LIMIT] for found in _challenges(line[:LINE_LIMIT]))


def _challenges(text: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    position = _end(_GAP.match(text, 0), 0)
    while position < len(text):
        # A parameter first: a scheme has no `=` after it, and a parameter always has.
        if found := _PARAMETER.match(text, position):
            name, quoted, plain = found.groups()
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        elif found := _SCHEME.match(text, position):
            if scheme:
                yield Challenge(scheme, parameters)
            scheme, parameters = found[1].lower(), {}
        else:
            found = _JUNK.match(text, position)
        position = _end(found, position)
        position = _end(_GAP.match(text, position), position)
    if scheme:
        yield Challenge(scheme, parameters)


def _end(found: re.Match[str] | None, position: int) -> int:
    return found.end() if found else position + 1
