"""The tar format, as far as archives of images use it: headers read from strangers, and written.

A header is a block of 512 bytes; the bytes of a file follow, filled up to whole blocks; two blocks
of zeros are the end. Names and sizes that a header has no room for come ahead of it, in an entry
of their own (GNU's `L` and `K`, pax's `x`). Source: POSIX.1-2017, pax, "ustar Interchange Format"
and "pax Header Block"; GNU tar manual, "Basic Tar Format".

Whatever two readers could take for two things is refused: this is how archives lie.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

from lading.errors import InvalidArchive

BLOCK = 512
END = bytes(2 * BLOCK)
NAME_LIMIT = 4096
"""Bytes of a name."""
PAX_LIMIT = 64 << 10
"""Bytes of one extended header."""
ENTRIES_LIMIT = 100_000
SIZE_LIMIT = 1 << 62

Kind = Literal["file", "folder", "symlink", "hardlink"]
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"5": "folder",
    b"2": "symlink",
    b"1": "hardlink",
}
_REFUSED = {b"3": "a device", b"4": "a device", b"6": "a fifo", b"S": "a sparse file"}
_NAME_ROOM = 100
_OCTAL_LIMIT = 8**11
_LONG_NAME = "././@LongLink"


class Entry(NamedTuple):
    """One entry; what is in it begins at `offset` of the archive."""

    name: str
    kind: Kind
    size: int
    offset: int
    link: str = ""
    """For a link, the entry that it leads to."""


class Input(Protocol):
    """An archive that is read: from its beginning to its end, and back where it can seek."""

    label: str

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes; `InvalidArchive` where there are fewer."""

    def go_to(self, position: int) -> None:
        """Go on at `position`, which is not before the one where it is."""


def entries(source: Input) -> Iterator[Entry]:
    """Every entry of an archive. Who takes one may read its bytes, all or some, before the next.

    Raises `InvalidArchive` for what is no tar, or one that could lead somebody astray.
    """
    position, count = 0, 0
    seen: set[str] = set()
    while True:
        header, extended, position = _next_header(source, position)
        if header is None:
            return
        count += 1
        if count > ENTRIES_LIMIT:
            raise InvalidArchive(source.label, f"it has more than {ENTRIES_LIMIT} entries")
        entry = _entry(source.label, header, extended, position)
        if entry.kind != "folder" and entry.name in seen:
            raise InvalidArchive(source.label, f"it has {shown(entry.name)} twice")
        seen.add(entry.name)
        yield entry
        position += _whole_blocks(entry.size)
        source.go_to(position)


def inside(label: str, name: str, *, folder: str = "") -> str:
    """The plain form of a name in an archive, or of one that is seen from `folder` in it.

    Raises `InvalidArchive` for what is not in there: absolute names, and `..` past the beginning.
    """
    if name.startswith("/") or "\0" in name:
        raise InvalidArchive(label, f"it names {shown(name)}, which lies outside of it")
    parts = folder.split("/") if folder else []
    for part in name.split("/"):
        if part == "..":
            if not folder or not parts:
                raise InvalidArchive(label, f"it names {shown(name)}, which lies outside of it")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def shown(name: str) -> str:
    """A name from outside, for a sentence."""
    return repr(name if len(name) <= 80 else f"{name[:80]}…")  # noqa: PLR2004 - a line


def header(name: str, size: int, *, mode: int, is_folder: bool = False) -> bytes:
    """A header that says nothing of when and where it was made, nor by whom."""
    encoded = name.encode()
    ahead = b""
    is_gnu = len(encoded) > _NAME_ROOM or size >= _OCTAL_LIMIT
    if len(encoded) > _NAME_ROOM:
        text = encoded + b"\0"
        ahead = _block(_LONG_NAME.encode(), len(text), 0, b"L", is_gnu=True)
        ahead += text + bytes(-len(text) % BLOCK)
    kind = b"5" if is_folder else b"0"
    return ahead + _block(encoded[:_NAME_ROOM], size, mode, kind, is_gnu=is_gnu)


def padding(size: int) -> bytes:
    """What follows the bytes of a file."""
    return bytes(-size % BLOCK)


def _block(name: bytes, size: int, mode: int, kind: bytes, *, is_gnu: bool) -> bytes:
    # A size without room in octal is written in base 256, which every tar of these days reads.
    octal = size < _OCTAL_LIMIT
    room = b"%011o\0" % size if octal else b"\x80" + size.to_bytes(11, "big")
    magic = b"ustar  \0" if is_gnu else b"ustar\x0000"
    zero = b"0000000\0"
    fields = (
        *(name.ljust(_NAME_ROOM, b"\0"), b"%07o\0" % mode, zero, zero),
        *(room, b"%011o\0" % 0, b" " * 8, kind, bytes(100), magic, bytes(64), zero, zero),
    )
    block = bytearray(b"".join(fields).ljust(BLOCK, b"\0"))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _whole_blocks(size: int) -> int:
    return size + -size % BLOCK


