"""One mutation: a piece of the code, what takes its place, and the tests that guard it."""

from pathlib import Path
from typing import NamedTuple

ROOM = "src/lading/stores/local"
CONFORMANCE = "tests/conformance/test_local.py"
UNIT = "tests/unit/stores/local"
RACES = "tests/races"
REGRESSIONS = "tests/regressions"
DEAD_LOCKS = "tests/races/test_dead_locks.py"
AT_EACH_CALL = "tests/kills/test_kills_at_each_call.py"
CUTS = "tests/crash/test_power_cuts.py"
KILLS_AND_CUTS = "tests/crash/test_kills_and_cuts.py"
FAILED_SYNCS = "tests/faults/test_failed_syncs.py"
FAILING_CALLS = "tests/faults/test_failing_calls.py"
SHORT_WRITES = "tests/faults/test_short_writes.py"


class Mutation(NamedTuple):
    """A break that matters. It is told as what the code then does."""

    name: str
    file: str
    code: str
    """A text that is in the file exactly once."""
    broken: str
    tests: tuple[str, ...]
    """Where somebody should notice, the quick ones first."""

    def apply(self, tree: Path) -> None:
        """Break the code in a copy of the tree, or raise `ValueError`."""
        path = tree / self.file
        text = path.read_text()
        if (count := text.count(self.code)) != 1:
            raise ValueError(
                f"{self.name}: its text is {count} times in {self.file}; "
                f"write it anew after the code as it is now: {self.code!r}"
            )
        path.write_text(text.replace(self.code, self.broken))


def cuts(*stories: str) -> tuple[str, ...]:
    """A power cut before every call of a story."""
    test = f"{CUTS}::test_a_power_cut_before_any_call_loses_nothing_that_was_acknowledged"
    return tuple(f"{test}[{story}]" for story in stories)
