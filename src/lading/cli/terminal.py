"""What the terminal at a stream can do."""

import os
from typing import TextIO

_COLUMNS = 80
"""Where nobody knows."""


def columns(stream: TextIO | None) -> int:
    """How many letters fit in a line: as `COLUMNS` says, or the terminal, or as is usual."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return (os.get_terminal_size(stream.fileno()).columns if stream else 0) or _COLUMNS
    except (OSError, ValueError, AttributeError):
        return _COLUMNS


def can_redraw(stream: TextIO) -> bool:
    """Whether a line on it can be written over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}
