"""What the command needs of its process: signals, standard streams, and an exit."""

import atexit
import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from lading.cli.outcome import Interrupted, Outcome, say
from lading.cli.program import program

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_YOUNG_LIMIT = 50_000
"""Objects that are made before anybody looks for garbage among them."""


def main() -> NoReturn:
    """Run the command line of this process and exit with a code of `outcome`."""
    _spare_searches()
    _listen_to_signals()
    _open_streams()
    program.main()


def _spare_searches() -> None:
    """Have Python look for garbage seldom, and not at all at the end.

    Modules that are loaded are none, and were searched two hundred times; at its end a process
    is freed as a whole. That was a sixth of a short command.
    """
    gc.set_threshold(_YOUNG_LIMIT)
    atexit.register(gc.freeze)


def _listen_to_signals() -> None:
    for number in _SIGNALS:
        # A shell that starts a job in the background lets it ignore Ctrl-C; so it shall.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # The first signal lets the verb close what it holds and say what is kept. A second one means
    # that this takes too long: the system's own way is safe too, it only explains nothing.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Interrupted(number)


def _open_streams() -> None:
    """Make every text printable, whatever the locale; and do without a stderr that is closed."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - stays open
    if sys.stdout is None:
        # Descriptor 1 is free, so that the next file opened, perhaps a blob, would become it.
        say("standard output is closed; redirect it to /dev/null")
        sys.exit(Outcome.FAILED)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the interpreter made them
