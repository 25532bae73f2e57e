"""Ending things, one after the other: what `lading rm`, `lading abort` and others share."""

import sys
from collections.abc import Callable, Sequence

import click

from lading.cli.listing import Record, json_lines, show
from lading.cli.options import Decorated
from lading.cli.outcome import FAILURES, Outcome, complain, sentence_of, worst
from lading.cli.quoting import escaped
from lading.cli.session import Session
from lading.errors import NotFound


def ignore_missing_option(function: Decorated) -> Decorated:
    """Add --ignore-missing, which the verb sees as `ignore_missing`."""
    return click.option("--ignore-missing", is_flag=True, help="What is not here is no failure.")(
        function
    )


def end_each(
    session: Session,
    names: Sequence[str],
    end: Callable[[str], int | None],
    *,
    key: str,
    as_json: bool,
    ignore_missing: bool,
) -> Outcome:
    """Call `end` on every name, whatever fails between; it returns the bytes of what is gone.

    Each is reported as soon as it is gone, and flushed: what is printed is gone, even if the
    process is killed in the next moment.
    """
    session.kept = lambda: "what was printed is gone, the rest is untouched"
    outcomes: list[Outcome] = []
    for name in names:
        record: Record = {key: str(name), "gone": False, "size": None, "error": None}
        try:
            record |= {"size": end(name), "gone": True}
        except FAILURES as failure:
            if not (ignore_missing and isinstance(failure, NotFound)):
                record["error"] = sentence_of(failure)
                outcomes.append(complain(failure, debug=session.debug))
        if as_json:
            show(json_lines([record]))
        elif record["gone"]:
            show([escaped(name)])
        sys.stdout.flush()
    return worst(outcomes)
