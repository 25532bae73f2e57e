"""Any sequence of calls leaves a store agreeing with a few dicts.

Each call is made through any of several objects that share the content, as several processes
would, and has to end as the model said beforehand.
"""

import io
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lading.content import transfer
from lading.errors import Aborted, AlreadyExists, InvalidArgument, NotFound, WriterClosed
from lading.model.digest import ALGORITHMS, Digest
from lading.stores.local.store import LocalStore
from tests.conformance.samples import EVERY_CALL
from tests.properties.store_model import Model
from tests.support.memory import MemoryStore

pytestmark = pytest.mark.slow

# Few refs and few bytes, so that the calls meet.
POOL = {"nothing": b"", "a": b"a", "ab": b"ab", "abc": b"abc", "large": bytes(70_000)}
PARTS = {"nothing": b"", "a": b"a", "b": b"b", "c": b"c", "abc": b"abc", "half": bytes(35_000)}
REFS = st.sampled_from(["a", "b", "../c"])
BLOBS = st.sampled_from(sorted(POOL))
PIECES = st.sampled_from(sorted(PARTS))
DIGESTS = st.builds(
    lambda name, algorithm: Digest.of(POOL[name], algorithm), BLOBS, st.sampled_from(ALGORITHMS)
)
TOTALS = st.none() | st.sampled_from(sorted({len(data) for data in POOL.values()}))
HANDLES = st.integers(0, 2)


def check_refused(error, call):
    """See that the call ends with this error, with just these facts."""
    with pytest.raises(type(error)) as caught:
        call()
    assert (type(caught.value), caught.value.args) == (type(error), error.args)


