"""Races that were lost once, each played step by step."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lading.content.events import Events
from lading.errors import Aborted, AlreadyExists, InvalidArgument, RefLocked
from lading.metadata import Metadata
from lading.metadata import namespace as namespace_module
from lading.metadata.writer import NamespaceWriter
from lading.model.digest import Digest
from lading.rpc.write_stream import WriteStream
from lading.stores.local.disk import Disk
from lading.stores.local.store import LocalStore


class _Busy(LocalStore):
    """A store in which others come first and last while a writer is opened and closed.

    Those who come first hold the ref until somebody waits for it.
    """

    def __init__(self, root) -> None:
        super().__init__(root)
        self.first = None
        self.last = lambda ref: None

    def writer(self, ref, **options):
        first, self.first = self.first, None
        if first and not options.get("wait"):
            self.first = first
            raise RefLocked(ref)
        if first:
            first()
        writer = super().writer(ref, **options)
        last, self.last = self.last, lambda ref: None
        close = writer.close

        def closed() -> None:
            close()
            last(ref)

        writer.close = closed
        return writer


def test_an_opening_that_is_refused_ends_its_own_ingest_and_not_the_next_ones(tmp_path):
    content = _Busy(tmp_path / "root")
    with Metadata(f"sqlite:///{tmp_path}/m.db", content=content) as metadata:
        namespace = metadata.namespace("n")
        next_ones = []

        def last(ref) -> None:
            # The next one's row is not there yet.
            next_ones.append(LocalStore(content.root).writer(ref))

        def first() -> None:
            content.last = last
            with LocalStore(content.root).writer("elsewhere") as writer:
                writer.write(b"x")
                writer.commit()
            with Metadata(f"sqlite:///{tmp_path}/m.db", content=LocalStore(content.root)) as other:
                other.namespace("n").add(b"x")

        content.first = first
        with pytest.raises(AlreadyExists):
            namespace.writer("r", expected=Digest.of(b"x"), wait=timedelta(seconds=1))
        [writer] = next_ones
        with writer:
            writer.write(b"y")
            assert writer.commit().digest == Digest.of(b"y")


def test_who_waited_for_a_commit_is_not_offered_it_before_its_row_is_there(tmp_path, monkeypatch):
    has_bytes, has_waited = threading.Event(), threading.Event()
    acknowledged, sleep = NamespaceWriter._acknowledged, time.sleep

    def acknowledge(writer, *facts):
        has_bytes.set()
        assert has_waited.wait(30)
        return acknowledged(writer, *facts)

    def pause(seconds):
        if has_bytes.is_set() and seconds == namespace_module._PAUSE:
            has_waited.set()
        sleep(seconds)

    monkeypatch.setattr(NamespaceWriter, "_acknowledged", acknowledge)
    monkeypatch.setattr(time, "sleep", pause)
    content = LocalStore(tmp_path / "root")
    with Metadata(f"sqlite:///{tmp_path}/m.db", content=content) as metadata:
        namespace = metadata.namespace("n")
        with ThreadPoolExecutor() as pool, namespace.writer("r") as first:
            first.write(b"x")
            waiting = pool.submit(namespace.writer, "r", wait=timedelta(seconds=30))
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
            first.commit()
            with waiting.result() as second:
                assert second.offset == 0


def test_who_opens_a_ref_just_after_its_commit_need_not_send_the_blob_again(tmp_path):
    class Ending(LocalStore):
        """A store in which another writer ends between a look for its blob and an opening."""

        ends = None

        def writer(self, ref, **options):
            ends, self.ends = self.ends, None
            if ends:
                ends()
            return super().writer(ref, **options)

    content = Ending(tmp_path / "root")
    with Metadata(f"sqlite:///{tmp_path}/m.db", content=content) as metadata:
        namespace = metadata.namespace("n")
        digest = Digest.of(b"bytes")
        first = namespace.writer("r", expected=digest, total=5)
        first.write(b"bytes")

        def ends() -> None:
            first.commit()
            first.close()

        content.ends = ends
        with pytest.raises(AlreadyExists):
            namespace.writer("r", expected=digest, total=5)
        assert list(namespace.ingests()) == []
        assert list(content.ingests()) == []


def test_a_writer_that_meets_an_abort_half_way_is_told_of_an_abort(tmp_path):
    class Slow(Disk):
        """Between the renaming away of an ingest and its end something else can happen."""

        renamed = staticmethod(lambda: None)

        def rename(self, source, target, *, folder=None) -> None:
            super().rename(source, target, folder=folder)
            self.renamed()

    disk = Slow()
    store = LocalStore(tmp_path / "root", disk=disk)
    outcomes = []

    def meet() -> None:
        try:
            writer.sync()
        except Exception as error:  # noqa: BLE001 - which one it is, is what is asked
            outcomes.append(type(error))

    with store.writer("r") as writer:
        writer.write(b"x")
        disk.renamed = meet
        store.abort("r")
    assert outcomes == [Aborted]


def test_a_stream_is_refused_once_its_first_message_is_here(tmp_path):
    class Refused:
        namespace = "no/name"
        facts = {}  # noqa: RUF012 - as a call has them

        def scope(self):
            raise InvalidArgument("no namespace is named so")

    taken = []

    def messages():
        taken.append("the first")
        yield b"\x12\x01r"

    with pytest.raises(InvalidArgument, match="no namespace"):
        list(WriteStream(Refused(), Events(), None).run(messages()))
    assert taken == ["the first"]
