"""The log: lines that programs can read, and that nobody outside can forge."""

import io
import json
import logging
import re
import sys

import pytest

from lading.daemon.journal import TRACE_LIMIT, VALUE_LIMIT, JsonLines, Logfmt, keep_journal

HOSTILE = 'ref\nlevel=error message="all is lost"\x1b[31m\u202e\r\x00 code=OK'
FORMATS = {"logfmt": Logfmt(), "json": JsonLines()}


def record(facts=None, message="call", **fields):
    made = logging.LogRecord("lading.rpc", logging.INFO, __file__, 1, message, (), None)
    made.created = 1_764_072_000.25
    if facts is not None:
        made.facts = facts
    vars(made).update(fields)
    return made


def parsed(line):
    """Read a line of logfmt, in a way of its own."""
    found, rest = {}, line
    while rest:
        name, value, rest = re.fullmatch(
            r'([\w-]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: (.+))?', rest
        ).groups()
        found[name] = json.loads(value) if value.startswith('"') else value
    return found


def test_a_line_has_the_time_the_level_and_the_facts():
    line = Logfmt().format(record({"method": "a.b/C", "code": "OK", "ms": 0.4, "size": 7}))
    assert line == (
        "time=2025-11-25T12:00:00.250Z level=info logger=lading.rpc message=call "
        "method=a.b/C code=OK ms=0.4 size=7"
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_ref_stays_inside_its_line(form):
    line = FORMATS[form].format(record({"ref": HOSTILE, "code": "NOT_FOUND"}))
    assert line.isprintable()
    assert line.isascii()
    read = json.loads(line) if form == "json" else parsed(line)
    assert read["ref"] == HOSTILE
    assert (read["level"], read["code"], read["message"]) == ("info", "NOT_FOUND", "call")


@pytest.mark.parametrize("form", FORMATS)
def test_a_message_and_a_trace_stay_inside_their_line_too(form):
    try:
        int(HOSTILE)
    except ValueError:
        line = FORMATS[form].format(record(message=HOSTILE, exc_info=sys.exc_info()))
    assert line.isprintable()
    read = json.loads(line) if form == "json" else parsed(line)
    assert read["message"] == HOSTILE
    assert read["trace"].startswith("Traceback")
    assert repr(HOSTILE) in read["trace"]


def test_facts_do_not_take_the_place_of_what_the_log_says_itself():
    line = Logfmt().format(record({"level": "error", "time": "never", "ref": "r"}))
    assert parsed(line) == {
        "time": "2025-11-25T12:00:00.250Z",
        "level": "info",
        "logger": "lading.rpc",
        "message": "call",
        "ref": "r",
    }


@pytest.mark.parametrize("value", ["", "a b", "a=b", 'a"b', "a\\b", "é", "…", None, True, 0.5])
def test_every_value_can_be_read_again(value):
    read = parsed(Logfmt().format(record({"value": value})))["value"]
    assert read == (value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize(("name", "limit"), [("ref", VALUE_LIMIT), ("trace", TRACE_LIMIT)])
def test_no_value_is_longer_than_its_limit(name, limit):
    long = json.loads(JsonLines().format(record({name: "x" * 1_000_000})))[name]
    assert long == "x" * limit + "…"


@pytest.fixture
def journal():
    """Begin a log in memory; afterwards all is as it was."""
    ours, added = logging.getLogger("lading"), []
    before = ours.level, logging.raiseExceptions

    def begin(level, form="logfmt"):
        stream = io.StringIO()
        added.append(keep_journal(level, form, stream))
        return stream

    yield begin
    for handler in added:
        logging.getLogger().removeHandler(handler)
    ours.setLevel(before[0])
    logging.raiseExceptions = before[1]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_a_level_keeps_what_is_below_it_out(journal, level, expected):
    stream = journal(level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("lading.rpc").log(number, "call")
    assert len(stream.getvalue().splitlines()) == expected


def test_of_others_only_warnings_are_told(journal):
    stream = journal("debug")
    logging.getLogger("alembic").info("noise")
    logging.getLogger("grpc").warning("news")
    assert [parsed(line)["message"] for line in stream.getvalue().splitlines()] == ["news"]


def test_a_stream_that_is_gone_fails_nobody(journal, capfd):
    journal("info").close()
    logging.getLogger("lading").info("call")
    assert capfd.readouterr().err == ""
