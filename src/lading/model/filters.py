r"""containerd's filter language: `labels."containerd.io/gc.root",digest~=^sha256:`.

    filters  = any of them accepts; an empty one, or none at all, accepts everything
    filter   = selector *( "," selector )       all of them accept
    selector = path [ operator value ]          without operator: the field is there
    path     = field *( "." field )
    field    = 1*( A-Z a-z 0-9 _ ) / quoted
    operator = "==" / "!=" / "~="
    value    = bare / quoted
    bare     = from a character that begins nothing else to a blank, a comma or a control
    quoted   = a Go string in double quotes; after "~=" also in /…/ or |…|, escapes and all

Blanks may stand before a field, an operator and a value. "~=" finds a regular expression
anywhere in the value. Where a field is absent, "!=" and "~=" look at "", and "==" is false.
A bad regular expression is refused; containerd takes it and lets it match nothing.

Filters come from clients. So everything that one can have much of has a limit, and the
expressions are RE2's, whose time grows with the text and never explodes.
"""

import re
from collections.abc import Callable, Sequence

from lading.errors import InvalidFilter

Path = tuple[str, ...]
Adaptor = Callable[[Path], str | None]
"""Says what an object holds at a path, which is never empty; None where there is no such field."""
Filter = Callable[[Adaptor], bool]

FILTER_LIMIT = 1024
"""Filters of one call."""
TEXT_LIMIT = 5 << 16
"""Characters of all filters of one call. A ref at its longest fits, with every byte escaped."""
SELECTOR_LIMIT = 1024
"""Selectors of all filters of one call."""
PATH_LIMIT = 64
"""Fields of one path. A quoted field may hold any number of dots."""
EXPRESSION_COUNT_LIMIT = 32
"""Regular expressions of all filters of one call."""
EXPRESSION_LIMIT = 4096
"""Bytes of one regular expression: RE2's time to compile one grows with the square of its depth."""
EXPRESSION_MEMORY_LIMIT = 1 << 18
"""Bytes that one expression may take, compiled and at work. re2 keeps up to 128 of them around."""
SHOWN_LIMIT = 200
"""Characters that an error shows on either side, so that it fits into an RPC's status."""

_ILLEGAL = re.compile("[\0\ufffd\ud800-\udfff]")
_BLANKS = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")
_FIELD = re.compile("[A-Za-z0-9_]+")
_OPERATOR = re.compile("[=!~]+")
_QUOTES = '"/|'
_HEX = "[0-9A-Fa-f]"
# A literal up to its closing mark, or to what no literal may hold. Possessive, so it keeps nothing
# to come back to, however long the text is.
_OPEN_LITERAL = {
    quote: re.compile(
        rf"{re.escape(quote)}(?:[^\\\n{quote}]++|\\(?:[abfnrtv\\{quote}]"
        rf"|[0-7]{{3}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}))*+"
    )
    for quote in _QUOTES
}
_ESCAPE = re.compile(rb"\\(?:([0-7]{3})|x(..)|(?:u(.{4})|U(.{8}))|(.))")
_CONTROLS = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_UNQUOTABLE = re.compile('[\0-\x1f\x7f"\\\\\ufffd]')


def _everything(adaptor: Adaptor) -> bool:
    return True


EVERYTHING: Filter = _everything
"""The filter that has nothing to test, so that a caller can see that and skip the testing."""


def parse(*filters: str) -> Filter:
    """Make one filter that accepts what any of `filters` does, `EVERYTHING` if that is all.

    Raises `InvalidFilter`, whatever the texts are, and nothing else.
    """
    if len(filters) > FILTER_LIMIT:
        raise _refusal(filters[FILTER_LIMIT], 0, f"more than {FILTER_LIMIT} filters")
    if sum(map(len, filters)) > TEXT_LIMIT:
        problem = f"filters of more than {TEXT_LIMIT} characters"
        raise _refusal(max(filters, key=len), 0, problem)
    reader = _Reader()
    alternatives = [reader.read(text) for text in filters]
    if not alternatives or EVERYTHING in alternatives:
        return EVERYTHING
    return _any(alternatives)


def quote(text: str) -> str:
    """Write `text` as a field or a value that `parse` reads back, whatever is in it."""

    def escaped(character: re.Match[str]) -> str:
        return f"\\{character[0]}" if character[0] in '"\\' else f"\\u{ord(character[0]):04x}"

    return f'"{_UNQUOTABLE.sub(escaped, text)}"'


