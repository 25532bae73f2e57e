"""What the life of every daemon has, whoever answers in it: it is ready, it stops, it says so."""

import logging
from abc import abstractmethod
from contextlib import ExitStack
from typing import Self

from lading.daemon.notices import READY, STOPPING, notify
from lading.daemon.settings import Settings
from lading.model.closing import Closing


class Life(Closing):
    """Lasts as long as its `with` block. What stands in the way is raised by entering it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.addresses: tuple[str, ...] = ()
        """Where it listens, in the order of the settings, with the ports that it has got."""
        self._log = logging.getLogger(type(self).__module__)
        self._ending = ExitStack()

    @property
    @abstractmethod
    def collects(self) -> bool:
        """Whether a collection has outlasted the end."""

    @abstractmethod
    def _begin(self, begun: ExitStack) -> None:
        """Begin, addresses included. Each step adds to the stack what undoes it at the end."""

    def __enter__(self) -> Self:
        with ExitStack() as begun:
            self._begin(begun)
            begun.callback(self._tell_end)
            listening = ", ".join(self.addresses)
            notify(READY, f"STATUS=listening on {listening}")
            facts: dict[str, object] = {"root": self.settings.root, "listen": listening}
            if self.settings.processes > 1:
                facts["processes"] = self.settings.processes
            self._log.info("ready", extra={"facts": facts})
            self._ending = begun.pop_all()
        return self

    def close(self) -> None:
        """End, and say so. The end of the block does."""
        self._ending.close()
        self._log.info("stopped", extra={"facts": {"collects": self.collects}})

    def _tell_end(self) -> None:
        facts = {"grace": self.settings.grace.total_seconds()}
        self._log.info("stopping", extra={"facts": facts})
        notify(STOPPING)
