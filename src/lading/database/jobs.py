"""Jobs: transactions of several threads that wait to be run together."""

import threading
from collections.abc import Callable
from typing import Any

from lading.database.session import Session


class Job:
    """One transaction that waits for its turn."""

    __slots__ = (
        "done", "durable", "error", "group", "leads", "result", "transaction", "woken",
    )  # fmt: skip

    def __init__(self, transaction: Callable[[Session], Any], *, durable: bool) -> None:
        self.transaction, self.durable = transaction, durable
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = self.leads = False
        self.group: list[Job] = []  # those that ended with it, if its thread leads
        self.woken = threading.Lock()
        self.woken.acquire()  # until it is done, or the turn of its thread to lead has come
