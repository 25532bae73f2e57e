"""What one run of the command knows: the root it works on, and what to say if it is stopped."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.stores.local.store import LocalStore


class Session:
    """One run: filled by the global options, read by the verbs."""

    def __init__(self) -> None:
        self.root: str | None = None
        """As it was given on the command line, which a resume repeats."""
        self.debug = False
        self.kept: Callable[[], str] = lambda: "nothing was changed"
        """What a signal leaves behind, and how to go on, for the sentence that ends the run."""

    def store(self) -> "LocalStore":
        """Open the store. Nothing is made on disk before the first write."""
        from lading.stores.local.store import LocalStore  # noqa: PLC0415 - not for `--help`

        return LocalStore(root_of(self.root, os.environ))

    def words(self, *words: str) -> list[str]:
        """Begin a command line that works on the same root."""
        return ["lading", *(["--root", self.root] if self.root is not None else []), *words]


def root_of(given: str | None, environment: Mapping[str, str]) -> str:
    """Choose the root: as given, else `LADING_ROOT`, else a folder of this user's data."""
    chosen = given if given is not None else environment.get("LADING_ROOT")
    if chosen:
        return chosen
    data = environment.get("XDG_DATA_HOME", "")
    # The XDG rules say that a relative path here counts as none.
    if not os.path.isabs(data):  # noqa: PTH117 - pathlib costs milliseconds that `--help` can spare
        data = os.path.expanduser("~/.local/share")  # noqa: PTH111 - ditto
    return os.path.join(data, "lading")  # noqa: PTH118 - ditto
