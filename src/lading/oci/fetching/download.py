"""One blob, from wherever it can be had, into a store: resumed, verified, and never poisoned.

the ref is opened          here already           found
                           begun                  goes on at its offset
the bytes come             one stream, or ranges of it in parallel where one is slow
they are committed         right                  done
                           wrong                  once more from the beginning, then an error,
                                                  and nothing of it stays
"""

import contextlib
from collections.abc import Sequence

from lading.content.store import Blob, ContentStore, Labels, Writer
from lading.errors import AlreadyExists, DigestMismatch, IngestMismatch, NotFound, RefLocked
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.fetching.filling import Filling
from lading.oci.fetching.turns import Origin, Turns
from lading.oci.progress import Progress, nobody
from lading.oci.steps import Steps
from lading.oci.transport.patience import Patience

__all__ = ["Origin", "fetch"]

_SLICE_S = 0.25


def fetch(
    store: ContentStore,
    ref: str,
    blob: Descriptor,
    origins: Sequence[Origin],
    *,
    patience: Patience,
    streams: int = 1,
    labels: Labels | None = None,
    progress: Progress = nobody,
) -> Blob:
    """Bring a blob into the store under `ref`, or go on with whoever began to.

    A blob that is in the store is no error. After a failure the ingest is kept at its offset, but
    for `DigestMismatch`, which two whole bodies had to earn: then nothing is kept. Raises what
    stores raise; else the failure of the origin that got furthest, when all have failed.

    Somebody else who holds the ref is waited for as long as they get on, then `RefLocked`.
    """
    steps = Steps(blob, progress)
    moved = 0
    try:
        with writer_of(
            store, ref, expected=blob.digest, total=blob.size, patience=patience, steps=steps
        ) as writer:
            steps.begun(writer.offset)
            if _is_at_hand(blob):
                writer.truncate()
                writer.write(blob.data or b"")
            filling = Filling(
                writer,
                Turns(origins, patience, steps),
                total=blob.size,
                streams=streams,
                patience=patience,
                steps=steps,
            )
            try:
                done = filled(store, writer, filling, labels)
            finally:
                moved = filling.moved
    except AlreadyExists:
        done = store.label(blob.digest, labels) if labels else store.blob(blob.digest)
        if not moved:
            steps.found()
            return done
    steps.done(moved)
    return done


def filled(store: ContentStore, writer: Writer, filling: Filling, labels: Labels | None) -> Blob:
    """Fill an ingest and commit it. One whose bytes are wrong is begun anew, once, and then ended.

    So nothing stays that would have to be removed by hand. Raises `DigestMismatch` in the end.
    """
    filling.fill()
    try:
        return writer.commit(labels=labels)
    except DigestMismatch as mismatch:
        filling.start_over(f"its bytes are {mismatch.actual}")
    filling.fill()
    try:
        return writer.commit(labels=labels)
    except DigestMismatch:
        with contextlib.suppress(NotFound):
            store.abort(writer.ref)
        raise


def writer_of(
    store: ContentStore,
    ref: str,
    *,
    expected: Digest | None,
    total: int | None,
    patience: Patience,
    steps: Steps,
) -> Writer:
    """Open the ref, and wait for somebody else who holds it as long as they get on.

    An ingest of another size or digest is none of this, and is ended.
    """
    offset: int | None = None
    stood_still_s, has_ended_one = 0.0, False
    # Longer than anybody pauses who is only waiting for their own other end.
    limit_s = (patience.idle + patience.longest_pause).total_seconds()
    while True:
        try:
            return store.writer(ref, expected=expected, total=total)
        except IngestMismatch:
            if has_ended_one:
                raise
            has_ended_one = True
            with contextlib.suppress(NotFound):
                store.abort(ref)  # nobody holds it, or that would have been said
        except RefLocked as locked:
            now = _offset_of(store, ref)
            if offset is None:
                steps.waiting(limit_s, str(locked))
            if now != offset:
                offset, stood_still_s = now, 0.0
            elif stood_still_s >= limit_s:
                raise
            # In slices, so that whoever wants to end this can.
            patience.sleep(_SLICE_S)
            stood_still_s += _SLICE_S


def _offset_of(store: ContentStore, ref: str) -> int:
    try:
        return store.ingest(ref).offset
    except NotFound:
        return -1  # it ended just now


def _is_at_hand(blob: Descriptor) -> bool:
    """Whether the descriptor has brought the bytes along. Who made it may not have looked."""
    data = blob.data
    return (
        data is not None
        and len(data) == blob.size
        and Digest.of(data, blob.digest.algorithm) == blob.digest
    )