class StoreMachine(RuleBasedStateMachine):
    """Drives the store and the model with the same calls."""

    def open_handle(self):
        """Give an object for the content, another one each time where that can be."""
        raise NotImplementedError

    def __init__(self):
        super().__init__()
        self.handles = [self.open_handle() for _ in range(3)]
        self.model = Model()
        self.writers = {}  # ref: the writer that holds it
        self.ended = []  # writers that were closed or committed
        self.aborted = []  # writers that lost their ingest and may not know yet
        self.files = []  # (open file, what it must read)

    def teardown(self):
        for thing in (*self.writers.values(), *self.aborted, *(file for file, _ in self.files)):
            thing.close()

    # Writers

    @rule(ref=REFS, handle=HANDLES, total=TOTALS, expected=st.none() | DIGESTS)
    def begin(self, ref, handle, total, expected):
        refusal = self.refusal_to_open(ref, total, expected)
        if refusal:
            check_refused(
                refusal,
                lambda: self.handles[handle].writer(ref, total=total, expected=expected),
            )
            return
        writer = self.handles[handle].writer(ref, total=total, expected=expected)
        self.writers[ref] = writer
        held = self.model.open(ref, total, expected)
        held.started_ns = held.started_ns or writer.status().started_ns

    @rule(ref=REFS, piece=PIECES)
    def write(self, ref, piece):
        if not (writer := self.writers.get(ref)):
            return
        held, piece = self.model.ingests[ref], PARTS[piece]
        if refusal := held.refuses_to_grow(len(piece)):
            check_refused(refusal, lambda: writer.write(piece))
            return
        assert writer.write(piece) == len(piece)
        held.data += piece

    @rule(ref=REFS, piece=PIECES, kind=st.sampled_from([io.BytesIO, tempfile.TemporaryFile]))
    def copy(self, ref, piece, kind):
        if not (writer := self.writers.get(ref)):
            return
        held, piece = self.model.ingests[ref], PARTS[piece]
        with kind() as source:
            source.write(b"before" + piece + b"after")
            source.seek(len(b"before"))
            if piece and (refusal := held.refuses_to_grow(len(piece))):
                check_refused(refusal, lambda: writer.copy_from(source, limit=len(piece)))
                # As repeated writes do, it may have added what fits, and no more than that.
                whole = held.data + piece
                assert len(held.data) <= writer.offset <= max(held.total, len(held.data))
                held.data = whole[: writer.offset]
                return
            assert writer.copy_from(source, limit=len(piece)) == len(piece)
            assert source.read() == b"after"
            held.data += piece

    @rule(ref=REFS, size=st.sampled_from([0, 0, 1]))
    def truncate(self, ref, size):
        if not (writer := self.writers.get(ref)):
            return
        if size:
            with pytest.raises(InvalidArgument):
                writer.truncate(size)
            return
        writer.truncate()
        self.model.ingests[ref].data = b""

    @rule(ref=REFS)
    def sync(self, ref):
        if writer := self.writers.get(ref):
            writer.sync()

    @rule(
        ref=REFS,
        size=st.sampled_from(["unnamed", "right", "wrong"]),
        expected=st.none() | DIGESTS | st.sampled_from(ALGORITHMS),
    )
    def commit(self, ref, size, expected):
        if not (writer := self.writers.get(ref)):
            return
        held = self.model.ingests[ref]
        if expected in ALGORITHMS:
            expected = Digest.of(held.data, expected)
        size = {"unnamed": None, "right": len(held.data), "wrong": len(held.data) + 1}[size]
        if refusal := held.refuses_to_commit(size, expected):
            check_refused(refusal, lambda: writer.commit(size=size, expected=expected))
            return
        digest = held.digest(expected)
        if self.model.commit(ref, expected):
            blob = writer.commit(size=size, expected=expected)
            assert (blob.digest, blob.size) == (digest, len(held.data))
        else:
            check_refused(
                AlreadyExists(digest), lambda: writer.commit(size=size, expected=expected)
            )
        assert writer.digest == digest
        self.ended.append(self.writers.pop(ref))

    @rule(ref=REFS)
    def close(self, ref):
        if writer := self.writers.pop(ref, None):
            writer.close()
            self.ended.append(writer)

    @rule(ref=REFS, handle=HANDLES)
    def abort(self, ref, handle):
        if ref not in self.model.ingests:
            check_refused(NotFound(ref, "ingest"), lambda: self.handles[handle].abort(ref))
            return
        self.handles[handle].abort(ref)
        del self.model.ingests[ref]
        if writer := self.writers.pop(ref, None):
            self.aborted.append(writer)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), call=st.sampled_from(sorted(EVERY_CALL)))
    def use_an_ended_writer(self, data, call):
        writer = data.draw(st.sampled_from(self.ended))
        check_refused(WriterClosed(writer.ref), lambda: EVERY_CALL[call](writer))
        writer.close()

    @precondition(lambda self: self.aborted)
    @rule(data=st.data(), call=st.sampled_from(sorted(EVERY_CALL)))
    def use_an_aborted_writer(self, data, call):
        writer = data.draw(st.sampled_from(self.aborted))
        check_refused(Aborted(writer.ref), lambda: EVERY_CALL[call](writer))

    @precondition(lambda self: self.aborted)
    @rule()
    def close_an_aborted_writer(self):
        self.aborted.pop(0).close()

    # Transfers

    @rule(
        ref=REFS,
        handle=HANDLES,
        pieces=st.lists(PIECES, max_size=3),
        total=TOTALS | st.just("right"),
        expected=st.none() | DIGESTS | st.sampled_from(ALGORITHMS),
        can_seek=st.booleans(),
        is_appended=st.booleans(),
    )
    def ingest(self, *, ref, handle, pieces, total, expected, can_seek, is_appended):
        pieces = [PARTS[name] for name in pieces]
        whole = b"".join(pieces)
        total = len(whole) if total == "right" else total
        if expected in ALGORITHMS:
            expected = Digest.of(whole, expected)
        store = self.handles[handle]

        def ingest():
            source = io.BytesIO(whole) if can_seek else iter(pieces)
            return transfer.ingest(
                store, ref, source, expected=expected, total=total, append=is_appended
            )

        refusal = self.refusal_to_open(ref, total, expected)
        if isinstance(refusal, AlreadyExists):
            assert ingest() == store.blob(expected)
        elif refusal:
            check_refused(refusal, ingest)
        else:
            held = self.model.open(ref, total, expected)
            refusal = held.take_in(
                [whole] * bool(whole) if can_seek else pieces,
                expected=expected,
                can_seek=can_seek,
                is_appended=is_appended,
            )
            if refusal:
                check_refused(refusal, ingest)
                held.started_ns = held.started_ns or store.ingest(ref).started_ns
            else:
                self.model.commit(ref, expected)
                assert ingest() == store.blob(held.digest(expected))

    @rule(ref=REFS, handle=HANDLES, piece=PIECES, total=TOTALS, expected=st.none() | DIGESTS)
    def append(self, ref, handle, piece, total, expected):
        store, piece = self.handles[handle], PARTS[piece]

        def append():
            return transfer.append(store, ref, [piece], total=total, expected=expected)

        if refusal := self.refusal_to_open(ref, total, expected):
            check_refused(refusal, append)
            return
        held = self.model.open(ref, total, expected)
        if refusal := held.grow([piece]):
            check_refused(refusal, append)
        else:
            assert append() == store.ingest(ref)
        held.started_ns = held.started_ns or store.ingest(ref).started_ns

    # Blobs

    @rule(handle=HANDLES, name=BLOBS)
    def add(self, handle, name):
        data = POOL[name]
        blob = self.handles[handle].add(data)
        assert (blob.digest, blob.size) == (Digest.of(data), len(data))
        self.model.blobs[blob.digest] = data

    @rule(handle=HANDLES, names=st.lists(BLOBS, max_size=4))
    def add_a_batch(self, handle, names):
        with self.handles[handle].batch() as batch:
            for name in names:
                self.model.blobs[batch.add(POOL[name])] = POOL[name]

    @rule(handle=HANDLES, digest=DIGESTS)
    def delete(self, handle, digest):
        if self.model.blobs.pop(digest, None) is None:
            check_refused(NotFound(digest), lambda: self.handles[handle].delete(digest))
        else:
            self.handles[handle].delete(digest)

    @rule(handle=HANDLES, digest=DIGESTS)
    def open(self, handle, digest):
        if digest in self.model.blobs:
            self.files.append((self.handles[handle].open(digest), self.model.blobs[digest]))
        else:
            check_refused(NotFound(digest), lambda: self.handles[handle].open(digest))

    @precondition(lambda self: self.files)
    @rule()
    def read(self):
        file, data = self.files.pop(0)
        with file:
            assert file.read() == data

    # The store

    @rule(handle=HANDLES)
    def open_the_store_again(self, handle):
        self.handles[handle] = self.open_handle()

    @rule(handle=HANDLES, digest=DIGESTS, algorithm=st.sampled_from(ALGORITHMS))
    def filter_blobs(self, handle, digest, algorithm):
        chosen = self.handles[handle].blobs(f"digest=={digest}", f"digest~=^{algorithm}:")
        assert sorted(blob.digest for blob in chosen) == sorted(
            each for each in self.model.blobs if each == digest or each.algorithm == algorithm
        )

    @rule(handle=HANDLES, ref=REFS)
    def filter_ingests(self, handle, ref):
        chosen = self.handles[handle].ingests(f'ref!="{ref}"')
        assert sorted(each.ref for each in chosen) == sorted(self.model.ingests.keys() - {ref})

    @invariant()
    def every_blob_is_whole_and_none_is_missing(self):
        for store in dict.fromkeys(self.handles):
            listed = {blob.digest: store.read(blob.digest) for blob in store.blobs()}
            assert listed == self.model.blobs
        for digest, data in self.model.blobs.items():
            assert Digest.of(data, digest.algorithm) == digest

    @invariant()
    def every_ingest_is_as_it_was_left_and_none_is_missing(self):
        left = {
            ref: (ref, len(held.data), held.total, held.expected, held.started_ns)
            for ref, held in self.model.ingests.items()
        }
        for store in dict.fromkeys(self.handles):
            assert {ingest.ref: ingest[:5] for ingest in store.ingests()} == left

    @invariant()
    def every_writer_knows_what_it_wrote(self):
        for ref, writer in self.writers.items():
            held = self.model.ingests[ref]
            assert (writer.offset, writer.digest) == (len(held.data), held.digest())
            assert writer.status()[:3] == (ref, len(held.data), held.total)

    def refusal_to_open(self, ref, total, expected):
        """Why nobody gets a writer just now; None if the caller does."""
        return self.model.refuses_to_open(ref, total, expected, is_locked=ref in self.writers)


class MemoryMachine(StoreMachine):
    def __init__(self):
        self.store = MemoryStore()
        super().__init__()

    def open_handle(self):
        return self.store


class LocalMachine(StoreMachine):
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        super().__init__()

    def open_handle(self):
        return LocalStore(self.folder.name)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


TestMemoryStore = MemoryMachine.TestCase
TestMemoryStore.settings = settings(max_examples=100, stateful_step_count=40)
TestLocalStore = LocalMachine.TestCase
TestLocalStore.settings = settings(max_examples=40, stateful_step_count=40)