def _next_header(source: Input, position: int) -> tuple[bytes | None, dict[str, str], int]:
    """The next header of an entry, what was said of it ahead, and where its bytes begin."""
    extended: dict[str, str] = {}
    while True:
        block = source.read_exactly(BLOCK)
        position += BLOCK
        if not any(block):
            if extended or any(source.read_exactly(BLOCK)):
                raise InvalidArchive(source.label, "something follows its end")
            return None, {}, position
        _check_sum(source.label, block)
        kind = block[156:157]
        if kind not in {b"x", b"g", b"L", b"K"}:
            return block, extended, position
        size = _number(source.label, block[124:136])
        if size > PAX_LIMIT:
            raise InvalidArchive(source.label, f"it has a header of {size} bytes")
        data = source.read_exactly(_whole_blocks(size))[:size]
        position += _whole_blocks(size)
        if kind == b"g":
            if said := _SAYS_MUCH & _pax(source.label, data).keys():
                raise InvalidArchive(source.label, f"it says {min(said)} of every entry")
            continue
        found = (
            _pax(source.label, data)
            if kind == b"x"
            else {"path" if kind == b"L" else "linkpath": _text(source.label, data)}
        )
        if found.keys() & extended.keys():
            raise InvalidArchive(source.label, "it says two things of one entry")
        extended |= found


_SAYS_MUCH = frozenset({"path", "linkpath", "size"})


def _entry(label: str, block: bytes, extended: dict[str, str], position: int) -> Entry:
    flag = block[156:157]
    if any(key.startswith("GNU.sparse") for key in extended):
        flag = b"S"
    name = extended.get("path") or _name(label, block)
    kind = _KINDS.get(flag)
    if kind is None:
        what = _REFUSED.get(flag, f"an entry of type {flag!r}")
        raise InvalidArchive(label, f"{shown(name)} is {what}")
    # Python's `tarfile` calls the folder of an archive itself so.
    plain = "" if kind == "folder" and name == "/" else inside(label, name)
    if kind == "file" and name.endswith("/"):
        kind = "folder"  # as tars from before there was a type for them have it
    size = _size(label, block, extended)
    if size and kind != "file":
        raise InvalidArchive(label, f"{shown(name)} is a {kind} of {size} bytes")
    link = ""
    if kind in {"symlink", "hardlink"}:
        target = extended.get("linkpath") or _text(label, block[157:257])
        folder = plain.rpartition("/")[0] if kind == "symlink" else ""
        link = inside(label, target, folder=folder)
    if not plain and kind != "folder":
        raise InvalidArchive(label, "an entry of it has no name")
    return Entry(plain, kind, size, position, link)


def _name(label: str, block: bytes) -> str:
    name = _text(label, block[:_NAME_ROOM])
    # GNU's own format has other things where POSIX has the beginning of a long name.
    prefix = _text(label, block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _size(label: str, block: bytes, extended: dict[str, str]) -> int:
    if "size" not in extended:
        return _number(label, block[124:136])
    text = extended["size"]
    if not (text.isascii() and text.isdigit() and len(text) <= 20):  # noqa: PLR2004 - 2⁶⁴
        raise InvalidArchive(label, f"{shown(text)} is no size")
    size = int(text)
    if size > SIZE_LIMIT:
        raise InvalidArchive(label, f"{size} is no size")
    return size


def _number(label: str, field: bytes) -> int:
    if field[0] & 0x80:
        number = int.from_bytes(field[1:], "big")
        if field[0] != 0x80 or number > SIZE_LIMIT:  # noqa: PLR2004 - the mark of a positive one
            raise InvalidArchive(label, "an entry of it has no possible size")
        return number
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if any(digit not in b"01234567" for digit in digits):
        raise InvalidArchive(label, "an entry of it has no possible size")
    return int(digits, 8)


def _check_sum(label: str, block: bytes) -> None:
    try:
        stated = _number(label, block[148:156])
    except InvalidArchive:
        stated = -1
    if stated != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise InvalidArchive(label, "it is no tar, or is damaged: a header has another sum")


def _pax(label: str, data: bytes) -> dict[str, str]:
    """Records of the form `length key=value newline`, the length that of the whole record."""
    found: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 8 else 0  # noqa: PLR2004 - far more than fits
        record = data[len(length) + 1 : size]
        key, equals, value = record.partition(b"=")
        if not (space and equals and size <= len(data) and value.endswith(b"\n")):
            raise InvalidArchive(label, "an extended header of it is damaged")
        name = _text(label, key)
        if name in found:
            raise InvalidArchive(label, f"it says {shown(name)} of an entry twice")
        # Only these matter here; others are free to hold any bytes.
        is_text = name in _SAYS_MUCH or name.startswith("GNU.sparse")
        found[name] = _whole_text(label, value[:-1]) if is_text else ""
        data = data[size:]
    return found


def _text(label: str, field: bytes) -> str:
    """A text that ends with its field, or with the first zero in it."""
    return _whole_text(label, field.partition(b"\0")[0])


def _whole_text(label: str, data: bytes) -> str:
    if len(data) > NAME_LIMIT:
        raise InvalidArchive(label, f"it has a name of {len(data)} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidArchive(label, f"the name {data[:80]!r} is no UTF-8") from None
