"""An OCI image layout as a folder, which any number of processes may write to at once.

    oci-layout              says what it is
    index.json              what it is about: a descriptor for each image, with its name
    index.json.lock         held by whoever changes the index; never removed
    .lading-index.json-…    the next index, for a moment; named after the one that it replaces
    blobs/<alg>/<hex>       each put there whole, and then never changed

Source: OCI image-spec 1.1, image layout.
"""

import contextlib
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lading.errors import DataLoss, FailedPrecondition, InvalidArchive, NotFound, Unavailable
from lading.model.descriptor import Descriptor, json_of
from lading.model.manifest import OCI_INDEX
from lading.oci.archives.archive import INDEX, MARK, VERSION, check_mark, read_index
from lading.oci.archives.contents import FolderContents, path_of
from lading.oci.archives.docker import compact, json_value
from lading.oci.archives.names import IMAGE_NAME, REF_NAME, Root
from lading.oci.archives.new_file import new_file, swap_file, sync_folder, write_all
from lading.oci.archives.verified_copy import VerifiedCopy
from lading.oci.archives.writer import copy_blob
from lading.oci.progress import Found, Progress

LOCK = f"{INDEX}.lock"
PATIENCE_S = 60.0
"""How long the index is tried to be changed while others are faster."""
PAUSE_S = 0.01
FORGOTTEN_S = 10.0
"""After so long, somebody who was about to replace the index is taken to be dead."""
_BLOB_MODE = 0o444
_MARK_DATA = compact({"imageLayoutVersion": VERSION})
_OURS = {"blobs", INDEX, LOCK, MARK}


class ImageLayout:
    """A folder that is an image layout, or becomes one with the first write.

    Any method may be called from any thread, and in any number of processes at once.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.folder = Path(folder)
        self._clock, self._sleep = clock, sleep

    def roots(self) -> tuple[Root, ...]:
        """What the index is about, in its order; `InvalidArchive` where it cannot be read."""
        return read_index(FolderContents(self.folder)).roots

    def make(self) -> None:
        """Make the folder a layout, if it is none; `FailedPrecondition` if it is something else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / MARK).exists():
            contents = FolderContents(self.folder)
            check_mark(contents.label, json_value(contents, MARK))
            return
        others = {path.name for path in self.folder.iterdir()} - _OURS
        others = {name for name in others if not name.startswith(".lading-")}
        if others:
            raise FailedPrecondition(
                f"{self.folder}: is a folder with {min(others)!r} in it and no image layout; name a"
                " new one, or an empty one"
            )
        with new_file(self.folder / MARK, replaces=False) as file:
            write_all(file, _MARK_DATA)
        sync_folder(self.folder.resolve().parent)

    def add(
        self, blob: Descriptor, source: BinaryIO, copier: VerifiedCopy, progress: Progress
    ) -> None:
        """Put a blob there, or leave the one that is; a wrong one is replaced.

        Raises `DataLoss`, and puts nothing there, where the bytes of `source` are others.
        """
        path = self.folder / path_of(blob.digest)
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise InvalidArchive(self.folder, f"{path.parent} leads out of it")
        if self._is_right(path, blob, copier):
            progress(Found(blob))
            return
        self._make_folders(path.parent)
        with new_file(path, mode=_BLOB_MODE) as file:
            copy_blob(copier, source, blob, lambda data: write_all(file, data), progress)

    def name(self, roots: Sequence[Root]) -> None:
        """Have the index name roots, in the place of what has the same names; keep all others.

        By compare-and-swap: the index is replaced if it is still the one that was read, and else
        read again. Whoever does the same in other processes loses nothing, on file systems whose
        locks do nothing, too. Against somebody who just writes, as skopeo does, a few microseconds
        are left between the comparing and the replacing.
        """
        deadline = self._clock() + PATIENCE_S
        while self._clock() < deadline:
            with self._locked():
                before = self._index()
                after = _changed(before, roots, label=os.fspath(self.folder))
                if after == before:
                    return
                has_swapped = self._swap(before, after)
            if has_swapped is None:
                self._sleep(random.random() * PAUSE_S)  # noqa: S311 - so that not all wake at once
        raise Unavailable(f"{self.folder / INDEX}: somebody changes it all the time; try again")

    def _index(self) -> bytes | None:
        contents = FolderContents(self.folder)
        return contents.read(INDEX) if contents.size_of(INDEX) is not None else None

    def _swap(self, before: bytes | None, after: bytes) -> bool | None:
        """Replace the index unless it has changed; None if somebody else is about to."""
        version = hashlib.sha256(before or b"").hexdigest()
        claim = self.folder / f".lading-{INDEX}-{version}"
        try:
            return swap_file(
                self.folder / INDEX,
                after,
                claim=claim,
                is_unchanged=lambda: self._index() == before,
            )
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - claim.stat().st_mtime > FORGOTTEN_S:
                    claim.unlink()  # it was killed on its way
            return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        file = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # Where locks are not to be had, comparing alone has to do.
            with contextlib.suppress(ImportError, OSError):
                import fcntl  # noqa: PLC0415 - absent from Windows

                fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _make_folders(self, folder: Path) -> None:
        missing = [each for each in (folder.parent, folder) if not each.is_dir()]
        for each in missing:
            each.mkdir(exist_ok=True)
            sync_folder(each.parent)

    def _is_right(self, path: Path, blob: Descriptor, copier: VerifiedCopy) -> bool:
        """Whether a blob is there and its own bytes are in it."""
        contents = FolderContents(self.folder)
        try:
            if contents.size_of(path_of(blob.digest)) != blob.size:
                return False
            with contents.place(path_of(blob.digest)) as (file, _):
                copier.copy(file, blob.digest, blob.size, _nowhere, _nowhere)
        except (DataLoss, NotFound, InvalidArchive):
            return False
        return True


def _nowhere(_: object) -> None:
    """Bytes that are only to be hashed."""


def _changed(before: bytes | None, roots: Sequence[Root], *, label: str) -> bytes:
    """The index with `roots` named in it. What it says besides is kept as it is."""
    value = _parsed(before, label)
    entries = value["manifests"]
    for root in roots:
        entry = json_of(root.target)
        places = [index for index, each in enumerate(entries) if _is_same(each, entry)]
        if places and entries[places[0]] == entry and len(places) == 1:
            continue
        entries = [each for index, each in enumerate(entries) if index not in places]
        entries.append(entry)
    if before is not None and entries == value["manifests"]:
        return before
    return compact({**value, "manifests": entries})


def _parsed(data: bytes | None, label: str) -> dict[str, Any]:
    if data is None:
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArchive(label, f"its {INDEX} is no JSON") from None
    entries = value.get("manifests", []) if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InvalidArchive(label, f"its {INDEX} is no index")
    return {**value, "manifests": entries}


def _is_same(one: dict[str, Any], another: dict[str, Any]) -> bool:
    """Whether two entries of an index have one name; or none, and one digest."""
    names = [
        [_annotation(each, IMAGE_NAME), _annotation(each, REF_NAME)] for each in (one, another)
    ]
    (whole, ref_name), (other_whole, other_ref_name) = names
    if whole and other_whole:
        return whole == other_whole
    if ref_name or other_ref_name or whole or other_whole:
        return ref_name == other_ref_name
    return one.get("digest") == another.get("digest")


def _annotation(entry: dict[str, Any], key: str) -> object:
    annotations = entry.get("annotations")
    return annotations.get(key) if isinstance(annotations, dict) else None
