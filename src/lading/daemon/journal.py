r"""The log: one line for each thing that happened, on stderr, for people and for programs.

    time=2026-11-25T12:00:00.000Z level=info message=call method=… namespace=images code=OK ms=0.4

Names and values, as logfmt or as JSON. A value that is not plain is quoted, its control characters
escaped: whatever a client sends, it stays inside its line. No value is longer than a few lines.
"""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

FORMATS = ("logfmt", "json")
LEVELS = ("debug", "info", "warning", "error")
VALUE_LIMIT = 1024
TRACE_LIMIT = 16_384
_PLAIN = re.compile(r"[\w.,:/@%+*~<>()\[\]{}!?$&;#|^-]+", re.ASCII)


def keep_journal(
    level: str, form: str, stream: TextIO | None = None, *, process: int | None = None
) -> logging.Handler:
    """Log to `stream`, which is stderr, from here on; gives what to remove again.

    Where a daemon has several processes, each line has the number of its own.
    """
    # grpc's own core writes lines of another form, of what our log says in its own.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(process) if form == "json" else Logfmt(process))
    logging.getLogger().addHandler(handler)
    # Of what others log, what they warn of.
    logging.getLogger("lading").setLevel(level.upper())
    # A log that nobody takes must not print a traceback for each line.
    logging.raiseExceptions = False
    return handler


def facts_of(record: logging.LogRecord, process: int | None = None) -> dict[str, object]:
    """What a record says, by name, in its order. Who logs gives `extra={"facts": {…}}`."""
    moment = datetime.fromtimestamp(record.created, UTC)
    own: dict[str, object] = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    more = getattr(record, "facts", {})
    facts = own | {name: value for name, value in more.items() if name not in own}
    if process is not None:
        facts["process"] = process
    if record.exc_info:
        facts["trace"] = logging.Formatter().formatException(record.exc_info)
    return {name: _bounded(name, value) for name, value in facts.items()}


class _Facts(logging.Formatter):
    def __init__(self, process: int | None = None) -> None:
        super().__init__()
        self._process = process


class Logfmt(_Facts):
    """`name=value`, with a blank between."""

    def format(self, record: logging.LogRecord) -> str:
        facts = facts_of(record, self._process)
        return " ".join(f"{name}={_written(value)}" for name, value in facts.items())


class JsonLines(_Facts):
    """One object in one line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(facts_of(record, self._process))


def _bounded(name: str, value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text, limit = str(value), TRACE_LIMIT if name == "trace" else VALUE_LIMIT
    return text if len(text) <= limit else f"{text[:limit]}…"


def _written(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
