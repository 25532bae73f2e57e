"""Turns: several threads, of which one at a time goes one step on, in an order that a test gives.

A step is one transaction or one call of the content store, and whatever leads to the next one.
"""

import threading
from collections import Counter
from contextlib import contextmanager

from lading.stores.local.store import LocalStore


class Turns:
    """Runs players to their ends, `order` saying who goes next; when it ends, all in turn."""

    def __init__(self, order):
        self.order = list(order)
        self.changed = threading.Condition()
        self.waiting = set()  # who stands before a step
        self.alive = set()
        self.chosen = None
        self.taken = Counter()  # how many steps each has made
        self.player = threading.local()

    def gate(self):
        """Wait for the turn; no matter to threads that do not play."""
        name = getattr(self.player, "name", None)
        if name is None:
            return
        with self.changed:
            self.waiting.add(name)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.chosen == name, timeout=60)
            self.chosen = None
            self.waiting.discard(name)

    def play(self, players):
        """Run the functions; give what each returned, or the error that it raised."""
        outcomes = {}

        def run(name, function):
            self.player.name = name
            try:
                self.gate()
                outcomes[name] = function()
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                outcomes[name] = error
            with self.changed:
                self.alive.discard(name)
                self.changed.notify_all()

        self.alive = set(players)
        threads = [threading.Thread(target=run, args=item) for item in players.items()]
        for thread in threads:
            thread.start()
        last = None
        while True:
            with self.changed:
                assert self.changed.wait_for(
                    lambda: self.chosen is None and self.waiting == self.alive, timeout=60
                )
                if not self.alive:
                    break
                wanted = self.order.pop(0) if self.order else None
                names = sorted(self.alive)
                if wanted not in self.alive:
                    wanted = (
                        names[(names.index(last) + 1) % len(names)] if last in names else names[0]
                    )
                last = self.chosen = wanted
                self.taken[wanted] += 1
                self.changed.notify_all()
        for thread in threads:
            thread.join()
        return outcomes


class SteppingDatabase:
    """A database that takes turns; what it does between them is the real one's."""

    def __init__(self, inner, turns):
        self.inner, self.turns = inner, turns

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def read(self, transaction):
        self.turns.gate()
        return self.inner.read(transaction)

    def row(self, statement, **parameters):
        self.turns.gate()
        return self.inner.row(statement, **parameters)

    def write(self, transaction, *, alone=False):
        self.turns.gate()
        return self.inner.write(transaction, alone=alone)

    def note(self, transaction, *, alone=False):
        self.turns.gate()
        return self.inner.note(transaction, alone=alone)

    @contextmanager
    def hold(self, name, wait=None):
        self.turns.gate()
        with self.inner.hold(name):  # whoever waited would keep the turn
            yield


class SteppingStore(LocalStore):
    """A store that takes turns."""

    turns = Turns(())

    def add(self, data):
        self.turns.gate()
        return super().add(data)

    def blob(self, digest):
        self.turns.gate()
        return super().blob(digest)

    def delete(self, digest):
        self.turns.gate()
        super().delete(digest)

    def abort(self, ref):
        self.turns.gate()
        super().abort(ref)

    def writer(self, ref, **options):
        self.turns.gate()
        writer = super().writer(ref, **options)
        commit = writer.commit

        def commit_in_turn(**options):
            self.turns.gate()
            return commit(**options)

        writer.commit = commit_in_turn
        return writer
