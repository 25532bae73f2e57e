"""What a store has acknowledged, and whether a store still has it."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from lading.content.store import Writer
from lading.errors import AlreadyExists, WriterClosed
from lading.model.digest import ALGORITHMS, Digest
from lading.stores.local.paths import DATA, StorePaths
from lading.stores.local.store import LocalStore


class Acknowledged(NamedTuple):
    """How far a ref's bytes were promised to be kept, and of what."""

    whole: bytes
    offset: int


class Ledger:
    """Written by whoever uses a store, kept when its process dies or its machine loses power."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.kept: dict[str, Acknowledged] = {}
        self.wholes: dict[str, list[bytes]] = {}
        """What the bytes of a ref may be the beginning of, the present one last."""
        self.ghosts: dict[str, list[bytes]] = {}
        """What they may be too, since nobody promised that an end survives a power cut."""
        self.ending: set[str] = set()
        """Refs whose commit has begun, so that the ingest or the blob must be there."""

    # Told by the user of the store

    def begins(self, ref: str, whole: bytes) -> None:
        known = self.wholes.setdefault(ref, [])
        if whole in known:
            known.remove(whole)
        known.append(whole)

    def keeps(self, ref: str, whole: bytes, offset: int) -> None:
        self.kept[ref] = Acknowledged(whole, offset)
        self.wholes[ref], self.ghosts[ref] = [whole], []
        self.ending.discard(ref)

    def starts_over(self, ref: str) -> None:
        """A truncation is asked for: from here on nothing is promised."""
        self.kept.pop(ref, None)
        self.ending.discard(ref)

    def started_over(self, ref: str, whole: bytes) -> None:
        self.wholes[ref] = [whole]

    def ends(self, ref: str) -> None:
        """A commit or an abort took the ingest away, as far as can be seen before a cut."""
        self.starts_over(ref)
        self.ghosts.setdefault(ref, []).extend(self.wholes.pop(ref, []))

    def has_blobs(self, contents: Iterable[bytes], algorithm: str = "sha256") -> None:
        self.blobs.update({Digest.of(content, algorithm): content for content in contents})

    # Checks

    def check_blobs(self, store: LocalStore) -> None:
        """Every visible blob is whole, and every acknowledged one is visible."""
        for blob in store.blobs():
            content = store.read(blob.digest)
            assert Digest.of(content, blob.digest.algorithm) == blob.digest, "a torn blob"
            assert blob.size == len(content)
        for digest, content in self.blobs.items():
            assert digest in store, "an acknowledged blob is lost"
            assert store.read(digest) == content

    def check_beginning(self, store: LocalStore, writer: Writer) -> bytes:
        """The writer goes on from bytes that were written, and from all that were promised.

        Gives the whole that they begin.
        """
        ref, offset = writer.ref, writer.offset
        stored = (StorePaths(store.root).ingest(ref) / DATA).read_bytes()
        assert len(stored) == offset, "the offset is not the file's size"
        assert Digest.of(stored, writer.digest.algorithm) == writer.digest
        possible = [*reversed(self.wholes.get(ref, [])), *self.ghosts.get(ref, [])]
        wholes = [whole for whole in possible if whole[:offset] == stored]
        assert wholes, f"{offset} bytes that nobody wrote in this order"
        if kept := self.kept.get(ref):
            assert offset >= kept.offset, f"resumed at {offset}, promised was {kept.offset}"
            assert kept.whole in wholes
        return wholes[0]

    def check_offset(self, store: LocalStore, writer: Writer) -> None:
        """After a failure an open writer's offset is true, and so is what the store says."""
        try:
            offset = writer.status().offset
        except WriterClosed:
            return
        assert offset == writer.offset
        assert offset == (StorePaths(store.root).ingest(writer.ref) / DATA).stat().st_size
        assert offset == store.ingest(writer.ref).offset

    def check_refs(self, store: LocalStore, *, torn: bool = False, after_cut: bool = False) -> None:
        """Every promised ref is there, or the blob that a commit was making of it.

        With `torn` renames a file system may lose both.
        """
        here = {ingest.ref for ingest in store.ingests()}
        assert here <= {*self.wholes, *self.ghosts}
        for ref, kept in list(self.kept.items()):
            digest = _digest_of(store, kept.whole) if ref in self.ending else None
            if digest:
                if after_cut:  # else nobody has said yet that it will survive one
                    self.blobs[digest] = kept.whole
                self.ends(ref)
            elif ref not in here:
                assert torn, f"{ref!r} is lost"
                assert ref in self.ending, f"{ref!r} is lost"
                self.ends(ref)

    def finish_ingests(self, store: LocalStore) -> None:
        """Every ingest goes on to a right blob."""
        for ref in sorted(ingest.ref for ingest in store.ingests()):
            with store.writer(ref) as writer:
                whole = self.check_beginning(store, writer)
                writer.write(whole[writer.offset :])
                digest = Digest.of(whole, writer.digest.algorithm)
                with contextlib.suppress(AlreadyExists):
                    writer.commit(expected=digest)
            self.ends(ref)
            self.blobs[digest] = whole
        assert not list(store.ingests())


def _digest_of(store: LocalStore, content: bytes) -> Digest | None:
    """The name under which a store has a content."""
    digests = (Digest.of(content, algorithm) for algorithm in ALGORITHMS)
    return next((digest for digest in digests if digest in store), None)
