"""Sources of a transfer, of every kind that `content.transfer` takes."""

import array
import io

import pytest


class Stream(io.RawIOBase):
    """A source that gives what it likes and cannot go back, as a pipe or a socket."""

    def __init__(self, data):
        super().__init__()
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(memoryview(buffer)[:7000])


class Place:
    """A path that is no `Path`."""

    def __init__(self, path):
        self._path = str(path)

    def __fspath__(self):
        return self._path


def pieces(data):
    """The data in pieces, among them an empty one."""
    yield b""
    for place in range(0, len(data), 7000):
        yield data[place : place + 7000]


def midway(path):
    """An open file that was read up to where the data begins."""
    path.write_bytes(b"skipped" + path.read_bytes())
    file = path.open("rb")
    file.read(len(b"skipped"))
    return file


def spread(data):
    """The data as the even ones of other bytes."""
    other = bytearray(2 * len(data))
    other[::2] = data
    return memoryview(other)[::2]


SOURCES = {
    "path": lambda path: path,
    "text": str,
    "path-like": Place,
    "file": lambda path: path.open("rb"),
    "rest-of-a-file": midway,
    "memory": lambda path: io.BytesIO(path.read_bytes()),
    "bytes": lambda path: path.read_bytes(),
    "view": lambda path: memoryview(array.array("B", path.read_bytes())),
    "gaps": lambda path: spread(path.read_bytes()),
    "stream": lambda path: Stream(path.read_bytes()),
    "pieces": lambda path: pieces(path.read_bytes()),
    "list": lambda path: list(pieces(path.read_bytes())),
}
ONE_WAY = ("stream", "pieces", "list")
KINDS = pytest.mark.parametrize("kind", SOURCES)
SEEKABLE_KINDS = pytest.mark.parametrize("kind", [kind for kind in SOURCES if kind not in ONE_WAY])
ONE_WAY_KINDS = pytest.mark.parametrize("kind", ONE_WAY)


class SourceFixture:
    @pytest.fixture
    def source(self, tmp_path, kind):
        """Make a source of the given kind that holds the given data."""
        opened = []

        def make(data):
            path = tmp_path / f"source {len(opened)} of a transfer"
            path.write_bytes(data)
            opened.append(SOURCES[kind](path))
            return opened[-1]

        yield make
        for each in opened:
            if isinstance(each, io.IOBase):
                each.close()
