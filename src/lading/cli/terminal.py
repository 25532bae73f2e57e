"""What the terminal at a stream can do."""

import os
from typing import TextIO

_COLUMNS, _ROWS = 80, 24
"""Where nobody knows."""


class Screen:
    """A stream for words beside the work. Once it is closed or full, they are not said."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Show a text now, if it can be shown."""
        if self.stream is None:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            self.stream = None


def columns(stream: TextIO | None) -> int:
    """How many letters fit in a line: as `COLUMNS` says, or the terminal, or as is usual."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return (os.get_terminal_size(stream.fileno()).columns if stream else 0) or _COLUMNS
    except (OSError, ValueError, AttributeError):
        return _COLUMNS


def rows(stream: TextIO | None) -> int:
    """How many lines fit on it: as `LINES` says, or the terminal, or as is usual."""
    given = os.environ.get("LINES", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return (os.get_terminal_size(stream.fileno()).lines if stream else 0) or _ROWS
    except (OSError, ValueError, AttributeError):
        return _ROWS


def can_redraw(stream: TextIO) -> bool:
    """Whether a line on it can be written over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}
