"""What filters see of blobs and of ingests, and which of them they accept.

    blob      `digest` `size` `labels.<key>`; containerd knows no `size` and takes it for absent
    ingest    `ref`

The key of a label is the rest of the path, its fields joined with dots. Whatever follows a
field that has no fields is ignored, as in containerd: `digest.x` is `digest`.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from lading.content.store import Blob, Ingest, Labels
from lading.model.filters import EVERYTHING, Path, parse


def label_at(labels: Labels, path: Path) -> str | None:
    """What `labels` has where `path` leads, which begins with `labels`."""
    return labels.get(".".join(path[1:]))


def field_of_blob(blob: Blob, path: Path) -> str | None:
    """What a blob has where `path` leads."""
    match path[0]:
        case "digest":
            return blob.digest
        case "size":
            return str(blob.size)
        case "labels":
            return label_at(blob.labels, path)
    return None


def field_of_ingest(ingest: Ingest, path: Path) -> str | None:
    """What an ingest has where `path` leads."""
    return ingest.ref if path[0] == "ref" else None


def select_blobs(blobs: Iterator[Blob], filters: Sequence[str]) -> Iterator[Blob]:
    """Those of `blobs` that any of the filters accepts: `blobs` itself where that is all.

    Raises `InvalidFilter` before it takes the first blob.
    """
    accepts = parse(*filters)
    if accepts is EVERYTHING:
        return blobs
    return (blob for blob in blobs if accepts(partial(field_of_blob, blob)))


def select_ingests(ingests: Iterator[Ingest], filters: Sequence[str]) -> Iterator[Ingest]:
    """Those of `ingests` that any of the filters accepts, in the manner of `select_blobs`."""
    accepts = parse(*filters)
    if accepts is EVERYTHING:
        return ingests
    return (ingest for ingest in ingests if accepts(partial(field_of_ingest, ingest)))
