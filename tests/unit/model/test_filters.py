"""What filters accept, refuse and mean: what containerd's do, where nothing else is said."""

import subprocess
import sys

import pytest

from lading.content.filtering import field_of_blob, field_of_ingest, select_blobs, select_ingests
from lading.content.store import Blob, Ingest
from lading.errors import InvalidArgument, InvalidFilter
from lading.model import filters
from lading.model.digest import Digest
from lading.model.filters import EVERYTHING, parse, quote
from tests.architecture.pages import ROOT, rows

HELLO = Digest.of(b"hello")
FIELDS = {
    ("name",): "foo",
    ("n",): "1",
    ("9",): "nine",
    ("empty",): "",
    ("accent",): "é",
    ("path",): "a/b",
    ("pipe",): "a|b",
    ("lines",): "one\ntwo",
    ("quote",): 'say "hi"',
    ("dotted",): "a.b=c",
    ("labels", "a", "b"): "c",
    ("labels", "containerd.io/gc.root"): "1",
    ("",): "nameless",
}


def accepts(*texts):
    return parse(*texts)(FIELDS.get)


# Meaning

TRUE = [
    "name",
    "empty",
    "name==foo",
    '"name"=="foo"',
    "n==1",
    "9==nine",
    '""==nameless',
    "labels.a.b==c",
    'labels."containerd.io/gc.root"==1',
    'labels."containerd.io/gc.root"',
    'empty==""',
    "name!=bar",
    "empty!=x",
    # An absent field is the empty text for `!=` and `~=`.
    "nope!=x",
    "labels.nope~=^$",
    "labels.nope~=x*",
    # A bare value may have anything printable in it but a comma, from the second character on.
    "dotted==a.b=c",
    "path==a/b",
    "pipe==a|b",
    "accent==é",
    "name!=it's",
    "name!='foo'",
    # An expression is found anywhere.
    "name~=o",
    "name~=^f",
    "name~=^fo+$",
    'name~="^fo+$"',
    "name~=/^fo+$/",
    "name~=|^fo+$|",
    r"path~=/a\/b/",
    r"pipe~=/^a\\|b$/",
    r"pipe~=|^a\\\|b$|",
    r"n~=\d",
    r"n~=/\\d/",
    "name~=(?i)FOO",
    'name~="^.{2,3}$"',
    r"accent~=^\pL$",
    "accent~=^.$",
    # `$` is the end of the text, not of a line, and no newline at the end is skipped.
    "lines~=(?m)^one$",
    "lines~=(?s)one.two",
    # Escapes are Go's.
    r'accent=="\u00e9"',
    r'accent=="\U000000e9"',
    r'accent=="\xc3\xa9"',
    r'accent=="\303\251"',
    r'lines=="one\ntwo"',
    r'lines=="one\x0atwo"',
    r'lines=="one\012two"',
    r'quote=="say \"hi\""',
    r'"\x6eame"==foo',
    # Blanks may stand before a field, an operator and a value.
    " \t\n name == \u3000 foo",
    "labels. a. b==c",
    "name==foo, n==1",
    # Both, and either.
    "name==foo,n==1",
    "name,n,9,empty",
]
FALSE = [
    "nope",
    "nope==x",
    'nope==""',
    'nope!=""',
    "labels",
    "labels.a",
    "labels.a.b.c",
    "name==fo",
    "name==FOO",
    "name!=foo",
    'empty!=""',
    "name~=^o",
    "name~=FOO",
    "lines~=^one$",
    "lines~=one.two",
    "name==foo,n==2",
    "nope,name",
    r'accent=="\xe9"',
    r'accent=="\xff"',
]


@pytest.mark.parametrize("text", TRUE)
def test_a_filter_accepts_what_it_describes(text):
    assert accepts(text)


@pytest.mark.parametrize("text", FALSE)
def test_a_filter_does_not_accept_what_it_does_not_describe(text):
    assert not accepts(text)


