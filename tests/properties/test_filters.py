r"""Filters in general: whatever is written down in the language means what it was written for.

Each strategy draws a text together with its meaning, a plain Python function of the object, so
that what `parse` makes of the text has something to agree with that never saw the text.
"""

import re
from string import ascii_letters, digits

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lading.errors import InvalidFilter
from lading.model.filters import EVERYTHING, parse, quote

pytestmark = pytest.mark.slow

BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2028\u3000"
SHORT_ESCAPES = dict(zip("\a\b\f\n\r\t\v\\", "abfnrtv\\", strict=True))
UNWRITABLE = "\0\n\ufffd"  # in a quoted text, but for an escape
NAMES = ["a", "digest", "labels", "9", "_", "", "x.y", "containerd.io/gc.root", 'q"t', "é\n", "\0"]
VALUES = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "é",
    "a,b",
    "a b",
    "/",
    "|",
    '"',
    "\\",
    "\n",
    "\ufffd",
    "\0",
    "1.2",
]

names = st.sampled_from(NAMES) | st.text(max_size=3)
values = st.sampled_from(VALUES) | st.text(max_size=4)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
blanks = st.text(BLANKS, max_size=2)


def ways_to_write(character, mark):
    """Every way in which a literal with this mark can hold the character."""
    octets, point = character.encode(), ord(character)
    if character not in UNWRITABLE + mark + "\\":
        yield character
    if character == mark:
        yield f"\\{mark}"
    if character in SHORT_ESCAPES:
        yield f"\\{SHORT_ESCAPES[character]}"
    yield "".join(f"\\x{octet:02x}" for octet in octets)
    yield "".join(f"\\{octet:03o}" for octet in octets)
    yield f"\\U{point:08X}"
    if point < 0x10000:
        yield f"\\u{point:04x}"


@st.composite
def literals(draw, text, marks='"'):
    """`text` in quotes, each character in one of the ways to write it."""
    mark = draw(st.sampled_from(marks))
    written = [draw(st.sampled_from(list(ways_to_write(character, mark)))) for character in text]
    return mark + "".join(written) + mark


@st.composite
def fields(draw, name):
    if name and set(name) <= {*ascii_letters, *digits, "_"} and draw(st.booleans()):
        return draw(blanks) + name
    return draw(blanks) + draw(literals(name))


def is_bare(text):
    """Whether a value can stand without quotes; narrower than the language, so always right."""
    return (
        bool(re.fullmatch(r"[\w(^][^\s,]*", text)) and text.isprintable() and "\ufffd" not in text
    )


@st.composite
def written_values(draw, value, marks='"'):
    if is_bare(value) and draw(st.booleans()):
        return draw(blanks) + value
    return draw(blanks) + draw(literals(value, marks))


# Expressions that Python's engine and RE2 take for the same, and that cannot run away in either.
atoms = st.sampled_from(
    [*"abé1", ".", "[ab]", "[^a]", "\\.", "\\d", "(a|b)", "(?:ab)", "/", '"', ","]
)
pieces = st.tuples(atoms, st.sampled_from(["", "", "*", "+", "?", "{2}"])).map("".join)
expressions = st.tuples(
    st.sampled_from(["", "^"]),
    st.lists(pieces, max_size=4).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)


def is_found(expression, text):
    # Where Python's `$` also stops before a last newline, Go's stops at the end alone.
    pattern = re.sub(r"\$$", r"\\Z", expression)
    return re.search(pattern, text, re.ASCII) is not None


@st.composite
def selectors(draw):
    path = draw(paths)
    text = ".".join([draw(fields(name)) for name in path])
    operator = draw(st.sampled_from(["", "==", "!=", "~="]))
    if not operator:
        return text, lambda held: path in held
    text += draw(blanks) + operator
    if operator == "~=":
        expression = draw(expressions)
        text += draw(written_values(expression, '"/|'))
        return text, lambda held: is_found(expression, held.get(path, ""))
    value = draw(values)
    text += draw(written_values(value))
    if operator == "==":
        return text, lambda held: path in held and held[path] == value
    return text, lambda held: held.get(path, "") != value


@st.composite
def written_filters(draw):
    parts = draw(st.lists(selectors(), max_size=3))
    meanings = [meaning for _, meaning in parts]
    return ",".join(text for text, _ in parts), lambda held: all(means(held) for means in meanings)


objects = st.dictionaries(paths, values, max_size=4)


@given(st.lists(written_filters(), max_size=3), objects)
def test_a_filter_means_what_it_was_written_for(written, held):
    texts = [text for text, _ in written]
    meant = not written or any(means(held) for _, means in written)
    accepts = parse(*texts)
    assert accepts(held.get) == meant
    assert (accepts is EVERYTHING) == (not texts or "" in texts)


@given(st.data())
def test_a_filter_written_for_what_is_there_means_what_it_was_written_for(data):
    """The same for one selector and an object that has its field, so that values are compared."""
    text, meaning = data.draw(selectors())
    asked = []
    parse(text)(asked.append)
    held = {asked[0]: data.draw(values)}
    assert parse(text)(held.get) == meaning(held)


CHEWED = st.text('ab.,"/|=!~\\ \n\0é\ufffd0x7uU(*[{}1\x1c\x85\u200b\ud800\udc80k', max_size=24)
ANY_TEXT = st.text(st.characters())  # surrogates and all


def answer_to(*texts):
    """What a filter says of an object, or the refusal of what is none. All else is a failure."""
    try:
        return parse(*texts)({("a",): "b"}.get)
    except InvalidFilter as error:
        return error


def is_an_answer(answer):
    if isinstance(answer, InvalidFilter):
        return 0 <= answer.position <= len(answer.text) and str(answer).encode() != b""
    return isinstance(answer, bool)


@given(st.lists(CHEWED | ANY_TEXT, max_size=3))
def test_any_text_is_a_filter_or_is_refused_as_none(texts):
    assert is_an_answer(answer_to(*texts))


@given(written_filters(), st.data())
def test_a_broken_filter_is_a_filter_or_is_refused_as_none(written, data):
    text, _ = written
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 2))
    put = data.draw(st.text('ab.,"/|=!~\\ \n\0\udfff(', max_size=2))
    assert is_an_answer(answer_to(text[:at] + put + text[at + cut :]))


@given(values, values)
def test_a_quoted_text_is_read_back_as_field_and_as_value(text, other):
    accepts = parse(f"{quote(text)}=={quote(text)}")
    assert accepts({(text,): text}.get)
    assert not accepts({(text,): text + "x"}.get)
    assume(text != other)
    assert not accepts({(text,): other}.get)
    assert not accepts({(other,): text}.get)
