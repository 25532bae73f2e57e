"""What a collection only notes, and what of it has to outlive a power cut, in which order."""

from itertools import pairwise

import pytest

from lading.content.events import BlobsCollected, BytesDeleted
from lading.database.session import Session
from lading.metadata import collector as module
from lading.metadata.collector import Collector
from lading.stores.local.store import LocalStore


class DiaryDatabase:
    """A database that says which of its transactions changed something, and how they end."""

    def __init__(self, inner, diary):
        self.inner, self.diary = inner, diary

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def write(self, transaction, *, alone=False):
        return self._told("write", self.inner.write, transaction, alone=alone)

    def note(self, transaction, *, alone=False):
        return self._told("note", self.inner.note, transaction, alone=alone)

    def relieve(self):
        self.diary.append("relieve")
        self.inner.relieve()

    def _told(self, kind, run, transaction, *, alone):
        changed = []

        def counted(session):
            counting = CountingSession(session)
            result = transaction(counting)
            changed.append(counting.changed)
            return result

        result = run(counted, alone=alone)
        self.diary.append(f"{kind}{' alone' if alone else ''}" if changed[-1] else "nothing")
        return result


class CountingSession(Session):
    """A session that knows whether it has changed a row."""

    def __init__(self, inner):
        super().__init__(inner.engine, inner.connection)
        self.changed = False

    def run(self, statement, /, **parameters):
        count = super().run(statement, **parameters)
        self.changed |= count > 0
        return count

    def run_many(self, statement, parameters):
        parameters = list(parameters)
        super().run_many(statement, parameters)
        self.changed |= bool(parameters)


class DiaryStore(LocalStore):
    """A store that says in its `diary` when it deletes."""

    def delete(self, digest):
        self.diary.append("bytes")
        super().delete(digest)


@pytest.fixture
def collect(metadata, content, events, clock, monkeypatch):
    """Collect in small steps; the diary of it, with what was told as well."""
    monkeypatch.setattr(module, "ROW_STEP", 2)
    store = DiaryStore(content.root, clock=clock)
    store.diary = diary = []
    events.subscribe(lambda event: diary.append(type(event)))

    def collect():
        Collector(DiaryDatabase(metadata.database, diary), store, clock, events).collect()
        return diary

    return collect


def test_rows_are_noted_and_gone_for_certain_before_any_bytes_go(namespace, collect):
    for number in range(5):
        namespace.add(str(number).encode())
    diary = collect()
    steps = [step for step in diary if step in {"note alone", "write alone", "bytes"}]
    assert steps == ["write alone", *["note alone"] * 3, "write alone", *["bytes"] * 5]


def test_what_is_swept_is_told_when_it_is_certain(namespace, collect):
    for number in range(3):
        namespace.add(str(number).encode())
    diary = collect()
    told = [
        step
        for step in diary
        if step in {"note alone", "write alone", BlobsCollected, BytesDeleted}
    ]
    assert told == [
        "write alone", "note alone", "note alone",
        "write alone", BlobsCollected, BlobsCollected, BytesDeleted,
    ]  # fmt: skip


def test_rows_whose_bytes_another_namespace_has_are_told_of_at_the_end(
    metadata, namespace, collect
):
    blob = namespace.add(b"blob")
    metadata.namespace("other").add(b"blob", labels={"containerd.io/gc.root": "now"})
    diary = collect()
    assert "bytes" not in diary
    assert diary[diary.index(BlobsCollected) - 1] == "write"
    assert blob.digest not in namespace


def test_after_each_sweep_writers_are_relieved_of_its_log(namespace, collect):
    for number in range(5):
        namespace.add(str(number).encode())
    diary = collect()
    assert [after for step, after in pairwise(diary) if step == "note alone"] == ["relieve"] * 3