@pytest.mark.parametrize(
    ("escape", "character"),
    list(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True)),
)
def test_each_short_escape_is_its_character(escape, character):
    assert parse(rf'x=="\{escape}"')({("x",): character}.get)


@pytest.mark.parametrize("character", ["\0", "\ufffd", "\U0010ffff"])
def test_an_escape_may_write_what_a_filter_may_not_contain(character):
    assert parse(rf'x=="\U{ord(character):08x}"')({("x",): character}.get)
    assert parse(rf"x~=/^\U{ord(character):08x}$/")({("x",): character}.get)


def test_the_first_character_of_a_bare_value_may_be_any_that_begins_nothing_else():
    assert parse("x==\x01")({("x",): "\x01"}.get)
    assert parse("x==\u200bb")({("x",): "\u200bb"}.get)


def test_a_list_of_filters_accepts_what_any_of_them_does():
    assert accepts("nope", "name==foo")
    assert accepts("name==foo", "nope")
    assert not accepts("nope", "name==bar")


def test_nothing_and_an_empty_filter_accept_everything_and_say_so():
    for texts in ([], [""], ["", ""], ["nope", ""], ["", "nope"]):
        assert parse(*texts) is EVERYTHING
    assert EVERYTHING({}.get)
    assert parse("name") is not EVERYTHING


def test_a_bad_filter_is_refused_beside_one_that_accepts_everything():
    with pytest.raises(InvalidFilter):
        parse("", "name==")


def test_a_field_with_a_dot_in_quotes_is_not_two_fields():
    seen = []
    parse('"a.b".c,a."b.c"')(lambda path: seen.append(path) or "x")
    assert seen == [("a.b", "c"), ("a", "b.c")]


# Refusals: the text with the place marked, and the problem. At the end there is nothing to mark.

