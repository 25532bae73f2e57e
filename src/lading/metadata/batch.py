"""Many small blobs into a namespace: one claim, one wait for the disk and one for the database."""

import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

from lading.content.store import NO_LABELS, Batch, ContentStore, Labels
from lading.errors import Error, WriterClosed
from lading.metadata.claims import Claim
from lading.model.digest import Data, Digest

COUNT_LIMIT = 256
SIZE_LIMIT = 4 << 20
"""Blobs, and their bytes, that wait in memory to be claimed together."""


class Brought(NamedTuple):
    """Bytes that are on their way into the content store, and claimed."""

    digest: Digest
    size: int
    claim: Claim
    labels: Labels = NO_LABELS


class NamespaceBatch(Batch):
    """Made by `Namespace.batch`. For one thread. The rows come last."""

    def __init__(
        self,
        store: ContentStore,
        inner: Batch,
        *,
        claimed: Callable[[Sequence[Digest]], list[Claim]],
        acknowledge: Callable[[Sequence[Brought]], object],
    ) -> None:
        super().__init__(store)
        self._inner, self._claimed, self._acknowledge = inner, claimed, acknowledge
        self._waiting: dict[Digest, bytes] = {}
        self._size = 0
        self._brought: dict[Digest, Brought] = {}
        self._open = True

    def add(self, data: Data) -> Digest:
        if not self._open:
            raise WriterClosed("batch")
        digest = Digest.of(data)
        if digest not in self._waiting and digest not in self._brought:
            kept = bytes(data)  # the caller may use the buffer again
            self._waiting[digest] = kept
            self._size += len(kept)
            if len(self._waiting) >= COUNT_LIMIT or self._size >= SIZE_LIMIT:
                self._bring()
        return digest

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._open:
                self._bring()
            self._open = False
            self._inner.__exit__(kind, error, trace)
            if kind is None:
                self._acknowledge(list(self._brought.values()))
                self._brought.clear()
        finally:
            with contextlib.suppress(Error):  # a claim that cannot be dropped is forgotten in a day
                for brought in self._brought.values():
                    brought.claim.drop()

    def _bring(self) -> None:
        try:
            digests = list(self._waiting)
            for digest, claim in zip(digests, self._claimed(digests), strict=True):
                data = self._waiting[digest]
                self._brought[digest] = Brought(digest, len(data), claim)
            for digest in digests:
                self._inner.add(self._waiting[digest])
        except BaseException:
            self._open = False
            raise
        finally:
            self._waiting.clear()
            self._size = 0
