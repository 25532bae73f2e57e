"""What is so about a root: facts for people who ask why, and whatever lies there and should not."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lading.model import hashing
from lading.model.digest import ALGORITHMS, is_hex_of
from lading.stores.local import ingests, ownership
from lading.stores.local.paths import SPARE, StorePaths
from lading.stores.local.scratch import in_use


def facts(paths: StorePaths) -> dict[str, str | bool | None]:
    """The root, whether and why not it can be written, and which of its promises cost more."""
    reason = _why_not_writable(paths.root)
    no_state = hashing.why_not_saved()
    return {
        "root": str(paths.root),
        "exists": os.path.isdir(paths.root),
        "writable": reason is None,
        "why_not_writable": reason,
        "file_system": ownership.file_system(paths.root),
        "locks": "trusted"
        if ownership.locks_reach_everyone(paths.root)
        else "not trusted: commit publishes a verified copy of the bytes",
        "hash_state": "kept: resuming hashes the tail"
        if no_state is None
        else f"not kept: resuming hashes all, since {no_state}",
    }


def strays(paths: StorePaths) -> Iterator[tuple[Path, str]]:
    """Everything in the folders of `paths` that is none of ours, and why. In no order."""
    yield from _strays_of_blobs(paths)
    for entry in _entries(paths.ingests):
        if not is_hex_of("sha256", entry.name):
            yield Path(entry.path), "no name of an ingest"
        elif ingests.describe(Path(entry.path)) is None:
            yield Path(entry.path), "no ingest: without data, or without the ref of its name"
    for path in map(Path, _entries(paths.scratch)):
        if not _is_spare(path):
            yield path, "of a call that is running, or that a crash cut short"


def _strays_of_blobs(paths: StorePaths) -> Iterator[tuple[Path, str]]:
    for entry in _entries(paths.blobs):
        if entry.name not in ALGORITHMS or not entry.is_dir(follow_symlinks=False):
            yield Path(entry.path), "no folder of a known algorithm"
            continue
        for blob in _entries(Path(entry.path)):
            if not is_hex_of(entry.name, blob.name):
                yield Path(blob.path), f"no name of a {entry.name} digest"
            elif not blob.is_file(follow_symlinks=False):
                yield Path(blob.path), "no regular file"


def _is_spare(path: Path) -> bool:
    """Whether it is a folder that a store which is open has for its next ingest."""
    return path.name.startswith(SPARE) and in_use(path)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _why_not_writable(root: Path) -> str | None:
    if reason := ownership.foreign(root):
        return str(reason)
    place = root
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    if not stat.S_ISDIR(place.stat().st_mode):
        return f"{place} is no directory"
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "the file system is read-only"
    return None if os.access(place, os.W_OK | os.X_OK) else f"{place}: permission denied"
