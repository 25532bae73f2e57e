"""A tar of an image layout, written so that the same images make the same bytes.

    blobs/                  folders and files in the order of their names
    blobs/sha256/
    blobs/sha256/<hex> …
    index.json
    manifest.json           where docker shall read it, too
    oci-layout

Nothing says when it was made, where, or by whom.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from lading.content.store import ContentStore
from lading.model.descriptor import Descriptor
from lading.oci.archives.archive import MARK
from lading.oci.archives.contents import path_of
from lading.oci.archives.tar import END, header, padding
from lading.oci.archives.verified_copy import VerifiedCopy
from lading.oci.progress import Begun, Done, Moved, Progress

RECORD_SIZE = 10_240
"""A tar ends with whole records: what some readers take at a time."""
Write = Callable[[bytes | memoryview], object]
_FOLDER_MODE, _BLOB_MODE, _DOCUMENT_MODE = 0o755, 0o444, 0o644


def write_archive(
    write: Write,
    *,
    documents: Mapping[str, bytes],
    blobs: Iterable[Descriptor],
    source: ContentStore,
    progress: Progress,
) -> None:
    """Write an archive of `documents`, by name, and of blobs, each verified on its way.

    Raises `DataLoss` behind the bytes of a blob that are not its own: what was written is not to be
    used then.
    """
    by_path = {path_of(blob.digest): blob for blob in blobs}
    folders = {f"{path.rpartition('/')[0]}/" for path in by_path} | {"blobs/"}
    size = 0

    def put(data: bytes | memoryview) -> None:
        nonlocal size
        write(data)
        size += len(data)

    with VerifiedCopy() as copier:
        for name in sorted({*folders, *by_path, *documents}):
            if name in folders:
                put(header(name, 0, mode=_FOLDER_MODE, is_folder=True))
            elif name in documents:
                data = documents[name]
                mode = _BLOB_MODE if name == MARK else _DOCUMENT_MODE  # as containerd has it
                put(header(name, len(data), mode=mode) + data + padding(len(data)))
            else:
                blob = by_path[name]
                put(header(name, blob.size, mode=_BLOB_MODE))
                with source.open(blob.digest) as file:
                    copy_blob(copier, file, blob, put, progress)
                put(padding(blob.size))
        put(END + bytes(-(size + len(END)) % RECORD_SIZE))


def copy_blob(
    copier: VerifiedCopy, file: BinaryIO, blob: Descriptor, write: Write, progress: Progress
) -> None:
    """Copy one blob, and tell how it goes."""
    progress(Begun(blob, 0))
    copier.copy(file, blob.digest, blob.size, write, lambda offset: progress(Moved(blob, offset)))
    progress(Done(blob, blob.size))
