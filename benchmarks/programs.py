"""The programs that a run starts, and that end with it."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

Word = str | Path


class _Signals:
    """A signal in the middle of a start would leave a program behind that nobody knows of."""

    held_back = False
    came = False


def interrupt(number: int, frame: FrameType | None) -> None:
    """End the run as Ctrl-C does, whichever signal it was; a start is finished first.

    A second one changes nothing: it would come into the middle of the clearing up.
    """
    is_first, _Signals.came = not _Signals.came, True
    if is_first and not _Signals.held_back:
        raise KeyboardInterrupt


def installed() -> dict[str, str]:
    """The environment of programs: ours, but that Python keeps what it has compiled.

    Whoever installs a package has its modules compiled, and so have we after the first round.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def started(
    command: Sequence[Word],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Lend a running program, whose output is piped. It has ended when the block has."""
    if environment is None:
        environment = installed()
    _Signals.held_back = True
    try:
        program = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, cwd=folder, env=environment
        )
    finally:
        _Signals.held_back = False
    with program:
        try:
            if _Signals.came:
                raise KeyboardInterrupt  # noqa: TRY301 - it kills below, as any other does
            yield program
        except BaseException:
            program.kill()
            raise


def output_of(
    command: Sequence[Word],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ends_with: int = 0,
) -> bytes:
    """Run a program to its end, and give what it printed."""
    with started(command, stdin=stdin, folder=folder, environment=environment) as program:
        output, _ = program.communicate()
    if program.returncode != ends_with:
        raise subprocess.CalledProcessError(program.returncode, [*map(str, command)], output)
    return output