class _Reader:
    """Reads the filters of one call, and counts what they ask for together."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._selectors = 0
        self._expressions = 0

    def read(self, text: str) -> Filter:
        self._text, self._at = text, 0
        if illegal := _ILLEGAL.search(text):
            problem = "unexpected null" if illegal[0] == "\0" else "rune error"
            raise self._refusal(illegal.start(), problem)
        if not text:
            return EVERYTHING
        conditions = [self._selector()]
        while self._at < len(text):
            if text[self._at] != ",":
                raise self._refusal(self._at, f"unexpected input: {text[self._at]}")
            self._at += 1
            conditions.append(self._selector())
        return _all(conditions)

    def _selector(self) -> Filter:
        self._selectors += 1
        if self._selectors > SELECTOR_LIMIT:
            raise self._refusal(self._at, f"more than {SELECTOR_LIMIT} selectors")
        path = self._path()
        if self._text[self._at : self._at + 1] in ("", ","):
            return lambda adaptor: adaptor(path) is not None
        match self._operator():
            case "==":
                value = self._value('"')
                return lambda adaptor: adaptor(path) == value
            case "!=":
                value = self._value('"')
                return lambda adaptor: (adaptor(path) or "") != value
            case _:
                found_in = self._expression()
                return lambda adaptor: found_in(adaptor(path) or "")

    def _path(self) -> Path:
        fields = [self._field()]
        while self._text.startswith(".", self._at):
            self._at += 1
            if len(fields) == PATH_LIMIT:
                raise self._refusal(self._at, f"more than {PATH_LIMIT} fields; quote them as one")
            fields.append(self._field())
        return tuple(fields)

    def _field(self) -> str:
        start = self._skip_blanks()
        if field := _FIELD.match(self._text, start):
            self._at = field.end()
            return field[0]
        if self._text[start : start + 1] in _OPEN_LITERAL:
            return self._quoted('"')
        raise self._refusal(start, "expected field or quoted")

    def _operator(self) -> str:
        start = self._skip_blanks()
        if operator := _OPERATOR.match(self._text, start):
            self._at = operator.end()
            if operator[0] not in ("==", "!=", "~="):
                raise self._refusal(start, f'unsupported operator "{operator[0]}"')
            return operator[0]
        if self._text[start : start + 1] in _OPEN_LITERAL:
            self._end_of_literal()
        raise self._refusal(start, 'expected an operator ("=="|"!="|"~=")')

    def _value(self, quotes: str) -> str:
        start = self._skip_blanks()
        first = self._text[start : start + 1]
        if first in _OPEN_LITERAL:
            return self._quoted(quotes)
        if not first or first in ",.=!~":
            raise self._refusal(start, "expected value or quoted")
        # containerd looks at what the characters are from the second one on. No blank but the
        # space is printable.
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in ", " or not character.isprintable():
                break
            self._at += 1
        return self._text[start : self._at]

    def _expression(self) -> Callable[[str], bool]:
        start = self._skip_blanks()
        expression = self._value(_QUOTES)
        self._expressions += 1
        if self._expressions > EXPRESSION_COUNT_LIMIT:
            raise self._refusal(start, f"more than {EXPRESSION_COUNT_LIMIT} expressions")
        try:
            return _finder(expression)
        except ValueError as error:
            raise self._refusal(start, f"bad regular expression: {error}") from None

    def _quoted(self, quotes: str) -> str:
        start = self._at
        end = self._end_of_literal()
        if self._text[start] not in quotes:
            raise self._refusal(start, "invalid quote encountered")
        self._at = end + 1
        try:
            return _unescape(self._text[start + 1 : end])
        except (ValueError, OverflowError):
            raise self._refusal(start, "unquoting failed: quote syntax error") from None

    def _end_of_literal(self) -> int:
        mark = self._text[self._at]
        literal = _OPEN_LITERAL[mark].match(self._text, self._at)
        assert literal is not None, "it matches the mark at least"
        end = literal.end()
        if self._text.startswith(mark, end):
            return end
        if self._text.startswith("\\", end):
            numeric = "numeric " if self._text[end + 1 : end + 2] in tuple("01234567xuU") else ""
            raise self._refusal(self._at, f"illegal {numeric}escape sequence")
        raise self._refusal(self._at, "quoted literal not terminated")

    def _skip_blanks(self) -> int:
        blanks = _BLANKS.match(self._text, self._at)
        assert blanks is not None, "it matches nothing at least"
        self._at = blanks.end()
        return self._at

    def _refusal(self, position: int, problem: str) -> InvalidFilter:
        return _refusal(self._text, position, problem)


def _unescape(text: str) -> str:
    r"""Replace Go's escapes; bytes that are no UTF-8, such as "\xff", equal no field's value.

    Raises `ValueError` or `OverflowError` for a number that is no byte or no character.
    """

    def meaning(escape: re.Match[bytes]) -> bytes:
        octal, byte, short, long, character = escape.groups()
        if octal:
            return bytes([int(octal, 8)])
        if byte:
            return bytes([int(byte, 16)])
        if character:
            return _CONTROLS.get(character, character)
        return chr(int(short or long, 16)).encode()

    if "\\" not in text:
        return text
    return _ESCAPE.sub(meaning, text.encode()).decode("utf-8", "surrogateescape")


def _finder(expression: str) -> Callable[[str], bool]:
    """Return whether a text has the expression in it, or raise `ValueError` for a bad one."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; only its users pay

    pattern = expression.encode("utf-8", "surrogateescape")
    if len(pattern) > EXPRESSION_LIMIT:
        raise ValueError(f"longer than {EXPRESSION_LIMIT} bytes")
    options = re2.Options()
    options.max_mem = EXPRESSION_MEMORY_LIMIT
    options.never_capture = True  # groups cost time, and nobody asks what they held
    options.log_errors = False  # a client's mistake is the client's to read
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(error.args[0].decode("utf-8", "replace")) from None
    return lambda text: compiled.search(text.encode("utf-8", "surrogatepass")) is not None


def _all(conditions: Sequence[Filter]) -> Filter:
    if len(conditions) == 1:
        return conditions[0]
    return lambda adaptor: all(accepts(adaptor) for accepts in conditions)


def _any(alternatives: Sequence[Filter]) -> Filter:
    if len(alternatives) == 1:
        return alternatives[0]
    return lambda adaptor: any(accepts(adaptor) for accepts in alternatives)


def _refusal(text: str, position: int, problem: str) -> InvalidFilter:
    """Say where reading stopped, cutting a long text down to what is around there."""
    start, end = max(0, position - SHOWN_LIMIT), position + SHOWN_LIMIT
    before, after = (
        part.encode("utf-8", "backslashreplace").decode()
        for part in (text[start:position], text[position:end])
    )
    before = f"…{before}" if start else before
    after = f"{after}…" if end < len(text) else after
    return InvalidFilter(before + after, len(before), problem[:SHOWN_LIMIT])
