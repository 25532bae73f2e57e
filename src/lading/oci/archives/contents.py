"""What an archive holds, by name: one that can be read again, or one that came as a stream."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

from lading.errors import InvalidArchive
from lading.model.digest import Digest, is_hex_of
from lading.oci.archives.source import SeekableInput, StreamInput
from lading.oci.archives.staging import Staging
from lading.oci.archives.tar import entries, inside, shown

DOCUMENT_LIMIT = 4 << 20
"""Bytes of whatever is parsed."""
DOCUMENTS_LIMIT = 32 << 20
"""Bytes of all documents of a stream, which are in memory until it ends."""
LINKS_LIMIT = 8
"""How many links may lead to each other."""
_MAGIC_SIZE = 6
_BLOBS = "blobs"
_PARTS = 3


class Contents(Protocol):
    """Files of an archive. Names are plain ones; links have been followed."""

    label: str

    def size_of(self, name: str) -> int | None:
        """How many bytes a file has; None where there is no such file."""

    def read(self, name: str) -> bytes:
        """Read a document whole, or raise `InvalidArchive` for what is too long to be one."""

    def first_bytes(self, name: str) -> bytes:
        """How a file begins."""

    def digest_of(self, name: str) -> Digest | None:
        """The digest of a file, where that was computed already."""

    def kept(self, name: str) -> bytes | None:
        """A document that is at hand, since its archive came as a stream."""

    def place(self, name: str) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        """Open a file that can be read again, and say where in it the bytes begin."""


def path_of(digest: Digest) -> str:
    """Where an image layout has a blob."""
    return f"{_BLOBS}/{digest.algorithm}/{digest.hex}"


def digest_named(name: str) -> Digest | None:
    """The digest that a file is named by; None for a file that is no blob of an image layout."""
    parts = name.split("/")
    if len(parts) != _PARTS or parts[0] != _BLOBS or not is_hex_of(parts[1], parts[2]):
        return None
    return Digest.known_good(parts[1], parts[2])


class TarContents:
    """A tar in a file that can seek. Making it reads every header and nothing else."""

    def __init__(self, source: SeekableInput) -> None:
        self.label, self._source = source.label, source
        self._files: dict[str, tuple[int, int]] = {}
        self._links = _Links(source.label)
        for entry in entries(source):
            if entry.kind == "file":
                self._files[entry.name] = (entry.offset, entry.size)
            elif entry.link:
                self._links[entry.name] = entry.link
        self._links.check()

    def size_of(self, name: str) -> int | None:
        found = self._files.get(self._links.followed(name))
        return None if found is None else found[1]

    def read(self, name: str) -> bytes:
        offset, size = self._files[self._links.followed(name)]
        _check_document(self.label, name, size)
        self._source.go_to(offset)
        return self._source.read_exactly(size)

    def first_bytes(self, name: str) -> bytes:
        offset, size = self._files[self._links.followed(name)]
        self._source.go_to(offset)
        return self._source.read_exactly(min(size, _MAGIC_SIZE))

    def digest_of(self, name: str) -> Digest | None:
        return None

    def kept(self, name: str) -> bytes | None:
        return None

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[tuple[BinaryIO, int]]:
        offset, _ = self._files[self._links.followed(name)]
        yield self._source.file, self._source.beginning + offset


class FolderContents:
    """A folder. What a link in it leads to counts, as long as that lies in it, too."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.label = os.fspath(folder)
        self._folder = Path(os.path.realpath(folder))

    def size_of(self, name: str) -> int | None:
        try:
            with self._opened(name) as file:
                return os.fstat(file.fileno()).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes:
        with self._opened(name) as file:
            data = file.read(DOCUMENT_LIMIT + 1)
        _check_document(self.label, name, len(data))
        return data

    def first_bytes(self, name: str) -> bytes:
        with self._opened(name) as file:
            return file.read(_MAGIC_SIZE)

    def digest_of(self, name: str) -> Digest | None:
        return None

    def kept(self, name: str) -> bytes | None:
        return None

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[tuple[BinaryIO, int]]:
        with self._opened(name) as file:
            yield file, 0

    def _opened(self, name: str) -> BinaryIO:
        path = os.path.realpath(self._folder / inside(self.label, name))
        if not Path(path).is_relative_to(self._folder):
            raise InvalidArchive(self.label, f"{shown(name)} leads out of it")
        # Without waiting: what is a pipe instead of a file would be waited for in vain.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise InvalidArchive(self.label, f"{shown(name)} is no file")
        return cast("BinaryIO", open(file, "rb", buffering=0))  # noqa: PTH123 - a descriptor


class StreamContents:
    """A tar that comes once. Making it takes everything: documents into memory, blobs into
    ingests.
    """

    def __init__(self, source: StreamInput, staging: Staging) -> None:
        self.label = source.label
        self._documents: dict[str, bytes] = {}
        self._blobs: dict[str, _Blob] = {}
        self._links = _Links(source.label)
        size = 0
        for entry in entries(source):
            if entry.link:
                self._links[entry.name] = entry.link
            if entry.kind != "file":
                continue
            first = source.peek(min(entry.size, _MAGIC_SIZE))
            if _may_be_document(first, entry.size) and size + entry.size <= DOCUMENTS_LIMIT:
                size += entry.size
                self._documents[entry.name] = source.read_exactly(entry.size)
            else:
                digest = staging.stage_stream(entry.size, source, digest_named(entry.name))
                self._blobs[entry.name] = _Blob(digest, entry.size, first)
        source.drain()
        self._links.check()

    def size_of(self, name: str) -> int | None:
        name = self._links.followed(name)
        if name in self._documents:
            return len(self._documents[name])
        found = self._blobs.get(name)
        return None if found is None else found.size

    def read(self, name: str) -> bytes:
        name = self._links.followed(name)
        if name in self._documents:
            return self._documents[name]
        _check_document(self.label, name, self._blobs[name].size)
        raise InvalidArchive(
            self.label,
            f"it has more documents than are kept of a stream, {shown(name)} among them;"
            " put it into a file and import that",
        )

    def first_bytes(self, name: str) -> bytes:
        name = self._links.followed(name)
        if name in self._documents:
            return self._documents[name][:_MAGIC_SIZE]
        return self._blobs[name].first

    def digest_of(self, name: str) -> Digest | None:
        name = self._links.followed(name)
        if name in self._documents:
            return Digest.of(self._documents[name])
        return self._blobs[name].digest

    def kept(self, name: str) -> bytes | None:
        return self._documents.get(self._links.followed(name))

    def place(self, name: str) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        raise InvalidArchive(self.label, f"{shown(name)} came and went")


class _Blob(NamedTuple):
    digest: Digest
    size: int
    first: bytes


class _Links(dict[str, str]):
    """Links of a tar, each of which leads to another name in it."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label

    def followed(self, name: str) -> str:
        for _ in range(LINKS_LIMIT):
            if name not in self:
                return name
            name = self[name]
        raise InvalidArchive(self._label, f"links lead from {shown(name)} to each other")

    def check(self) -> None:
        """Follow each, so that a loop is found even where nobody would go there."""
        for name in self:
            self.followed(name)


def _may_be_document(first: bytes, size: int) -> bool:
    return size <= DOCUMENT_LIMIT and first.lstrip()[:1] in {b"{", b"["}


def _check_document(label: str, name: str, size: int) -> None:
    if size > DOCUMENT_LIMIT:
        raise InvalidArchive(
            label, f"{shown(name)} has more than {DOCUMENT_LIMIT} bytes, too many to be read"
        )