OPERATOR = 'expected an operator ("=="|"!="|"~=")'
REFUSED = [
    (" >||<", "expected field or quoted"),
    (">|,|<", "expected field or quoted"),
    (">|=|<=foo", "expected field or quoted"),
    (">|.|<name", "expected field or quoted"),
    (">|-|<foo", "expected field or quoted"),
    (">|'|<name'", "expected field or quoted"),
    (">|é|<==1", "expected field or quoted"),
    ("name.>||<", "expected field or quoted"),
    ("name.>|.|<a", "expected field or quoted"),
    ("name.>|=|<=a", "expected field or quoted"),
    ("name,>||<", "expected field or quoted"),
    ("name,>|,|<n", "expected field or quoted"),
    ("name==foo,>||<", "expected field or quoted"),
    (">|/|<a/==b", "invalid quote encountered"),
    (">|||<a|==b", "invalid quote encountered"),
    ("a >|b|<", OPERATOR),
    ("labels.a>|-|<b==c", OPERATOR),
    ("labels.containerd>|/|<gc/root==c", OPERATOR),
    ('a>|"|<b"', OPERATOR),
    (r'a>|"|<\400"', OPERATOR),
    ("a >|,|<b", OPERATOR),
    ("a >|.|<b", OPERATOR),
    ("a >||<", OPERATOR),
    ("a>|\x1c|<==b", OPERATOR),
    ("a>|=|<b", 'unsupported operator "="'),
    ("a>|=|<==b", 'unsupported operator "==="'),
    ("a>|~|<b", 'unsupported operator "~"'),
    ("a>|=|<~b", 'unsupported operator "=~"'),
    ("a>|!|<", 'unsupported operator "!"'),
    ("a==>||<", "expected value or quoted"),
    ("a== >||<", "expected value or quoted"),
    ("a==>|,|<b", "expected value or quoted"),
    ("a==>|.|<bar", "expected value or quoted"),
    ("a== >|=|<b", "expected value or quoted"),
    ("a==>|/|<b/", "invalid quote encountered"),
    ("a!=>|||<b|", "invalid quote encountered"),
    ("labels.containerd.io>|/|<gc.root", "quoted literal not terminated"),
    ('a==>|"|<b', "quoted literal not terminated"),
    ('a==>|"|<', "quoted literal not terminated"),
    ('a==>|"|<b\n"', "quoted literal not terminated"),
    ("a==>|/|<b", "quoted literal not terminated"),
    (r'a==>|"|<b\"', "quoted literal not terminated"),
    (r'a==>|"|<\q"', "illegal escape sequence"),
    (r'a==>|"|<\800"', "illegal escape sequence"),
    (r'''a==>|"|<\'"''', "illegal escape sequence"),
    (r'a==>|"|<\/"', "illegal escape sequence"),
    (r"a~=>|/|<\"/", "illegal escape sequence"),
    (r"a~=>|/|<\d/", "illegal escape sequence"),
    ('a==>|"|<\\', "illegal escape sequence"),
    ('a==>|"|<\\\n"', "illegal escape sequence"),
    (r'a==>|"|<\x4"', "illegal numeric escape sequence"),
    (r'a==>|"|<\xg0"', "illegal numeric escape sequence"),
    (r'a==>|"|<\12"', "illegal numeric escape sequence"),
    (r'a==>|"|<\018"', "illegal numeric escape sequence"),
    (r'a==>|"|<\u00e"', "illegal numeric escape sequence"),
    (r'a==>|"|<\U0010fff"', "illegal numeric escape sequence"),
    (r'a==>|"|<\400"', "unquoting failed: quote syntax error"),
    (r'a==>|"|<\U00110000"', "unquoting failed: quote syntax error"),
    ("a==b>| |<", "unexpected input:  "),
    ("a==b>| |<,c", "unexpected input:  "),
    ("a==b>| |<c", "unexpected input:  "),
    ("a==b>|\x01|<", "unexpected input: \x01"),
    ('a=="b">|c|<', "unexpected input: c"),
    ('a=="b">|.|<c', "unexpected input: ."),
    ("a>|\0|<", "unexpected null"),
    ('a=="b>|\0|<"', "unexpected null"),
    ("a==>|\ufffd|<", "rune error"),
    # Here we differ: containerd makes something else of the first two, and nothing of the others.
    (r'a==>|"|<\UFFFFFFFF"', "unquoting failed: quote syntax error"),
    (r'a==>|"|<\ud800"', "unquoting failed: quote syntax error"),
    ("a~=>|(|<", "bad regular expression: missing ): ("),
    ("a~=>|[|<", "bad regular expression: missing ]: ["),
    ("b,a~= >|/|<a**/", "bad regular expression: bad repetition operator: **"),
    ("a~=>|a|<(?=b)", "bad regular expression: invalid perl operator: (?="),
    (r"a~=>|(|<b)\1", r"bad regular expression: invalid escape sequence: \1"),
    (r'a~=>|"|<\xff"', "bad regular expression: invalid UTF-8"),
]


@pytest.mark.parametrize(("marked", "problem"), REFUSED)
def test_what_is_no_filter_is_refused_at_its_place(marked, problem):
    before, _, rest = marked.partition(">|")
    at, _, after = rest.rpartition("|<")
    text = before + at + after
    with pytest.raises(InvalidFilter) as refusal:
        parse("name", text)
    error = refusal.value
    assert (error.text, error.position, error.problem) == (text, len(before), problem)
    marks = f"{before} >|{at}|< {after}" if at else text
    assert str(error) == f"filters: parse error: [{marks}]: {problem}"


@pytest.mark.parametrize("surrogate", list(map(chr, (0xD800, 0xDC80, 0xDFFF))), ids=ascii)
def test_a_text_that_is_not_unicode_is_refused_with_a_message_that_is(surrogate):
    for text in (
        surrogate,
        f"a{surrogate}",
        f"a=={surrogate}",
        f'a=="{surrogate}"',
        f"a~={surrogate}",
    ):
        with pytest.raises(InvalidFilter) as refusal:
            parse(text)
        assert refusal.value.position == text.index(surrogate)
        assert f"\\u{ord(surrogate):04x}" in str(refusal.value).replace(" >|\\|< ", "\\")
        assert str(refusal.value).encode()


