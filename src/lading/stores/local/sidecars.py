"""The small files beside an ingest's data: its ref, its times, its total, what it should become.

Written as containerd writes them: no newline at the end, times as Go's `time.Time` marshals itself
(RFC 3339, up to nine digits of a fraction, trailing zeros cut), `total` only when it is known.
`expected` is ours. Nothing here is trusted on the way back: what cannot be read is absent.

A young ingest has one file in their place, `beginning`, since most are committed before anybody
looks, and making a file and removing it costs more than writing 4 KiB:

    lading-beginning 1 <boot id> <startedat> <total> <expected> <sha256 of the line before it>
    <the ref, as it is>
"""

import calendar
import hashlib
import os
import re
import time
from typing import NamedTuple

from lading.content.store import REF_LIMIT
from lading.errors import InvalidDigest
from lading.model.digest import Digest
from lading.stores.local.disk import NEW, READ, Disk, write_whole
from lading.stores.local.paths import BEGINNING, EXPECTED, REF, STARTED, TOTAL, UPDATED, key_of

_SMALL_LIMIT = 256
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_BILLION = 1_000_000_000
_MAGIC, _VERSION, _NONE = "lading-beginning", "1", "-"
_WORDS, _LINE_LIMIT = 6, 1024


class Sidecars(NamedTuple):
    """What is written beside the data."""

    ref: str
    started_ns: int
    updated_ns: int
    total: int | None
    expected: Digest | None
    boot: str | None = None
    """The boot in which it began, while it is young: while `beginning` is all that there is."""

    @property
    def closed_at(self) -> int | None:
        """When a writer last closed it; None if none has since it was begun."""
        return self.updated_ns if self.updated_ns > self.started_ns else None


def format_time(nanoseconds: int) -> str:
    """Write a moment as Go does."""
    seconds, fraction = divmod(nanoseconds, _BILLION)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def parse_time(text: str) -> int | None:
    """Read a moment as Go writes it; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    *date, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = calendar.timegm(tuple(int(part) for part in date))
    except (ValueError, OverflowError):
        return None
    if sign:
        shift = int(hours) * 3600 + int(minutes) * 60
        seconds -= shift if sign == "+" else -shift
    return seconds * _BILLION + int((fraction or "").ljust(9, "0"))


def read(folder: int, key: str) -> Sidecars | None:
    """Read what stands in an ingest's folder; None if it names no ref, or not the one of `key`."""
    ref = _text(folder, REF, REF_LIMIT)
    if ref is None:
        return _read_beginning(folder, key)
    if not ref or key_of(ref) != key:
        return None
    started = parse_time(_text(folder, STARTED) or "")
    updated = parse_time(_text(folder, UPDATED) or "")
    total = _text(folder, TOTAL) or ""
    return Sidecars(
        ref=ref,
        started_ns=started or 0,
        updated_ns=updated or started or 0,
        total=_number(total),
        expected=_digest(_text(folder, EXPECTED)),
    )


def begin(disk: Disk, folder: int, known: Sidecars) -> None:
    """Write the beginning of a young ingest."""
    words = (
        _MAGIC,
        _VERSION,
        known.boot or _NONE,
        format_time(known.started_ns),
        _NONE if known.total is None else str(known.total),
        known.expected or _NONE,
    )
    line = " ".join(words)
    checksum = hashlib.sha256(line.encode()).hexdigest()
    text = f"{line} {checksum}\n{known.ref}".encode()
    file = disk.open(BEGINNING, folder=folder)
    try:
        # Over what is there in a spare folder: to free a block and take another is far slower.
        write_whole(disk, file, text, 0)
        if os.fstat(file).st_size > len(text):
            disk.truncate(file, len(text))
    finally:
        os.close(file)


def write(disk: Disk, folder: int, known: Sidecars) -> None:
    """Write what stands beside the ref."""
    _put(disk, folder, STARTED, format_time(known.started_ns))
    _put(disk, folder, UPDATED, format_time(known.updated_ns))
    if known.total is not None:
        _put(disk, folder, TOTAL, str(known.total))
    if known.expected is not None:
        _put(disk, folder, EXPECTED, known.expected)


def write_ref(disk: Disk, folder: int, known: Sidecars) -> None:
    """Write the ref, in one step: from then on the beginning counts for nothing, and it goes."""
    _replace(disk, folder, REF, known.ref)
    disk.remove(BEGINNING, folder=folder)


def write_aim(disk: Disk, folder: int, known: Sidecars) -> None:
    """Write what the ingest is to become, as far as that is known, each in one step."""
    if known.total is not None:
        _replace(disk, folder, TOTAL, str(known.total))
    if known.expected is not None:
        _replace(disk, folder, EXPECTED, known.expected)


def write_updated(disk: Disk, folder: int, updated_ns: int) -> None:
    """Replace `updatedat` in one step, durably but for the folder's own sync."""
    _replace(disk, folder, UPDATED, format_time(updated_ns), sync=True)


def write_times(disk: Disk, folder: int, known: Sidecars) -> None:
    """Replace both times, each in one step."""
    _replace(disk, folder, STARTED, format_time(known.started_ns))
    _replace(disk, folder, UPDATED, format_time(known.updated_ns))


def record(disk: Disk, folder: int, known: Sidecars) -> None:
    """Make the sidecars survive a power cut, but for the folder's own sync.

    Written anew: after a sync that failed, another would succeed and have kept nothing.
    """
    _replace(disk, folder, REF, known.ref, sync=True)
    _replace(disk, folder, STARTED, format_time(known.started_ns), sync=True)
    _replace(disk, folder, UPDATED, format_time(known.updated_ns), sync=True)
    if known.total is not None:
        _replace(disk, folder, TOTAL, str(known.total), sync=True)
    if known.expected is not None:
        _replace(disk, folder, EXPECTED, known.expected, sync=True)


def _replace(disk: Disk, folder: int, name: str, text: str, *, sync: bool = False) -> None:
    temporary = name + ".tmp"
    _put(disk, folder, temporary, text, sync=sync)
    disk.replace_within(folder, temporary, name)


def _put(disk: Disk, folder: int, name: str, text: str, *, sync: bool = False) -> None:
    file = disk.open(name, NEW | os.O_TRUNC, folder=folder)
    try:
        write_whole(disk, file, text.encode(), 0)
        if sync:
            disk.sync(file)
    finally:
        os.close(file)


def _read_beginning(folder: int, key: str) -> Sidecars | None:
    line, newline, ref = (_text(folder, BEGINNING, _LINE_LIMIT + REF_LIMIT) or "").partition("\n")
    text, _, checksum = line.rpartition(" ")
    if not newline or hashlib.sha256(text.encode()).hexdigest() != checksum or key_of(ref) != key:
        return None
    words = text.split(" ")
    if words[:2] != [_MAGIC, _VERSION] or len(words) != _WORDS:
        return None
    _, _, boot, started, total, expected = words
    started_ns = parse_time(started) or 0
    return Sidecars(ref, started_ns, started_ns, _number(total), _digest(expected), boot)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _text(folder: int, name: str, limit: int = _SMALL_LIMIT) -> str | None:
    try:
        file = os.open(name, READ, dir_fd=folder)
    except OSError:
        return None
    try:
        data = os.pread(file, limit + 1, 0)
        return data.decode() if len(data) <= limit else None
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(file)


def _digest(text: str | None) -> Digest | None:
    try:
        return Digest(text) if text else None
    except InvalidDigest:
        return None
