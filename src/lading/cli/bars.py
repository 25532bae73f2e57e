"""Several lines of a terminal that are written over, and gone when they are not needed."""

from collections.abc import Callable

from lading.cli.terminal import Screen, columns, rows

BARS_LIMIT = 6
"""Lines beside the last one, however much goes on."""
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"


class Bars:
    """A block of lines at the end of a screen, whose cursor stays in the last of them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._standing = 0
        """Lines that are there now."""

    def draw(self, lines: Callable[[int], list[str]]) -> None:
        """Put these lines in the place of those before; of too many, the last ones.

        `lines` is given the width into which each has to fit.
        """
        stream = self._screen.stream
        # One that does not fit could not be reached any more to be written over.
        shown = lines(columns(stream))[-max(1, rows(stream) - 1) :]
        text = f"{_ERASE_LINE}\n".join(shown)
        self._screen.write(f"{self._to_the_top()}{text}{_ERASE_BELOW}")
        self._standing = len(shown)

    def clear(self) -> None:
        """Leave nothing of them."""
        if self._standing:
            self._screen.write(f"{self._to_the_top()}{_ERASE_BELOW}")
            self._standing = 0

    def _to_the_top(self) -> str:
        up = f"\x1b[{self._standing - 1}A" if self._standing > 1 else ""
        return f"\r{up}"