def test_a_refusal_is_an_invalid_argument():
    with pytest.raises(InvalidArgument):
        parse("a==")


# Limits

LIMITED = {
    "filters": (["a"] * filters.FILTER_LIMIT, ["a"] * (filters.FILTER_LIMIT + 1)),
    "empty filters": ([""] * filters.FILTER_LIMIT, [""] * (filters.FILTER_LIMIT + 1)),
    "selectors": (
        ["a,a"] * (filters.SELECTOR_LIMIT // 2),
        ["a,a"] * (filters.SELECTOR_LIMIT // 2) + ["a"],
    ),
    "characters": (
        ["a==" + "b" * (filters.TEXT_LIMIT - 4), "a"],
        ["a==" + "b" * (filters.TEXT_LIMIT - 4), "aa"],
    ),
    "fields": (
        [".".join("a" * filters.PATH_LIMIT)],
        [".".join("a" * (filters.PATH_LIMIT + 1))],
    ),
    "expressions": (
        [f"a~={number}" for number in range(filters.EXPRESSION_COUNT_LIMIT)],
        [f"a~={number}" for number in range(filters.EXPRESSION_COUNT_LIMIT + 1)],
    ),
    "bytes of an expression": (
        ["a~=" + "é" * (filters.EXPRESSION_LIMIT // 2)],
        ["a~=" + "é" * (filters.EXPRESSION_LIMIT // 2) + "e"],
    ),
    "size of an expression": ([r"a~=\pL{10}"], [r"a~=\pL{100}"]),
    "repetitions": (["a~=/a{1000}/"], ["a~=/a{1001}/"]),
}


@pytest.mark.parametrize("limit", LIMITED)
def test_a_filter_may_reach_a_limit_and_not_pass_it(limit):
    reached, passed = LIMITED[limit]
    assert callable(parse(*reached))
    with pytest.raises(InvalidFilter):
        parse(*passed)


def test_a_ref_of_the_greatest_length_can_be_asked_for_with_each_byte_escaped():
    ref = "\x01" * 65_536
    text = 'ref=="' + r"\x01" * 65_536 + '"'
    assert parse(text)({("ref",): ref}.get)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000 + "-",
        "-" + "a" * 300_000,
        "a" + "=" * 300_000,
        "a~=" + "(" * 4000,
        "a==b " + "é" * 300_000,
        "x" * 10_000_000,
        "a~=" + "(a*" * 100_000,
    ],
    ids=lambda text: f"{text[:8]}…{text[-8:]}",
)
def test_a_refusal_stays_small_however_long_the_filter_is(text):
    with pytest.raises(InvalidFilter) as refusal:
        parse(text)
    # A gRPC status travels in a header, percent-encoded: 8 KiB are safe.
    assert len(str(refusal.value)) < 3 * filters.SHOWN_LIMIT + 100
    assert len(refusal.value.text) <= 2 * filters.SHOWN_LIMIT + 2


def test_a_refusal_in_a_long_filter_still_shows_the_place():
    with pytest.raises(InvalidFilter) as refusal:
        parse("a" * 1000 + "-" + "b" * 1000)
    shown = filters.SHOWN_LIMIT
    assert f"[…{'a' * shown} >|-|< {'b' * (shown - 1)}…]" in str(refusal.value)


# Expressions


def program(text, environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env=environment | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


CATASTROPHIC = [
    "^(a+)+$",
    "^(a|aa)+$",
    "^(a|a?)+$",
    "^(.*a){25}$",
    "(a*)*b",
    "(?:a?){1000}b",
    "(a|b)*a(a|b){500}c",
]


def test_an_expression_that_would_make_another_engine_backtrack_ends(own_environment):
    # Another process, so that an engine that does not end fails the test instead of stopping it.
    run = program(
        "from lading.model.filters import parse\n"
        f"for expression in {CATASTROPHIC}:\n"
        "    print(parse(f'a~=/{expression}/')(lambda path: 'a' * 4096 + '!'))\n",
        own_environment,
    )
    assert run.stdout.split() == ["False"] * len(CATASTROPHIC)


def test_an_expression_is_compiled_once(monkeypatch):
    import re2  # noqa: PLC0415 - only here

    compiled = []

    def compile_and_count(pattern, options=None):
        compiled.append(pattern)
        return original(pattern, options)

    original = re2.compile
    monkeypatch.setattr(re2, "compile", compile_and_count)
    accepts_text = parse("a~=^b", "a~=c$")
    assert compiled == [b"^b", b"c$"]
    assert [accepts_text({("a",): text}.get) for text in ("b", "c", "d")] == [True, True, False]
    assert len(compiled) == 2


def test_an_expression_looks_at_values_that_are_not_unicode_and_at_nul():
    assert parse("a~=b$")({("a",): "\ud800\udcff\0b"}.get)
    assert parse(r"a~=/^\x00$/")({("a",): "\0"}.get)
    assert not parse("a~=^.$")({("a",): "ab"}.get)


def test_re2_is_imported_by_the_first_expression_and_not_before(own_environment):
    run = program(
        "import sys\n"
        "from lading.model.filters import parse\n"
        "parse('a==b', 'a!=b', 'a', '')\n"
        "print('re2' in sys.modules)\n"
        "parse('a~=b')\n"
        "print('re2' in sys.modules)\n",
        own_environment,
    )
    assert run.stdout.split() == ["False", "True"]


def test_nothing_is_printed_for_an_expression_that_is_bad_or_hard(own_environment):
    run = program(
        "from lading.errors import InvalidFilter\n"
        "from lading.model.filters import parse\n"
        "for bad in ('(', r'\\pL{100}'):\n"
        "    try:\n"
        "        parse(f'a~={bad}')\n"
        "    except InvalidFilter:\n"
        "        print('refused')\n"
        # A thousand optional parts leave RE2's automaton no room, which it would log.
        "print(parse('a~=/(?:a?){1000}c/')(lambda path: 'ab' * 4096))\n",
        own_environment,
    )
    assert (run.stdout.split(), run.stderr) == (["refused", "refused", "False"], "")


# Quoting

AWKWARD = [
    "",
    "a",
    'a"b',
    "\\",
    "\\n",
    "\n",
    "\0",
    "\ufffd",
    "é",
    "\u2028",
    "a,b",
    " ",
    "\x7f",
    "😀",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_what_is_quoted_is_read_back_as_field_and_as_value(text):
    quoted = quote(text)
    assert parse(f"{quoted}=={quoted}")({(text,): text}.get)
    assert not parse(f"{quoted}=={quoted}")({(text,): text + "x"}.get)


def test_a_quoted_text_is_readable():
    assert quote('containerd.io/gc "root"\\é\n') == '"containerd.io/gc \\"root\\"\\\\é\\u000a"'


# What blobs and ingests show


def blob(digest=HELLO, size=5, **labels):
    return Blob(digest, size, created_ns=0, updated_ns=0, labels=labels)


def ingest(ref):
    return Ingest(ref, offset=3, total=5, expected=HELLO, started_ns=0, updated_ns=0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("digest",), HELLO),
        (("digest", "x"), HELLO),
        (("size",), "5"),
        (("labels", "team"), "web"),
        (("labels", "a.b/c"), "1"),
        (("labels", "a", "b/c"), "1"),
        (("labels", "none"), None),
        (("labels",), None),
        (("created_ns",), None),
        (("created_at",), None),
        (("Digest",), None),
        (("",), None),
    ],
)
def test_a_blob_has_a_digest_a_size_and_its_labels(path, value):
    assert field_of_blob(blob(team="web", **{"a.b/c": "1"}), path) == value


def test_a_blob_without_labels_has_none():
    assert field_of_blob(blob(), ("labels", "team")) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [(("ref",), "layer-1"), (("ref", "x"), "layer-1"), (("offset",), None), (("total",), None)],
)
def test_an_ingest_has_a_ref_and_nothing_else(path, value):
    assert field_of_ingest(ingest("layer-1"), path) == value


def test_a_selection_without_filters_is_the_listing_itself():
    blobs, ingests = iter([blob()]), iter([ingest("a")])
    for texts in ((), ("",), ("digest==x", "")):
        assert select_blobs(blobs, texts) is blobs
        assert select_ingests(ingests, texts) is ingests


def test_a_selection_keeps_what_is_accepted_in_its_order():
    blobs = [blob(size=size) for size in (3, 1, 2)]
    ingests = [ingest(ref) for ref in ("b", "a", "c")]
    assert list(select_blobs(iter(blobs), ["size!=1"])) == [blobs[0], blobs[2]]
    assert list(select_ingests(iter(ingests), ["ref==c", "ref==b"])) == [ingests[0], ingests[2]]


def test_a_selection_refuses_a_bad_filter_before_it_takes_anything():
    blobs, ingests = iter([blob()]), iter([ingest("a")])
    for select, listing in ((select_blobs, blobs), (select_ingests, ingests)):
        with pytest.raises(InvalidFilter):
            select(listing, ["a=="])
    assert len(list(blobs)) == len(list(ingests)) == 1


# The page

GC_ROOT = blob(**{"containerd.io/gc.root": "1"})
EXAMPLES = {
    f"digest=={HELLO}": ([blob()], [blob(Digest.of(b""))]),
    "digest~=^sha512:": ([blob(Digest.of(b"", "sha512"))], [blob()]),
    "size==0": ([blob(size=0)], [blob(size=10)]),
    "labels.team": ([blob(team="web"), blob(team="db")], [blob(), blob(Team="web")]),
    "labels.team==web,labels.tier!=test": (
        [blob(team="web"), blob(team="web", tier="live")],
        [blob(team="web", tier="test"), blob(team="db"), blob()],
    ),
    'labels."containerd.io/gc.root"': ([GC_ROOT], [blob(), blob(containerd="1")]),
    r'labels.org.example.version~="^1\\.[0-9]{1,2}$"': (
        [blob(**{"org.example.version": version}) for version in ("1.0", "1.99")],
        [blob(), *(blob(**{"org.example.version": version}) for version in ("1.", "1.100", "1x1"))],
    ),
    'labels.note==""': ([blob(note="")], [blob(), blob(note="n")]),
    'labels.note!=""': ([blob(note="n")], [blob(), blob(note="")]),
    "ref~=^layer-": ([ingest("layer-x")], [ingest("a-layer-1")]),
    r"ref~=/^layer-\\d+$/": ([ingest("layer-12")], [ingest("layer-x"), ingest("layer-1x")]),
}


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "filters.md").read_text()


def test_every_example_of_the_page_is_run_here(page):
    listed = [cells[0].strip("`") for cells in rows(page) if cells[0].startswith("`")]
    assert [text for text in listed if text != "ref"] == list(EXAMPLES)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_means_what_the_page_says(text):
    wanted, unwanted = EXAMPLES[text]
    select = select_ingests if isinstance(wanted[0], Ingest) else select_blobs
    assert list(select(iter([*unwanted, *wanted]), [text])) == wanted


def test_the_page_gives_the_limits_and_the_error_as_they_are(page):
    for limit in (filters.FILTER_LIMIT, filters.TEXT_LIMIT, filters.EXPRESSION_LIMIT):
        assert f"{limit:,}" in page
    assert f"{filters.SELECTOR_LIMIT:,} selectors" in page
    assert f"{filters.EXPRESSION_COUNT_LIMIT} regular expressions" in page
    assert f"{filters.PATH_LIMIT} fields" in page
    with pytest.raises(InvalidFilter) as refusal:
        parse("labels.a-b")
    assert f"`{refusal.value}`" in page
